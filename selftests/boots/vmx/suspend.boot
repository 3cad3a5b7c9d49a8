# The machine sleeps and wakes up (S3).
cpus=2
carry_modules=kvm_intel
script=suspend.sh kvm_intel
