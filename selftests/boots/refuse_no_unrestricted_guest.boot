# A CPU without unrestricted guest.
machine=vmx
cpu=lynnfield
cpus=1
script=selftests/boots/refuse_no_unrestricted_guest.sh
files=selftests/build/lifecycle/lifecycle:/bin/lifecycle
timeout=180
