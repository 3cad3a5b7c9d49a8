# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
#
# What the boot scripts share: results as TAP, and the refusal of a load.

number=0

# plan COUNT
plan() {
	echo "TAP version 13"
	echo "1..$1"
}

# result STATUS NAME: a status that is not 0 is a failure
result() {
	number=$((number + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $number - $2"
	else
		echo "not ok $number - $2"
	fi
}

# check NAME COMMAND...: the command must succeed
check() {
	check_name=$1
	shift
	"$@"
	result $? "$check_name"
}

# fails_with STATUS COMMAND...: the command must fail with just this status
fails_with() {
	fails_want=$1
	shift
	"$@"
	fails_got=$?
	[ "$fails_got" -eq "$fails_want" ] && return 0
	echo "# $*: status $fails_got, not $fails_want"
	return 1
}

# Give every message from here on to messages().
mark() {
	mark_text="mark $number $(cut -d' ' -f1 /proc/uptime)"
	echo "$mark_text" >/dev/kmsg
}

# What the module has said since mark(); the kernel's own words about it are not counted
messages() {
	dmesg | sed "1,/$mark_text/d" | grep 'minikvm: ' |
		grep -v -e 'out-of-tree module' -e 'module verification failed'
}

# One line, with all the words in it, whatever their case.
said() {
	said_text=$(messages)
	said_lines=$(messages | wc -l)
	if [ "$said_lines" -ne 1 ]; then
		echo "# $said_lines lines instead of 1:"
		messages | sed 's/^/# /'
		return 1
	fi
	for word in "$@"; do
		if ! echo "$said_text" | grep -qi -e "$word"; then
			echo "# \"$word\" is not in: $said_text"
			return 1
		fi
	done
	return 0
}

# refused NAME ERRNO WORD...: two results, the errno and the message
refused() {
	refused_name=$1
	refused_errno=$2
	shift 2
	mark
	check "$refused_name: refused" fails_with "$refused_errno" lifecycle insmod /minikvm.ko
	check "$refused_name: one line with cause and remedy" said "$@"
	# A load that should have failed must not spoil what follows.
	lifecycle rmmod minikvm >/dev/null || true
}

EAGAIN=11
EACCES=13
EBUSY=16
EEXIST=17
ENODEV=19
EINVAL=22
EOPNOTSUPP=95
export EAGAIN EACCES EBUSY EEXIST ENODEV EINVAL EOPNOTSUPP
