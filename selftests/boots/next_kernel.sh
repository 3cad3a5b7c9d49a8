#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# next_kernel.sh KVM HOW: the machine goes to its next kernel while a guest runs on each CPU:
#
#   reboot  at once (reboot -f)
#   kexec   at once (kexec -e)
#   crash   by a panic, to the crash kernel
#
# That kernel starts all CPUs, which a CPU that is left in VMX operation or with GIF clear would not
# do, and runs this script again. KVM is the vendor's module of stock KVM.

# shellcheck disable=SC2034 # for guests.sh
kvm=$1
how=$2
set --

# shellcheck source=/dev/null
. /boots/tap.sh
# shellcheck source=/dev/null
. /boots/guests.sh

image=/tmp/initrd

# This system as an initial RAM disk. The kernel's image is not in it.
pack() {
	(cd / && find bin boots dev/console dev/null init lib minikvm.ko root sbin testvm etc -print0 2>/dev/null |
		cpio -0 -o -H newc >$image) 2>/dev/null
	mkdir -p /tmp/empty/dev /tmp/empty/proc /tmp/empty/sys /tmp/empty/tmp /tmp/empty/run
	(cd /tmp/empty && find . -print0 | cpio -0 -o -H newc >>$image) 2>/dev/null
}

next_kernel() {
	case $how in
	kexec) pack && lifecycle kexec next /vmlinuz $image "$(cat /proc/cmdline)" ;;
	crash)
		# The memory is that of the crash kernel: there is none to set aside in it.
		pack && lifecycle kexec crash /vmlinuz $image "$(sed 's/crashkernel=[^ ]*//' /proc/cmdline)"
		;;
	esac
}

if [ "$(lifecycle boots)" -eq 1 ]; then
	plan 9
	check "the next kernel is ready" next_kernel
	check "load" loaded
	start_both
	result $? "a guest on each CPU runs"
	check "both get on" both_alive
	case $how in
	reboot) taskset 1 lifecycle reboot restart ;;
	kexec) taskset 1 lifecycle reboot kexec ;;
	crash)
		echo 1 >/proc/sys/kernel/sysrq
		taskset 1 sh -c 'echo c >/proc/sysrq-trigger'
		;;
	esac
	result 1 "the machine goes to its next kernel"
	exit
fi

number=4
check "the next kernel has both CPUs" test "$(nproc)" -eq 2
check "KVM works in it" kvm_works
check "load" loaded
check "a guest runs on each CPU" both_cpus
check "unload" unloaded
