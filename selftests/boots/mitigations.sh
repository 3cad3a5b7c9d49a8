#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# mitigations.sh [loaded:]WEAKNESS=WORDS...
#
# The code of the loaded module against what the kernel says that it does about the CPU's
# weaknesses: the barriers that it asks for are where they must be, and those that it does not ask
# for are patched away. Both vendors' code is in the module and patched, whatever the CPU.
#
# Each argument says that /sys/devices/system/cpu/vulnerabilities/WEAKNESS holds the WORDS, before
# or while the module is loaded: then this boot tests what it is meant to.

# shellcheck source=/dev/null
. /boots/tap.sh

words=/sys/devices/system/cpu/vulnerabilities
symbols=/tmp/symbols

# says WEAKNESS PATTERN: does the kernel say something like that?
says() {
	# shellcheck disable=SC2254 # it is a pattern
	case $(cat "$words/$1" 2>/dev/null) in
	$2) return 0 ;;
	esac
	return 1
}

must_say() {
	says "$1" "*$2*" && return 0
	echo "# $1: $(cat "$words/$1")"
	return 1
}

live() {
	livetext "$symbols" "$@"
}

has() {
	live has "$@"
}

has_not() {
	! live has "$@" || { echo "# there is: $(live list "$1" | tr '\n' ';')"; return 1; }
}

after_barrier() {
	live after "$@" || { echo "# there is: $(live list "$1" | tr '\n' ';')"; return 1; }
}

# needed NAME FUNC BARRIER EVENT: in FUNC there is an EVENT, and always after a BARRIER
needed() {
	check "$1: there" after_barrier "$2" "$3" "$4"
}

# unneeded NAME FUNC EVENT
unneeded() {
	check "$1: not asked for, not there" has_not "$2" "$3"
}

# if_needed CONDITION NAME FUNC BARRIER EVENT: CONDITION is 0 when the kernel asks for it
if_needed() {
	if [ "$1" -eq 0 ]; then
		needed "$2" "$3" "$4" "$5"
	else
		unneeded "$2" "$3" "$4"
	fi
}

# Everything that leaves the function, or goes somewhere by a prediction.
transfers='[cijrt]*'

# --- What the kernel asks for ---

# It says so when there is no microcode for it, but attempts it only in a virtual machine.
tsa_attempted() {
	says tsa '*buffers attempted*' && grep -qw hypervisor /proc/cpuinfo
}

vmx_clears_buffers() {
	says mds '*: Clear CPU buffers*' || says tsx_async_abort '*: Clear CPU buffers*' ||
		says reg_file_data_sampling '*: Clear Register File*' ||
		says tsa 'Mitigation: Clear CPU buffers' || says tsa '*user/kernel*' || tsa_attempted
}

svm_clears_buffers() {
	says tsa 'Mitigation: Clear CPU buffers' || says tsa '*buffers: VM' || tsa_attempted
}

# How many calls fill the return-stack buffer after a VM exit
rsb_calls() {
	if barrier_on_exit; then
		echo 0
	elif says spectre_v2 '*PBRSB-eIBRS: SW sequence*'; then
		echo 1
	elif says spectre_v2 '*Enhanced*' || says spectre_v2 'Vulnerable;*' || says spectre_v2 Vulnerable; then
		echo 0
	else
		echo 32
	fi
}

svm_fills_rsb() {
	says spectre_v2 '*Retpolines*' || says spectre_v2 '*LFENCE*'
}

# Where returns go. The kernel may have chosen a thunk before it chose barriers instead.
return_kind() {
	kind=$(dmesg | sed -n 's/.*active return thunk: //p' | tail -n 1)
	if says retbleed '*: IBPB*' || says spec_rstack_overflow '*: IBPB'; then
		kind=
	fi
	echo "${kind:-ret}"
}

untrains() {
	says retbleed '*untrained return thunk*' || says spec_rstack_overflow '*safe RET*'
}

barrier_on_exit() {
	says retbleed '*: IBPB*' || says spec_rstack_overflow '*: IBPB*'
}

# --- Checks that are more than one question ---

fenced_ibrs() {
	live after vmx_exit_point 'wrmsr 0x48' 'return *' || return 1
	live list vmx_exit_point | sed -n '/wrmsr 0x48/{n;p;}' | grep -qx lfence
}

all_returns() {
	returns=$(live module 'return *')
	these=$(live module "return $1")
	# Only where the CPU mispredicts.
	[ "$1" = its_return_thunk ] && these=$((these + $(live module 'return ret') - $(live module 'return ret' low)))
	[ "$returns" -gt 100 ] && [ "$returns" -eq "$these" ] && return 0
	echo "# $these of $returns"
	return 1
}

# none EVENT [low]: nowhere in the module
none() {
	[ "$(live module "$@")" -eq 0 ]
}

some() {
	[ "$(live module "$1")" -gt 0 ]
}

flushes_sometimes() {
	has vmx_enter_exit 'call vmx_flush_l1d' &&
		! live after vmx_enter_exit 'call vmx_flush_l1d' 'call vmx_enter_asm' >/dev/null
}

# ----

plan $((21 + $#))

for argument in "$@"; do
	case $argument in
	loaded:*) ;;
	*) check "the kernel says: $argument" must_say "${argument%%=*}" "${argument#*=}" ;;
	esac
done
grep -H . "$words"/* | sed "s,^$words/,# ,"

l1tf=$(cat "$words/l1tf")
itlb=$(cat "$words/itlb_multihit")
check "load" lifecycle insmod /minikvm.ko
livetext symbols >"$symbols"

for argument in "$@"; do
	case $argument in
	loaded:*)
		argument=${argument#loaded:}
		check "with the module loaded: $argument" must_say "${argument%%=*}" "${argument#*=}"
		;;
	esac
done

# Before the entry

vmx_clears_buffers
if_needed $? "VMX: VERW before VMRESUME and VMLAUNCH" vmx_enter_asm verw 'vm*'
svm_clears_buffers
if_needed $? "SVM: VERW before VMRUN" svm_enter_asm verw vmrun

if must_say l1tf "VMX: cache flushes" >/dev/null; then
	needed "VMX: L1D flush before each entry" vmx_enter_exit 'call vmx_flush_l1d' 'call vmx_enter_asm'
elif must_say l1tf "VMX: conditional" >/dev/null; then
	check "VMX: L1D flush before some entries" flushes_sometimes
else
	unneeded "VMX: L1D flush" vmx_enter_exit 'call vmx_flush_l1d'
fi

# After the exit

check "VMX: the guest's registers are cleared before all else" live after vmx_exit_point 'zero 15' '*'
check "SVM: the guest's registers are cleared before control goes anywhere" \
	live after svm_enter_asm 'zero 15' "$transfers"

calls=$(rsb_calls)
if [ "$calls" -gt 0 ]; then
	needed "VMX: RSB filled, $calls calls, before the first return" vmx_exit_point "rsb_fill $calls" "$transfers"
	needed "VMX: the same after a refused entry" vmx_enter_asm "rsb_fill $calls" "$transfers"
else
	unneeded "VMX: RSB filled" vmx_exit_point 'rsb_fill*'
	unneeded "VMX: RSB filled after a refused entry" vmx_enter_asm 'rsb_fill*'
fi
svm_fills_rsb
if_needed $? "SVM: RSB filled, 32 calls, before the first return" svm_enter_asm 'rsb_fill 32' "$transfers"

if says spectre_v2 'Mitigation: IBRS*'; then
	check "VMX: IBRS written again and fenced" fenced_ibrs
else
	unneeded "VMX: IBRS written again" vmx_exit_point 'wrmsr*'
fi
says spectre_v2 '*BHI:*SW loop*'
if_needed $? "VMX: branch history cleared" vmx_exit_point 'call clear_bhb_loop' 'return *'

untrains
if_needed $? "SVM: returns untrained" svm_enter_asm 'call *untrain_ret' 'return *'
barrier_on_exit
if_needed $? "SVM: IBPB after the exit" svm_enter_asm 'call *_ibpb' 'return *'

# The module as a whole

kind=$(return_kind)
check "all returns are: $kind" all_returns "$kind"
if says spectre_v2 '*Retpolines*'; then
	check "retpolines: no indirect call or jump without a thunk" none indirect
	check "retpolines: some with" some 'thunk *'
else
	if says indirect_target_selection '*Aligned*'; then
		check "ITS: no indirect call or jump that ends in the lower half of a line" none indirect low
	else
		check "no retpolines: indirect calls and jumps" some indirect
	fi
	check "no retpolines: none with a thunk" none 'thunk *'
fi

if says spectre_v2 '*IBPB: [ac]*'; then
	check "IBPB when another vCPU is loaded: there" has mkvm_arch_vcpu_load 'wrmsr 0x49'
else
	unneeded "IBPB when another vCPU is loaded" mkvm_arch_vcpu_load 'wrmsr *'
fi
if says vmscape '*IBPB before exit to userspace*'; then
	check "VMSCAPE: IBPB asked for: there" some 'store x86_ibpb_exit_to_user'
else
	check "VMSCAPE: not asked for, not there" none 'store x86_ibpb_exit_to_user'
fi

# It works, and leaves nothing behind

check "a guest runs" lifecycle run
check "unload" lifecycle rmmod minikvm
check "the kernel's words are what they were" test "$l1tf $itlb" = "$(cat "$words/l1tf") $(cat "$words/itlb_multihit")"
