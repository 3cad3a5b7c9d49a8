#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# device.sh KVM: the module parameter "device", and the sums over all VMs in debugfs.
#
# KVM is the vendor's module of stock KVM.

kvm=$1
set --

# shellcheck source=/dev/null
. /boots/tap.sh

total=/sys/kernel/debug/minikvm/total
parameter=/sys/module/minikvm/parameters/device
longest=abcdefghijklmnopqrstuvwxyz-_012

# not_named NAME TEXT ERRNO WORD...: two results
not_named() {
	name=$1
	text=$2
	errno=$3
	shift 3
	mark
	check "$text: refused" fails_with "$errno" lifecycle insmod /minikvm.ko "device=$name"
	check "$text: one line with cause and remedy" said "$@"
	lifecycle rmmod minikvm >/dev/null || true
}

# named NAME: one result
named() {
	check "the device is named $1" named_so "$1"
}

named_so() {
	lifecycle insmod /minikvm.ko "device=$1" || return 1
	[ "$(cat $parameter)" = "$1" ] && env MINIKVM_DEVICE="/dev/$1" lifecycle run
	good=$?
	[ "$1" = minikvm ] || [ ! -e /dev/minikvm ] || good=1
	lifecycle rmmod minikvm && return $good
}

kvm_works() {
	modprobe "$kvm" && env MINIKVM_DEVICE=/dev/kvm lifecycle run && rmmod "$kvm" && rmmod kvm
}

counts() {
	[ "$(grep "^$1 " $total)" = "$1 $2" ] && return 0
	sed 's/^/# /' $total
	return 1
}

# A VM that exists is not among them.
counts_the_dead() {
	lifecycle hold vm &
	sleeper=$!
	for _ in $(seq 50); do
		grep -q '^minikvm [0-9]* [1-9]' /proc/modules && break
		sleep 0.1
	done
	counts vms 1
	good=$?
	kill -KILL $sleeper
	wait $sleeper 2>/dev/null
	[ $good -eq 0 ] && counts vms 2 && counts user_exits 2
}

plan 38

not_named "" "empty name" "$EINVAL" "cannot be named" letters
not_named a/b "name with a slash" "$EINVAL" a/b letters
not_named /dev/kvm "path" "$EINVAL" /dev/kvm letters
not_named . "." "$EINVAL" "cannot be named" letters
not_named .. ".." "$EINVAL" "cannot be named" letters
not_named 'a!b' "name with an exclamation mark" "$EINVAL" "cannot be named" letters
not_named "${longest}3" "name of 32 characters" "$EINVAL" "cannot be named" letters
check "virtualization is off after all that: KVM can have it" kvm_works

named $longest
named minikvm
named kvm
check "its node is gone with it" test ! -e /dev/kvm

not_named null "name of another device" "$EEXIST" /dev/null "another name"
check "that device is what it was" test "$(stat -c '%t:%T' /dev/null)" = 1:3
not_named cpu_dma_latency "name of another misc device" "$EEXIST" "another name"
check "that device is what it was" test -c /dev/cpu_dma_latency
: >/dev/minikvm
not_named minikvm "name of a file" "$EEXIST" /dev/minikvm "another name"
rm /dev/minikvm
ln -s null /dev/minikvm
not_named minikvm "name of a link" "$EEXIST" /dev/minikvm "another name"
rm /dev/minikvm

# udev and its like make a node for KVM before KVM is loaded.
mknod /dev/kvm c 10 232
named kvm
check "a node for KVM that was there stays" test -c /dev/kvm
rm /dev/kvm
mknod /dev/kvm c 10 231
not_named kvm "node with another number" "$EEXIST" /dev/kvm "another name"
rm /dev/kvm

check "load" lifecycle insmod /minikvm.ko
check "no VM is gone yet" counts vms 0
lifecycle run
check "a VM is counted when it is gone, with its exits" counts user_exits 2
check "a VM that is there is not counted" counts_the_dead
check "unload" lifecycle rmmod minikvm
