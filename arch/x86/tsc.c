// SPDX-License-Identifier: GPL-2.0
/*
 * The time-stamp counter of the guest: that of the host plus an offset, which RDTSC adds without
 * an exit. (SDM, "Time-Stamp Counter"; "Time-Stamp Counter Adjustment".)
 *
 * The counters of a VM's vCPUs are meant to agree. Userspace can set them one by one only, and each
 * write comes a little later than the one before; so one that looks like a part of a row of writes
 * gets the offset of the first, as in KVM (mkvm_tsc_synchronize()).
 */
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/uaccess.h>
#include <asm/msr.h>
#include <asm/tsc.h>

#include "msr.h"

/* As in KVM: differences of rate, in millionths, that need no scaling. */
#define MKVM_TSC_TOLERANCE_PPM	250

static void tsc_set_offset(struct mkvm_vcpu *vcpu, u64 offset)
{
	vcpu->arch.tsc_offset = offset;
	mkvm_mark_dirty(vcpu, MKVM_STATE_TSC_OFFSET);
}

/* --- Userspace's writes ------------------------------------------------------------------ */

/* Remember a write of userspace; @matched: it belongs to the row of the last one. */
static void tsc_note_write(struct mkvm_vcpu *vcpu, u64 data, u64 offset, u64 ns, bool matched)
{
	struct mkvm_vm_tsc *tsc = &vcpu->vm->arch.tsc;

	lockdep_assert_held(&tsc->lock);
	tsc->last_ns = ns;
	tsc->last_write = data;
	tsc->last_offset = offset;
	tsc->last_khz = vcpu->arch.tsc_khz;
	if (!matched)
		tsc->base_offset = offset;
	tsc_set_offset(vcpu, offset);
}

static u64 tsc_cycles(struct mkvm_vcpu *vcpu, u64 ns)
{
	return mul_u64_u32_div(ns, vcpu->arch.tsc_khz, 1000000);
}

/*
 * Is this write meant to set the TSC to what the one written last shows? 0 is what a new vCPU
 * gets; else it is within a second of it.
 */
static bool tsc_same_row(struct mkvm_vcpu *vcpu, u64 data, u64 elapsed)
{
	const struct mkvm_vm_tsc *tsc = &vcpu->vm->arch.tsc;
	u64 hz = vcpu->arch.tsc_khz * 1000ull;
	u64 expected;

	if (!hz || vcpu->arch.tsc_khz != tsc->last_khz)
		return false;
	if (!data)
		return true;
	expected = tsc->last_write + tsc_cycles(vcpu, elapsed);
	return data < expected + hz && data + hz > expected;
}

static void mkvm_tsc_synchronize(struct mkvm_vcpu *vcpu, u64 data)
{
	struct mkvm_vm_tsc *tsc = &vcpu->vm->arch.tsc;
	u64 offset, ns, elapsed;
	bool matched;

	spin_lock(&tsc->lock);
	offset = data - rdtsc();
	ns = ktime_get_boottime_ns();
	elapsed = ns - tsc->last_ns;
	matched = tsc_same_row(vcpu, data, elapsed);
	if (matched && !check_tsc_unstable()) {
		offset = tsc->base_offset;
	} else if (matched) {
		/* The host's TSCs do not agree: what has passed since is the best guess. */
		data += tsc_cycles(vcpu, elapsed);
		offset = data - rdtsc();
	}
	tsc_note_write(vcpu, data, offset, ns, matched);
	spin_unlock(&tsc->lock);
}

/* --- The MSRs ------------------------------------------------------------------------------ */

/** mkvm_tsc_get() - read IA32_TIME_STAMP_COUNTER
 * @vcpu: the vCPU
 * @a: the access */
int mkvm_tsc_get(struct mkvm_vcpu *vcpu, struct msr_access *a)
{
	a->data = rdtsc() + vcpu->arch.tsc_offset;
	return 0;
}

/** mkvm_tsc_set() - write IA32_TIME_STAMP_COUNTER
 * @vcpu: the vCPU
 * @a: the access; a write by the guest shows in TSC_ADJUST, one by userspace is a new start */
int mkvm_tsc_set(struct mkvm_vcpu *vcpu, struct msr_access *a)
{
	u64 offset;

	if (a->host) {
		mkvm_tsc_synchronize(vcpu, a->data);
		return 0;
	}
	offset = a->data - rdtsc();
	vcpu->arch.tsc_adjust += offset - vcpu->arch.tsc_offset;
	tsc_set_offset(vcpu, offset);
	return 0;
}

/**
 * mkvm_tsc_adjust_set() - write IA32_TSC_ADJUST
 * @vcpu: the vCPU
 * @a: the access
 *
 * Userspace restores the TSC itself, and the adjustment beside it. As in KVM writes are ignored
 * where CPUID does not show the MSR.
 */
int mkvm_tsc_adjust_set(struct mkvm_vcpu *vcpu, struct msr_access *a)
{
	if (!mkvm_guest_has(vcpu, X86_FEATURE_TSC_ADJUST))
		return 0;
	if (!a->host)
		tsc_set_offset(vcpu, vcpu->arch.tsc_offset + a->data - vcpu->arch.tsc_adjust);
	vcpu->arch.tsc_adjust = a->data;
	return 0;
}

/* --- The rate ------------------------------------------------------------------------------- */

/*
 * The guest's counter runs at the rate of the host's: there is no scaling. Another rate is refused
 * unless the difference is one that nobody notices.
 */
static bool tsc_rate_possible(u32 khz)
{
	u64 host = tsc_khz, difference = khz > host ? khz - host : host - khz;

	return khz && difference <= div_u64(host * MKVM_TSC_TOLERANCE_PPM, 1000000);
}

/** mkvm_get_tsc_khz() - KVM_GET_TSC_KHZ on a vCPU
 * @vcpu: the vCPU */
long mkvm_get_tsc_khz(struct mkvm_vcpu *vcpu)
{
	return vcpu->arch.tsc_khz;
}

/**
 * mkvm_set_tsc_khz() - KVM_SET_TSC_KHZ on a vCPU
 * @vcpu: the vCPU
 * @khz: the rate; 0: that of the host
 * Return: 0, or EINVAL: not the host's rate.
 */
int mkvm_set_tsc_khz(struct mkvm_vcpu *vcpu, u32 khz)
{
	khz = khz ?: tsc_khz;
	if (!tsc_rate_possible(khz))
		return -EINVAL;
	vcpu->arch.tsc_khz = khz;
	return 0;
}

/** mkvm_vm_get_tsc_khz() - KVM_GET_TSC_KHZ on a VM: the rate of vCPUs to come
 * @vm: the VM */
long mkvm_vm_get_tsc_khz(struct mkvm *vm)
{
	return READ_ONCE(vm->arch.tsc.khz);
}

/**
 * mkvm_vm_set_tsc_khz() - KVM_SET_TSC_KHZ on a VM
 * @vm: the VM
 * @khz: the rate; 0: that of the host
 * Return: 0, or EINVAL: not the host's rate.
 */
int mkvm_vm_set_tsc_khz(struct mkvm *vm, u32 khz)
{
	khz = khz ?: tsc_khz;
	if (!tsc_rate_possible(khz))
		return -EINVAL;
	WRITE_ONCE(vm->arch.tsc.khz, khz);
	return 0;
}

/* --- KVM_VCPU_TSC_CTRL ------------------------------------------------------------------------ */

static int tsc_get_offset_attr(struct mkvm_vcpu *vcpu, u64 __user *arg)
{
	return put_user(vcpu->arch.tsc_offset, arg);
}

/* The offset is as exact as can be: a row of writes is one of equal offsets. */
static int tsc_set_offset_attr(struct mkvm_vcpu *vcpu, const u64 __user *arg)
{
	struct mkvm_vm_tsc *tsc = &vcpu->vm->arch.tsc;
	bool matched;
	u64 offset;

	if (get_user(offset, arg))
		return -EFAULT;

	spin_lock(&tsc->lock);
	matched = vcpu->arch.tsc_khz && vcpu->arch.tsc_khz == tsc->last_khz &&
		  offset == tsc->last_offset;
	tsc_note_write(vcpu, rdtsc() + offset, offset, ktime_get_boottime_ns(), matched);
	spin_unlock(&tsc->lock);
	return 0;
}

/**
 * mkvm_vcpu_device_attr() - KVM_{HAS,GET,SET}_DEVICE_ATTR on a vCPU
 * @vcpu: the vCPU
 * @ioctl: which of the three
 * @arg: the attribute: KVM_VCPU_TSC_OFFSET of the group KVM_VCPU_TSC_CTRL is the only one
 * Return: 0; ENXIO: no such attribute; EFAULT.
 */
int mkvm_vcpu_device_attr(struct mkvm_vcpu *vcpu, unsigned int ioctl,
			  const struct kvm_device_attr __user *arg)
{
	struct kvm_device_attr attr;

	if (copy_from_user(&attr, arg, sizeof(attr)))
		return -EFAULT;
	if (attr.group != KVM_VCPU_TSC_CTRL || attr.attr != KVM_VCPU_TSC_OFFSET)
		return -ENXIO;

	switch (ioctl) {
	case KVM_GET_DEVICE_ATTR:
		return tsc_get_offset_attr(vcpu, u64_to_user_ptr(attr.addr));
	case KVM_SET_DEVICE_ATTR:
		return tsc_set_offset_attr(vcpu, u64_to_user_ptr(attr.addr));
	default:
		return 0;
	}
}

/* --- Beginnings -------------------------------------------------------------------------------- */

/** mkvm_tsc_vm_init() - a new VM
 * @vm: the VM */
void mkvm_tsc_vm_init(struct mkvm *vm)
{
	spin_lock_init(&vm->arch.tsc.lock);
	vm->arch.tsc.khz = tsc_khz;
}

/** mkvm_tsc_reset() - the counter starts at 0 in the VM's first vCPU, others join it
 * @vcpu: the vCPU, after power-up */
void mkvm_tsc_reset(struct mkvm_vcpu *vcpu)
{
	vcpu->arch.tsc_khz = vcpu->arch.tsc_khz ?: READ_ONCE(vcpu->vm->arch.tsc.khz);
	vcpu->arch.tsc_adjust = 0;
	mkvm_tsc_synchronize(vcpu, 0);
}
