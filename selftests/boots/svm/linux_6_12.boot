# Another kernel.
tests=compat32_test hello_test hypercall_test ioeventfd_test mem_test msr_test sigmask_test smp_test state_test sync_regs_test
cpus=2
memory=1024
kernel=6.12-cloud
