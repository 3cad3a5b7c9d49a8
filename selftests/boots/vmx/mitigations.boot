# Code against weaknesses of the CPU as the kernel asks for it: its default.
mitigations=on
script=mitigations.sh l1tf=Mitigation "mds=Clear CPU buffers" "loaded:l1tf=VMX: conditional cache flushes" "loaded:itlb_multihit=KVM: Mitigation: Split huge pages"
files=selftests/build/lifecycle/livetext:/bin/livetext
