# The next kernel, started by kexec while guests run.
cpus=2
kernels=2
carry_kernel=yes
memory=1024
timeout=600
carry_modules=kvm_intel
script=next_kernel.sh kvm_intel kexec
