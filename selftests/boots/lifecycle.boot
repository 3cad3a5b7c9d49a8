# The module beside KVM, on CPUs that come and go, loaded and unloaded.
machine=vmx
cpu=haswell
cpus=2
carry_modules=kvm_intel
script=selftests/boots/lifecycle.sh
files=selftests/build/lifecycle/lifecycle:/bin/lifecycle selftests/build/vmxe_holder/vmxe_holder.ko:/vmxe_holder.ko
timeout=600
