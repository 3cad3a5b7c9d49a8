# Steps that no emulator misses, left out one at a time: the module's audit build notices.
cpus=2
memory=1024
module=audit
script=audit.sh request:entry kick:kick entry_recheck:entry flush notifier_unmap unmap_flush:flush fault_recheck:map reg_dirty state_dirty asid_move asid_wrap clean_move clean_intercepts clean_asid clean_intr clean_npt clean_cr clean_dr clean_dt clean_seg clean_cr2
files=selftests/build/flush_test:/bin/flush_test
allow_splat=minikvm: audit:
timeout=1200
