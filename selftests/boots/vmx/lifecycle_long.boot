# As lifecycle, with 200 cycles.
cpus=2
carry_modules=kvm_intel
script=lifecycle.sh kvm_intel vmxe_holder CR4.VMXE
files=selftests/build/vmxe_holder/vmxe_holder.ko:/vmxe_holder.ko
timeout=1500
long=yes
