# All machine tests with the module's audit build: nothing stale is used, whatever they do.
tests=*
cpus=2
memory=1024
module=audit
long=yes
