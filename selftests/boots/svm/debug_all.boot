# All machine tests on the kernel with its own checkers on. With 4-level paging: while the
# kernel identifies its first CPU it has no features for a moment, 5-level paging among them, and an
# interrupt then lets KASAN take all addresses for wild.
cpu=max,-la57
tests=*
cpus=2
memory=1024
kernel=6.1-debug
append=page_owner=on page_poison=1
long=yes
