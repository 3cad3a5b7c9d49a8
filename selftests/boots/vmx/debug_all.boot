# All machine tests on a kernel with those of its own checkers on that do not make Bochs slow: locks, RCU,
# sleeping where that is forbidden, undefined behaviour. And with failures on demand.
tests=*
cpus=2
memory=1024
kernel=6.1-debug-light
long=yes
