# Which lines of the module do the machine tests execute? For tools/testvm/coverage.
tests=*
cpus=2
memory=1024
kernel=6.1-debug-light
module=coverage
long=yes
