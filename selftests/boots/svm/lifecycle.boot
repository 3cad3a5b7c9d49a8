# The module beside KVM, on CPUs that come and go, loaded and unloaded.
cpus=2
carry_modules=kvm_amd
script=lifecycle.sh kvm_amd svme_holder EFER.SVME
files=selftests/build/vmxe_holder/svme_holder.ko:/svme_holder.ko
