# Code against weaknesses of the CPU as the kernel asks for it: its default.
mitigations=on
script=mitigations.sh "spectre_v2=Mitigation: Retpolines"
files=selftests/build/lifecycle/livetext:/bin/livetext
