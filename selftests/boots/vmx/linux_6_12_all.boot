# All machine tests on another kernel.
tests=*
cpus=2
memory=1024
kernel=6.12-cloud
long=yes
