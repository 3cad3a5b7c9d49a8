# A CPU without VMX.
machine=vmx
cpu=prescott
cpus=1
script=selftests/boots/refuse_no_vmx.sh
files=selftests/build/lifecycle/lifecycle:/bin/lifecycle
timeout=180
