# Do the debug kernel's checkers notice what they are there for?
script=checkers.sh
cpu=max,-la57
cpus=3
memory=1024
kernel=6.1-debug
append=page_owner=on page_poison=1 kasan_multi_shot
allow_splat=.
kernels=2
timeout=300
long=yes
