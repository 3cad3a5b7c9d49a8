# The next kernel, reset while guests run.
cpus=2
kernels=2
timeout=600
carry_modules=kvm_amd
script=next_kernel.sh kvm_amd reboot
