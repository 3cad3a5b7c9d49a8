#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# checkers.sh
#
# The debug kernel's checkers notice what they are there for: the kernel's own LKDTM commits a crime, and the
# log must name it. It has none against the order of locks, RCU or kmemleak, and is not compiled with UBSAN,
# for which this looks into the module. What goes wrong here takes CPUs 1 and 2 out of use.

# shellcheck disable=SC2034 # for tap.sh

# shellcheck source=/dev/null
. /boots/tap.sh

crimes=/sys/kernel/debug/provoke-crash/DIRECT

# noticed WORDS: does the log come to say that? Within half a minute.
noticed() {
	tries=30
	while [ $tries -gt 0 ]; do
		dmesg | grep -q "$1" && return
		tries=$((tries - 1))
		sleep 1
	done
	return 1
}

# crime CPU NAME: in a process that may not come back.
crime() {
	taskset -c "$1" sh -c "echo $2 >$crimes" </dev/null >/dev/null 2>&1 &
}

# caught NAME WORDS
caught() {
	dmesg -c >/dev/null
	crime 0 "$1"
	check "$1" noticed "$2"
}

# A machine with such CPUs does not end in order.
if [ "$(lifecycle boots)" -ne 1 ]; then
	number=15
	result 0 "the machine is reset"
	exit
fi

plan 16
# Whatever passes on what is printed here has to stay on a CPU that works.
for pid in /proc/[0-9]*; do
	taskset -p 1 "${pid#/proc/}" >/dev/null 2>&1
done
for name in __asan_ __ubsan_ __sanitizer_cov_; do
	check "the module is compiled for $name" grep -q "$name" /minikvm.ko
done

# The lock checker first, as others turn it off. A process goes back to userspace with a lock.
dmesg -c >/dev/null
crime 0 SPINLOCKUP
check "SPINLOCKUP: a lock is kept" noticed "lock held when returning to user space"
check "SPINLOCKUP: it sleeps" noticed "BUG: s.* while atomic\|BUG: sleeping function called from invalid"

caught SLAB_LINEAR_OVERFLOW "KASAN: slab-out-of-bounds"
caught READ_AFTER_FREE "KASAN: .*use-after-free"
caught SLAB_FREE_DOUBLE "KASAN: .*double-free"
caught CORRUPT_LIST_ADD "list_add corruption"

echo 2 >/proc/sys/kernel/hung_task_timeout_secs
caught HUNG_TASK "INFO: task .* blocked for more than"
echo 0 >/proc/sys/kernel/hung_task_timeout_secs

caught USERCOPY_SLAB_SIZE_FROM "usercopy: Kernel memory overwrite attempt"
caught WRITE_KERN "BUG: unable to handle page fault"

echo 0 >/proc/sys/kernel/softlockup_panic
echo 2 >/proc/sys/kernel/watchdog_thresh
echo 3 >/sys/module/rcupdate/parameters/rcu_cpu_stall_timeout
# Interrupts off: what tells is another CPU, whose RCU waits.
dmesg -c >/dev/null
crime 1 HARDLOCKUP
check "HARDLOCKUP" noticed "rcu: INFO: .*detected stalls"
check "HARDLOCKUP: on CPU 1" noticed "rcu:.*[^0-9]1-\.\.\."

dmesg -c >/dev/null
crime 2 SOFTLOCKUP
check "SOFTLOCKUP" noticed "soft lockup - CPU#2"

sleep 2
echo 1 >/proc/sys/kernel/sysrq
echo b >/proc/sysrq-trigger
sleep 30
result 1 "the machine is reset"
