# The module beside KVM, on CPUs that come and go, loaded and unloaded. Fewer times than in the other
# machine, where a time is a tenth as long; lifecycle_long has them all.
cpus=2
carry_modules=kvm_intel
script=lifecycle.sh kvm_intel vmxe_holder CR4.VMXE 60
files=selftests/build/vmxe_holder/vmxe_holder.ko:/vmxe_holder.ko
