# The next kernel, started by a panic while guests run.
cpus=2
kernels=2
carry_kernel=yes
memory=1024
append=crashkernel=256M
allow_splat=Kernel panic - not syncing: sysrq triggered crash
timeout=600
carry_modules=kvm_intel
script=next_kernel.sh kvm_intel crash
