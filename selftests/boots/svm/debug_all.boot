# All machine tests on the kernel with its own checkers on.
tests=*
cpus=2
memory=1024
kernel=6.1-debug
append=page_owner=on page_poison=1
long=yes
