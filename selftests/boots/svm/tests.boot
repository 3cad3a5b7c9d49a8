# All machine tests, on a CPU and a kernel with 5-level paging.
tests=*
cpus=2
memory=1024
check=grep -qw la57 /proc/cpuinfo
