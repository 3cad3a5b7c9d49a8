# IA32_FEATURE_CONTROL locked without VMX by the firmware.
machine=vmx
cpu=haswell-locked
cpus=1
script=selftests/boots/refuse_locked.sh
files=selftests/build/lifecycle/lifecycle:/bin/lifecycle
timeout=180
