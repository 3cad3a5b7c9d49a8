# Steps that no emulator misses, left out one at a time: the module's audit build notices.
cpus=2
memory=1024
module=audit
script=audit.sh request:entry kick:kick entry_recheck:entry flush notifier_unmap unmap_flush:flush fault_recheck:map reg_dirty state_dirty move_flush invept host_cr3 host_cr4 host_segs cpu_state
files=selftests/build/flush_test:/bin/flush_test
allow_splat=minikvm: audit:
timeout=2400
