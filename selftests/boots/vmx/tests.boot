# All machine tests.
tests=*
cpus=2
memory=1024
