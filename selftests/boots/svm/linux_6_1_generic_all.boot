# All machine tests on Debian's kernel for real computers.
tests=*
cpus=2
memory=1024
kernel=6.1-generic
long=yes
