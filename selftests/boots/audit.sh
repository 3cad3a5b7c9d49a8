#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# audit.sh STEP[:WINDOW]...
#
# The module's audit build (virt/audit.h). flush_test makes no check fail. It does, or fails
# itself, when the STEP is left out - with the WINDOW of a race held open if there is one; and it
# does not for the WINDOW alone.

# shellcheck source=/dev/null
. /boots/tap.sh

parameters=/sys/module/minikvm/parameters
audit=/sys/kernel/debug/minikvm/audit
# Microseconds that a window is open.
open=1500

# Load the module anew, and run flush_test with a step left out and a window open.
run() {
	lifecycle insmod /minikvm.ko || return 1
	[ -z "$1" ] || echo "$1" >$parameters/omit || return 1
	[ -z "$2" ] || echo $open >"$parameters/delay_$2" || return 1
	flush_test >/tmp/output 2>&1
	status=$?
	cat $audit >/tmp/audit
	lifecycle rmmod minikvm || return 1
}

# Names of the checks that failed, with how often of how many.
failed() {
	awk '$3 { printf "%s %d of %d, ", $1, $3, $2 }' /tmp/audit
}

good() {
	run "" "$1" || return 1
	sed 's/^/# /' /tmp/audit
	[ "$status" -eq 0 ] || sed 's/^/# /' /tmp/output
	[ "$status" -eq 0 ] && [ -z "$(failed)" ]
}

# A step that is left out has to be noticed.
caught() {
	run "$1" "$2" || return 1
	tests=$(sed -n 's/^not ok [0-9]* //p' /tmp/output | tr '\n' ' ')
	echo "# without $1: $(failed)${tests:+failed tests: $tests}"
	[ -n "$(failed)" ] || [ "$status" -ne 0 ]
}

windows=
for argument in "$@"; do
	case $argument in
	*:*) windows="$windows ${argument#*:}" ;;
	esac
done
windows=$(echo "$windows" | tr ' ' '\n' | sort -u | sed '/^$/d')

# shellcheck disable=SC2086 # a list of words
plan $((1 + $(echo $windows | wc -w) + $#))
check "nothing left out: no check fails" good ""
for window in $windows; do
	check "window \"$window\" open: no check fails" good "$window"
done
for argument in "$@"; do
	step=${argument%%:*}
	window=${argument#"$step"}
	check "caught: without $step${window:+, window \"${window#:}\" open}" caught "$step" "${window#:}"
done
