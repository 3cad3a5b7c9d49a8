/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM minikvm

#if !defined(MKVM_X86_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define MKVM_X86_TRACE_H

/*
 * Tracepoints at the arrows of "life of a VM exit". A disabled one costs a
 * no-op; fields that need the control block are read only when it is enabled.
 */

#include <linux/tracepoint.h>
#include <uapi/asm/svm.h>
#include <uapi/asm/vmx.h>

#include "x86.h"

TRACE_EVENT(mkvm_entry,
	TP_PROTO(struct mkvm_vcpu *vcpu),
	TP_ARGS(vcpu),
	TP_STRUCT__entry(
		__field(int, vcpu_id)
		__field(unsigned long, rip)
		__field(u8, event)
		__field(u8, vector)
	),
	TP_fast_assign(
		__entry->vcpu_id = vcpu->id;
		__entry->rip = mkvm_rip(vcpu);
		__entry->event = vcpu->arch.event.type;
		__entry->vector = vcpu->arch.event.vector;
	),
	TP_printk("vcpu %d rip 0x%lx inject %s vector %u", __entry->vcpu_id, __entry->rip,
		  __print_symbolic(__entry->event,
				   { MKVM_EVENT_NONE, "none" },
				   { MKVM_EVENT_EXTINT, "interrupt" },
				   { MKVM_EVENT_NMI, "nmi" },
				   { MKVM_EVENT_EXCEPTION, "exception" },
				   { MKVM_EVENT_SOFT_INT, "soft_int" },
				   { MKVM_EVENT_ICEBP, "icebp" },
				   { MKVM_EVENT_SOFT_EXC, "soft_exception" }),
		  __entry->vector)
);

/*
 * info1, info2: Intel: exit qualification and guest-physical address; AMD: EXITINFO1 and 2.
 * intr_info: Intel: VM-exit interruption information; AMD: EXITINTINFO.
 */
TRACE_EVENT(mkvm_exit,
	TP_PROTO(struct mkvm_vcpu *vcpu, u32 reason, u64 info1, u64 info2, u32 intr_info),
	TP_ARGS(vcpu, reason, info1, info2, intr_info),
	TP_STRUCT__entry(
		__field(int, vcpu_id)
		__field(bool, amd)
		__field(u32, reason)
		__field(unsigned long, rip)
		__field(u64, info1)
		__field(u64, info2)
		__field(u32, intr_info)
	),
	TP_fast_assign(
		__entry->vcpu_id = vcpu->id;
		__entry->amd = mkvm_caps.amd;
		__entry->reason = reason;
		__entry->rip = mkvm_rip(vcpu);
		__entry->info1 = info1;
		__entry->info2 = info2;
		__entry->intr_info = intr_info;
	),
	TP_printk("vcpu %d reason %s%s rip 0x%lx info1 0x%llx info2 0x%llx intr_info 0x%x",
		  __entry->vcpu_id,
		  /* Sign-extended: VMEXIT_INVALID is -1. */
		  __entry->amd ? __print_symbolic((long)(s32)__entry->reason, SVM_EXIT_REASONS) :
			__print_symbolic(__entry->reason & 0xffff, VMX_EXIT_REASONS),
		  !__entry->amd && __entry->reason & VMX_EXIT_REASONS_FAILED_VMENTRY ?
			" (failed entry)" : "",
		  __entry->rip, __entry->info1, __entry->info2, __entry->intr_info)
);

TRACE_EVENT(mkvm_hypercall,
	TP_PROTO(struct mkvm_vcpu *vcpu, unsigned long nr, unsigned long a0,
		 unsigned long a1, unsigned long a2, unsigned long a3),
	TP_ARGS(vcpu, nr, a0, a1, a2, a3),
	TP_STRUCT__entry(
		__field(int, vcpu_id)
		__field(unsigned long, nr)
		__field(unsigned long, a0)
		__field(unsigned long, a1)
		__field(unsigned long, a2)
		__field(unsigned long, a3)
	),
	TP_fast_assign(
		__entry->vcpu_id = vcpu->id;
		__entry->nr = nr;
		__entry->a0 = a0;
		__entry->a1 = a1;
		__entry->a2 = a2;
		__entry->a3 = a3;
	),
	TP_printk("vcpu %d nr 0x%lx a0 0x%lx a1 0x%lx a2 0x%lx a3 0x%lx", __entry->vcpu_id,
		  __entry->nr, __entry->a0, __entry->a1, __entry->a2, __entry->a3)
);

TRACE_EVENT(mkvm_pio,
	TP_PROTO(struct mkvm_vcpu *vcpu, bool in, u16 port, u8 size, u32 count),
	TP_ARGS(vcpu, in, port, size, count),
	TP_STRUCT__entry(
		__field(int, vcpu_id)
		__field(bool, in)
		__field(u16, port)
		__field(u8, size)
		__field(u32, count)
		__field(u32, value)
	),
	TP_fast_assign(
		__entry->vcpu_id = vcpu->id;
		__entry->in = in;
		__entry->port = port;
		__entry->size = size;
		__entry->count = count;
		__entry->value = 0;
		memcpy(&__entry->value, vcpu->arch.pio_data, size);
	),
	TP_printk("vcpu %d %s port 0x%x size %u count %u value 0x%x", __entry->vcpu_id,
		  __entry->in ? "in" : "out", __entry->port, __entry->size,
		  __entry->count, __entry->value)
);

TRACE_EVENT(mkvm_mmio,
	TP_PROTO(struct mkvm_vcpu *vcpu, bool is_write, gpa_t gpa, u8 len, u64 value),
	TP_ARGS(vcpu, is_write, gpa, len, value),
	TP_STRUCT__entry(
		__field(int, vcpu_id)
		__field(bool, is_write)
		__field(gpa_t, gpa)
		__field(u8, len)
		__field(u64, value)
	),
	TP_fast_assign(
		__entry->vcpu_id = vcpu->id;
		__entry->is_write = is_write;
		__entry->gpa = gpa;
		__entry->len = len;
		__entry->value = value;
	),
	TP_printk("vcpu %d %s gpa 0x%llx len %u value 0x%llx", __entry->vcpu_id,
		  __entry->is_write ? "write" : "read", __entry->gpa, __entry->len,
		  __entry->value)
);

TRACE_EVENT(mkvm_page_fault,
	TP_PROTO(struct mkvm_vcpu *vcpu, gpa_t gpa, u32 fault, int result),
	TP_ARGS(vcpu, gpa, fault, result),
	TP_STRUCT__entry(
		__field(int, vcpu_id)
		__field(gpa_t, gpa)
		__field(u32, fault)
		__field(int, result)
	),
	TP_fast_assign(
		__entry->vcpu_id = vcpu->id;
		__entry->gpa = gpa;
		__entry->fault = fault;
		__entry->result = result;
	),
	TP_printk("vcpu %d gpa 0x%llx access %s result %d", __entry->vcpu_id, __entry->gpa,
		  __print_flags(__entry->fault, "|",
				{ MKVM_FAULT_READ, "r" },
				{ MKVM_FAULT_WRITE, "w" },
				{ MKVM_FAULT_FETCH, "x" }),
		  __entry->result)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace

#include <trace/define_trace.h>
