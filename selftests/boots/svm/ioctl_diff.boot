# All ioctls on stock KVM and on minikvm, compared.
carry_modules=kvm_amd
script=ioctl_diff.sh kvm_amd
files=selftests/build/ioctl_test:/bin/ioctl_test
