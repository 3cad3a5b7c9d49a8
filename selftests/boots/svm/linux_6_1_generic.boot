# Debian's kernel for real computers, with machine checks and failing memory.
tests=abi_device_test abi_vm_test abi_vcpu_test hello_test mem_test smp_test
cpus=2
memory=1024
kernel=6.1-generic
