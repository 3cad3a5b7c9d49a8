#!/bin/sh
# SPDX-License-Identifier: GPL-2.0

# shellcheck source=/dev/null
. /boots/tap.sh

plan 2
refused "kernel told not to use VMX" "$ENODEV" VMX clearcpuid
