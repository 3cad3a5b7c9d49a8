# A CPU without 5-level paging: nested page tables have as many levels as the host's own.
cpu=max,-la57
tests=hello_test mem_test smp_test
cpus=2
memory=1024
check=! grep -qw la57 /proc/cpuinfo
