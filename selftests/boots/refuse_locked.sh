#!/bin/sh
# SPDX-License-Identifier: GPL-2.0

# shellcheck source=/dev/null
. /boots/tap.sh

# The low byte of MSR 0x3a: bit 0 locked, bit 2 VMX allowed.
feature_control() {
	dd if=/dev/cpu/0/msr bs=8 count=1 iflag=skip_bytes skip=58 2>/dev/null | od -An -tu1 | {
		read -r low _
		echo "$low"
	}
}

modprobe msr
plan 2
if [ "$(feature_control)" != 1 ]; then
	echo "# IA32_FEATURE_CONTROL is $(feature_control): the firmware has locked VMX on"
	refused "kernel told not to use VMX" "$ENODEV" VMX clearcpuid
	exit 0
fi
refused "locked by firmware" "$EACCES" VMX firmware
