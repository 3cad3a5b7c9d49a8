# A CPU without EPT.
machine=vmx
cpu=penryn
cpus=1
script=selftests/boots/refuse_no_ept.sh
files=selftests/build/lifecycle/lifecycle:/bin/lifecycle
timeout=180
