# A CPU whose returns have to be untrained (Retbleed).
machine=vmx
cpu=zambezi
mitigations=on
script=mitigations.sh "retbleed=untrained return thunk"
files=selftests/build/lifecycle/livetext:/bin/livetext
