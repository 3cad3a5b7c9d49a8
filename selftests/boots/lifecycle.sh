#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# lifecycle.sh KVM HOLDER BIT [CYCLES]
#
# The module's life: refused beside KVM and beside any other hypervisor, loaded
# and unloaded, with guests that run while CPUs go and come back.
#
# KVM is the vendor's module of stock KVM, HOLDER one that sets the BIT that says
# that virtualization is in use. CYCLES is how often it is loaded and unloaded at the end: 200.

kvm=$1
holder=$2
bit=$3
cycles=${4-200}
set --

# shellcheck source=/dev/null
. /boots/tap.sh
# shellcheck source=/dev/null
. /boots/guests.sh

# cpu1 0|1: take CPU 1 off line, or back
cpu1() {
	echo "$1" >/sys/devices/system/cpu/cpu1/online
}

# holding WHAT: the module stays while a process has that open
holding() {
	lifecycle hold "$1" &
	sleeper=$!
	# It has what it wants when the module is in use.
	for _ in $(seq 50); do
		grep -q '^minikvm [0-9]* [1-9]' /proc/modules && break
		sleep 0.1
	done
	fails_with "$EAGAIN" lifecycle rmmod minikvm
	held=$?
	lifecycle run || held=1
	kill -KILL "$sleeper"
	wait "$sleeper" 2>/dev/null
	return "$held"
}

# A guest on CPU 1, or wherever it likes, as CPU 1 goes away and comes back.
hotplug() {
	start "$@" lifecycle spin /tmp/rounds || return 1
	for _ in 1 2 3; do
		cpu1 0 && alive && cpu1 1 && alive || return 1
	done
	finish
}

plan 35

# --- Others own the hardware ---

modprobe "$kvm"
refused "KVM idle" "$EBUSY" KVM "modprobe -r"
start env MINIKVM_DEVICE=/dev/kvm lifecycle spin /tmp/rounds
result $? "a guest of KVM runs"
refused "KVM runs a guest" "$EBUSY" KVM "modprobe -r"
check "that guest did not notice" alive
check "it ends in order" finish
rmmod "$kvm"
modprobe kvm
refused "kvm.ko alone" "$EBUSY" KVM "modprobe -r"
rmmod kvm

insmod "/$holder.ko"
refused "$bit set on CPU 1" "$EBUSY" "another hypervisor" "$bit"
rmmod "$holder"

# --- Load, use, unload ---

mark
check "load" loaded
check "load says at most one line" test "$(messages | wc -l)" -le 1
check "the device is root's alone" test "$(stat -c '%a %u %g %F' /dev/minikvm)" = "600 0 0 character special file"
check "a guest runs on each CPU" both_cpus
check "loading it again" fails_with "$EEXIST" lifecycle insmod /minikvm.ko
for what in dev vm vcpu; do
	check "no unload while a process has a $what file" holding "$what"
done
check "unload" unloaded
check "the device is gone" test ! -e /dev/minikvm
check "virtualization is off on all CPUs: KVM can have it" kvm_works

# --- CPUs come and go ---

check "load after KVM" loaded
check "CPU 1 goes and comes, guest not pinned" hotplug
check "CPU 1 goes and comes, guest pinned to it" hotplug taskset 2
check "CPU 1 goes and comes, guest pinned to CPU 0" hotplug taskset 1
check "a guest runs on each CPU afterwards" both_cpus
check "a guest's thread moves between CPUs" lifecycle migrate 200
check "unload after that" unloaded

cpu1 0
check "load with CPU 1 off line" loaded
cpu1 1
check "a guest runs on the CPU that came later" both_cpus
cpu1 0
check "unload with CPU 1 off line" unloaded
cpu1 1
check "virtualization is off on the CPU that was away" kvm_works

# --- Again and again ---

check "$cycles times: load, run, kill, unload" lifecycle cycles "$cycles" /minikvm.ko
check "virtualization is off after all that" kvm_works
