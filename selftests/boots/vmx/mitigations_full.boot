# The L1 data cache is flushed before each entry; no retpolines and no VERW.
mitigations=on
append=l1tf=full spectre_v2=off mds=off
script=mitigations.sh spectre_v2=Vulnerable mds=Vulnerable "loaded:l1tf=VMX: cache flushes"
files=selftests/build/lifecycle/livetext:/bin/livetext
