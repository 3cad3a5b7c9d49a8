#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# suspend.sh KVM: the machine sleeps (S3) and wakes up, with and without the module, with and without
# guests that run. The clock wakes it.
#
# KVM is the vendor's module of stock KVM.

# shellcheck disable=SC2034 # for guests.sh
kvm=$1
set --

# shellcheck source=/dev/null
. /boots/tap.sh
# shellcheck source=/dev/null
. /boots/guests.sh

alarm=/sys/class/rtc/rtc0/wakealarm

slept() {
	dmesg | grep -c 'ACPI: PM: Low-level resume complete'
}

# To RAM and back, and all CPUs with it.
sleeps() {
	before=$(slept)
	echo 0 >$alarm
	echo +2 >$alarm
	echo mem >/sys/power/state || return 1
	[ "$(slept)" -eq $((before + 1)) ] && [ "$(nproc)" -eq 2 ] && return 0
	echo "# slept $before times before, $(slept) now; $(nproc) CPUs"
	return 1
}

plan 13

check "the machine sleeps without the module" sleeps
check "load" loaded
check "the machine sleeps, no VM" sleeps
check "a guest runs on each CPU" both_cpus
start_both
result $? "a guest on each CPU runs"
for time in first second; do
	check "the machine sleeps with them, $time time" sleeps
	check "they go on" both_alive
done
check "they end in order" finish_both
check "a guest runs on each CPU afterwards" both_cpus
check "unload" unloaded
check "virtualization is off on all CPUs: KVM can have it" kvm_works
