# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# What the boot scripts share that load the module and run guests. $kvm is the vendor's module of
# stock KVM.

# The file in which the guest that start() begins counts.
rounds=/tmp/rounds

# start COMMAND...: run it in the background until it has got somewhere
start() {
	rm -f "$rounds"
	"$@" &
	guest=$!
	for _ in $(seq 50); do
		[ -s "$rounds" ] && return 0
		sleep 0.1
	done
	echo "# it did not start: $*"
	return 1
}

# The guest that start() began gets on.
alive() {
	alive_before=$(cat "$rounds")
	for _ in $(seq 50); do
		sleep 0.05
		[ "$(cat "$rounds")" != "$alive_before" ] && return 0
	done
	echo "# no progress after $alive_before rounds"
	return 1
}

# End it; it must say that all was well.
finish() {
	kill -TERM "$guest"
	wait "$guest"
}

# Nobody uses virtualization on any CPU: KVM can have it, and runs a guest on each.
# shellcheck disable=SC2154 # set by the script
kvm_works() {
	modprobe "$kvm" || return 1
	env MINIKVM_DEVICE=/dev/kvm taskset 1 lifecycle run || return 1
	env MINIKVM_DEVICE=/dev/kvm taskset 2 lifecycle run || return 1
	rmmod "$kvm" && rmmod kvm
}

loaded() {
	lifecycle insmod /minikvm.ko
}

unloaded() {
	lifecycle rmmod minikvm
}

both_cpus() {
	taskset 1 lifecycle run && taskset 2 lifecycle run
}

# A guest on each CPU, which never ends by itself.
start_both() {
	rounds=/tmp/rounds.0
	start taskset 1 lifecycle spin $rounds || return 1
	guest0=$guest
	rounds=/tmp/rounds.1
	start taskset 2 lifecycle spin $rounds
}

both_alive() {
	rounds=/tmp/rounds.0
	alive || return 1
	rounds=/tmp/rounds.1
	alive
}

finish_both() {
	finish
	finish_status=$?
	guest=$guest0
	finish && return $finish_status
}
