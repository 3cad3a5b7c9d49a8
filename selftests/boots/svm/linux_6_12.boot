# Another kernel.
tests=hello_test hypercall_test mem_test msr_test smp_test
cpus=2
memory=1024
kernel=6.12-cloud
