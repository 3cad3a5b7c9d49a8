#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# refuse.sh WHAT ERRNO WORD...: in this machine the module must refuse to load,
# with this error and one line in the kernel log that holds all the words.

# shellcheck source=/dev/null
. /boots/tap.sh

plan 2
what=$1
eval "error=\$$2"
shift 2
# shellcheck disable=SC2154 # set by eval
refused "$what" "$error" "$@"
