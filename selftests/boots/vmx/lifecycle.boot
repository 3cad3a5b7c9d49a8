# The module beside KVM, on CPUs that come and go, loaded and unloaded.
cpus=2
carry_modules=kvm_intel
script=lifecycle.sh kvm_intel vmxe_holder CR4.VMXE
files=selftests/build/vmxe_holder/vmxe_holder.ko:/vmxe_holder.ko
