# A kernel with its own checkers on: memory errors, leaks, locks, RCU, sleeping where that is
# forbidden, undefined behaviour. Some of the tests, for a look in
# between; debug_all has all of them.
tests=fault_test hello_test mem_test smp_test
cpus=2
memory=1024
kernel=6.1-debug
append=page_owner=on page_poison=1
long=yes
