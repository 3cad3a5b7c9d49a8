# The next kernel, reset while guests run.
cpus=2
kernels=2
timeout=600
carry_modules=kvm_intel
script=next_kernel.sh kvm_intel reboot
