# All ioctls on stock KVM and on minikvm, compared.
carry_modules=kvm_intel
script=ioctl_diff.sh kvm_intel
files=selftests/build/ioctl_test:/bin/ioctl_test
