// SPDX-License-Identifier: GPL-2.0
/* Guests that note their events; see log.h. */
#include <string.h>

#include "lib/log.h"

extern const uint8_t log16[], log16_end[];
extern const uint8_t log32[], log32_end[];
extern const uint8_t log64[], log64_end[];

static bool is_long(enum test_mode mode)
{
	return mode == MODE_LONG || mode == MODE_COMPAT || mode == MODE_LONG_R3;
}

/* Where the handler of @vector begins. */
uint64_t log_handler(enum test_mode mode, int vector)
{
	if (mode == MODE_REAL)
		return LOG_HANDLERS16 + vector * LOG_STRIDE16;
	return (is_long(mode) ? LOG_HANDLERS64 : LOG_HANDLERS32) + vector * LOG_STRIDE;
}

/* Interrupt gates that ring 3 may call, for all vectors. */
static void build_idt(struct test_vm *vm, enum test_mode mode)
{
	uint16_t sel = is_long(mode) ? SEL_CODE64 : SEL_CODE32;
	int i, stride = is_long(mode) ? 16 : 8;

	memset(vm_hva(vm, GUEST_IDT, 256 * 16), 0, 256 * 16);
	for (i = 0; i < 256; i++) {
		uint64_t addr = log_handler(mode, i);
		uint64_t gate = (addr & 0xffff) | (uint64_t)sel << 16 | 0xeeull << 40 |
				(addr >> 16) << 48;

		vm_write(vm, GUEST_IDT + i * stride, &gate, sizeof(gate));
	}
}

static void build_ivt(struct test_vm *vm)
{
	uint32_t *ivt = vm_hva(vm, 0, 0x400);
	int i;

	for (i = 0; i < 256; i++)
		ivt[i] = log_handler(MODE_REAL, i);
}

/* vcpu_set_mode() with these handlers, and an empty list. */
void vcpu_set_log_mode(struct test_vcpu *vcpu, enum test_mode mode)
{
	struct test_vm *vm = vcpu->vm;
	struct kvm_sregs s;

	vcpu_set_mode(vcpu, mode);
	memset(vm_hva(vm, LOG_COUNT, 0x800), 0, 0x800);
	if (mode == MODE_REAL) {
		build_ivt(vm);
		vm_write(vm, LOG_HANDLERS16, log16, log16_end - log16);
		return;
	}
	build_idt(vm, mode);
	vm_write(vm, LOG_HANDLERS32, log32, log32_end - log32);
	vm_write(vm, LOG_HANDLERS64, log64, log64_end - log64);
	vcpu_get_sregs(vcpu, &s);
	s.idt.limit = 256 * (is_long(mode) ? 16 : 8) - 1;
	vcpu_set_sregs(vcpu, &s);
}

struct test_vcpu *vm_with_log(enum test_mode mode, struct guest_code code)
{
	struct test_vcpu *vcpu = vm_with_guest(mode, code);

	vcpu_set_log_mode(vcpu, mode);
	return vcpu;
}

uint32_t log_count(struct test_vm *vm)
{
	return *(uint32_t *)vm_hva(vm, LOG_COUNT, 4);
}

int vcpu_event(struct test_vcpu *vcpu, uint32_t count_before, struct test_event *event)
{
	uint32_t count = log_count(vcpu->vm);

	memset(event, 0, sizeof(*event));
	if (count == count_before)
		return NO_EVENT;
	/* Events one above the other: the one that halted last is seen first. */
	vm_read(vcpu->vm, LOG_FIRST + (count - 1) % LOG_RECORDS * sizeof(*event), event,
		sizeof(*event));
	event->error = (int64_t)(int32_t)event->error;
	return event->vector;
}

int vcpu_run_to_event(struct test_vcpu *vcpu, struct test_event *event)
{
	uint32_t before = log_count(vcpu->vm);

	vcpu_run(vcpu);
	vcpu_expect(vcpu, KVM_EXIT_HLT);
	return vcpu_event(vcpu, before, event);
}
