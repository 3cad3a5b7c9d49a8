#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# qemu.sh KVM: Debian 12's QEMU, as it is, runs its firmware and Debian's kernel on minikvm, and then
# on stock KVM. Interrupt controllers and timers are QEMU's.
#
# KVM is the vendor's module of stock KVM.

kvm=$1
set --

# shellcheck source=/dev/null
. /boots/tap.sh

total=/sys/kernel/debug/minikvm/total
console=/tmp/console
messages=/tmp/messages
seconds=180

# qemu CPU OPTION...: in the background
qemu() {
	cpu=$1
	shift
	rm -f $console
	timeout -s KILL $seconds /usr/bin/qemu-system-x86_64 \
		-accel kvm -M pc,kernel-irqchip=off,graphics=off -cpu "$cpu" \
		-display none -nodefaults -no-reboot -serial file:$console "$@" >$messages 2>&1 &
	qemu=$!
}

# over TEXT: until QEMU is gone, or TEXT is on the console and QEMU is told to go
over() {
	while [ -e "/proc/$qemu" ] && ! grep -qs "$1" $console; do
		sleep 0.2
	done
	kill -TERM "$qemu" 2>/dev/null
	wait "$qemu"
}

# said_on_console TEXT STATUS: the text is there, and QEMU has ended in order
said_on_console() {
	grep -qs "$1" $console && [ "$2" -eq 0 ] && return 0
	tail -n 40 $messages $console | sed 's/^/# /'
	return 1
}

# SeaBIOS, with the serial port for a screen, has seen all of its machine and tried what could be booted.
firmware() {
	qemu qemu64,-mce,-mca -m 64
	over "No bootable device"
	said_on_console "No bootable device" $?
}

# The initrd of a guest that waits for its timer, and switches its machine off.
make_initrd() {
	mkdir -p /tmp/root/bin && cp /bin/busybox /tmp/root/bin || return 1
	cat >/tmp/root/init <<-'EOF'
		#!/bin/busybox sh
		/bin/busybox sleep 1
		echo "the guest is up: $(/bin/busybox uname -r)"
		/bin/busybox poweroff -f
	EOF
	chmod +x /tmp/root/init
	(cd /tmp/root && find . | cpio -o -H newc >/tmp/initrd)
}

# The kernel of this machine, which finds banks for machine checks; it ends QEMU by ACPI.
kernel() {
	qemu qemu64 -m 192 -kernel /vmlinuz -initrd /tmp/initrd -append "console=ttyS0 quiet panic=-1"
	over "never said"
	said_on_console "the guest is up: $(uname -r)" $?
}

# counted VMS: it was minikvm that ran them, and not for a moment only
counted() {
	exits=$(sed -n 's/^exits //p' $total)
	[ "$(sed -n 's/^vms //p' $total)" -eq "$1" ] && [ "$exits" -gt 10000 ] && return 0
	sed 's/^/# /' $total
	return 1
}

no_kvm() {
	! grep -q '^kvm' /proc/modules
}

plan 9
check "an initrd for the guest" make_initrd
check "load" lifecycle insmod /minikvm.ko device=kvm
check "QEMU runs SeaBIOS to its end" firmware
check "QEMU boots Linux, which powers off" kernel
check "both VMs were minikvm's" counted 2
check "KVM is not loaded" no_kvm
check "unload" lifecycle rmmod minikvm
modprobe "$kvm"
check "QEMU runs SeaBIOS to its end on stock KVM" firmware
check "QEMU boots Linux on stock KVM, which powers off" kernel
