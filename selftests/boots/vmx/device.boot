# The name of the device, and the sums over all VMs.
carry_modules=kvm_intel
script=device.sh kvm_intel
