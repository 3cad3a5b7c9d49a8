# The machine sleeps and wakes up (S3). With CPUs that run at once QEMU's firmware now and then
# loses CPU 1 on the way back (it runs what was put back over the firmware's start-up code), with
# no hypervisor in use, too.
cpus=2
turns=yes
carry_modules=kvm_amd
script=suspend.sh kvm_amd
