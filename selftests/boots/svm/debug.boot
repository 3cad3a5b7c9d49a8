# A kernel with its own checkers on: memory errors, leaks, locks, RCU, sleeping where that is
# forbidden, undefined behaviour. Some of the tests; debug_all has all of them, and says why there is
# no 5-level paging.
cpu=max,-la57
tests=chaos_test fault_test flush_test hello_test ioctl_fuzz_test mem_test smp_test
cpus=2
memory=1024
kernel=6.1-debug
append=page_owner=on page_poison=1
