# IA32_FEATURE_CONTROL locked without VMX: a kernel that was told to do without
# VMX locks the MSR that way when the firmware has left it open.
machine=vmx
cpu=haswell
cpus=1
append=clearcpuid=vmx
carry_modules=msr
script=selftests/boots/refuse_locked.sh
files=selftests/build/lifecycle/lifecycle:/bin/lifecycle
timeout=180
