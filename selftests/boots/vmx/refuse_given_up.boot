# A CPU with VMX, and a kernel that was told to do without.
cpu=haswell
append=clearcpuid=vmx
script=refuse.sh "kernel told not to use VMX" ENODEV VMX clearcpuid
