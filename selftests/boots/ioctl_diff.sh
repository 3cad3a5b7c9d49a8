#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# ioctl_diff.sh KVM
#
# Stock KVM and minikvm answer all ioctls alike, one after the other in the same machine, but for
# the differences that ioctl_test explains. KVM is the vendor's module.

kvm=$1
set --

# shellcheck source=/dev/null
. /boots/tap.sh

plan 5
modprobe "$kvm"
check "stock KVM's answers" env MINIKVM_DEVICE=/dev/kvm ioctl_test --write /tmp/kvm
rmmod "$kvm" && rmmod kvm
check "some thousand" test "$(wc -l </tmp/kvm)" -gt 2000
check "load" lifecycle insmod /minikvm.ko
check "minikvm's answers are KVM's, or explained" ioctl_test --compare /tmp/kvm
check "unload" lifecycle rmmod minikvm
