# A CPU with VMX, and a kernel that was told to do without.
machine=vmx
cpu=haswell
cpus=1
append=clearcpuid=vmx
script=selftests/boots/refuse_given_up.sh
files=selftests/build/lifecycle/lifecycle:/bin/lifecycle
timeout=180
