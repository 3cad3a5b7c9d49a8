# Code against weaknesses of the CPU as the kernel asks for it: none.
mitigations=off
script=mitigations.sh spectre_v2=Vulnerable mds=Vulnerable "loaded:l1tf=VMX: vulnerable"
files=selftests/build/lifecycle/livetext:/bin/livetext
