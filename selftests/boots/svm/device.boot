# The name of the device, and the sums over all VMs.
carry_modules=kvm_amd
script=device.sh kvm_amd
