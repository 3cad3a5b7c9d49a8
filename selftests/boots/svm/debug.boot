# A kernel with its own checkers on: memory errors, leaks, locks, RCU, sleeping where that is
# forbidden, undefined behaviour. Some of the tests, with 5-level paging;
# debug_all has all of them. KASAN's "wild-memory-access" in a boot's first seconds is the kernel's
# own fault: see there.
tests=fault_test hello_test mem_test smp_test
cpus=2
memory=1024
kernel=6.1-debug
append=page_owner=on page_poison=1
long=yes
