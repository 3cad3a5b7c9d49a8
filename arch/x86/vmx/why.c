// SPDX-License-Identifier: GPL-2.0
/*
 * What to print when the CPU refuses something or does something unexpected.
 */
#include <linux/ratelimit.h>

#include "vmx.h"

/* SDM, "VM-Instruction Error Numbers". */
static const char * const vmx_instruction_errors[] = {
	[1] = "VMCALL executed in VMX root operation",
	[2] = "VMCLEAR with invalid physical address",
	[3] = "VMCLEAR with VMXON pointer",
	[4] = "VMLAUNCH with non-clear VMCS",
	[5] = "VMRESUME with non-launched VMCS",
	[6] = "VMRESUME after VMXOFF",
	[7] = "VM entry with invalid control fields",
	[8] = "VM entry with invalid host-state fields",
	[9] = "VMPTRLD with invalid physical address",
	[10] = "VMPTRLD with VMXON pointer",
	[11] = "VMPTRLD with incorrect VMCS revision identifier",
	[12] = "VMREAD or VMWRITE of an unsupported field",
	[13] = "VMWRITE to a read-only field",
	[15] = "VMXON executed in VMX root operation",
	[25] = "VM entry with MOV SS blocking and a pending debug event",
	[26] = "VM entry with events blocked by MOV SS",
	[28] = "invalid operand of INVEPT or INVVPID",
};

/**
 * vmx_instruction_error() - a VM-instruction error in words
 * @error: number
 * Return: never NULL.
 */
const char *vmx_instruction_error(u32 error)
{
	if (error < ARRAY_SIZE(vmx_instruction_errors) && vmx_instruction_errors[error])
		return vmx_instruction_errors[error];
	return "unknown error";
}

/** vmread_error() - a VMREAD failed: a bug, or the machine is going down
 * @field: encoding */
void vmread_error(unsigned long field)
{
	pr_err_ratelimited("VMREAD of field 0x%04lx failed\n", field);
}

/** vmwrite_error() - a VMWRITE failed: a bug, or the machine is going down
 * @field: encoding
 * @value: value */
void vmwrite_error(unsigned long field, unsigned long value)
{
	pr_err_ratelimited("VMWRITE of 0x%lx to field 0x%04lx failed\n", value, field);
}

static void vmx_dump_segment(struct mkvm_vcpu *vcpu, const char *name, enum mkvm_seg seg)
{
	struct kvm_segment s;

	vmx_get_segment(vcpu, seg, &s);
	pr_err("  %-4s selector %04x base %016llx limit %08x type %x s %u dpl %u p %u l %u db %u g %u%s\n",
	       name, s.selector, s.base, s.limit, s.type, s.s, s.dpl, s.present, s.l, s.db, s.g,
	       s.unusable ? " unusable" : "");
}

static void vmx_dump_guest(struct mkvm_vcpu *vcpu)
{
	struct kvm_segment gdt, idt;

	pr_err(" guest:\n");
	pr_err("  rip %016lx rsp %016lx rflags %08lx\n", vmcs_readl(GUEST_RIP),
	       vmcs_readl(GUEST_RSP), vmcs_readl(GUEST_RFLAGS));
	pr_err("  cr0 %08lx shadow %08lx cr3 %016lx cr4 %08lx shadow %08lx efer %llx\n",
	       vmcs_readl(GUEST_CR0), vmcs_readl(CR0_READ_SHADOW), vmcs_readl(GUEST_CR3),
	       vmcs_readl(GUEST_CR4), vmcs_readl(CR4_READ_SHADOW), vmcs_read64(GUEST_IA32_EFER));
	vmx_dump_segment(vcpu, "cs", MKVM_SEG_CS);
	vmx_dump_segment(vcpu, "ss", MKVM_SEG_SS);
	vmx_dump_segment(vcpu, "ds", MKVM_SEG_DS);
	vmx_dump_segment(vcpu, "es", MKVM_SEG_ES);
	vmx_dump_segment(vcpu, "fs", MKVM_SEG_FS);
	vmx_dump_segment(vcpu, "gs", MKVM_SEG_GS);
	vmx_dump_segment(vcpu, "ldtr", MKVM_SEG_LDTR);
	vmx_dump_segment(vcpu, "tr", MKVM_SEG_TR);
	vmx_get_segment(vcpu, MKVM_SEG_GDTR, &gdt);
	vmx_get_segment(vcpu, MKVM_SEG_IDTR, &idt);
	pr_err("  gdtr base %016llx limit %04x idtr base %016llx limit %04x\n", gdt.base,
	       gdt.limit, idt.base, idt.limit);
	pr_err("  activity %x interruptibility %x pending debug %lx dr7 %lx pat %llx debugctl %llx\n",
	       vmcs_read32(GUEST_ACTIVITY_STATE), vmcs_read32(GUEST_INTERRUPTIBILITY_INFO),
	       vmcs_readl(GUEST_PENDING_DBG_EXCEPTIONS), vmcs_readl(GUEST_DR7),
	       vmcs_read64(GUEST_IA32_PAT), vmcs_read64(GUEST_IA32_DEBUGCTL));
}

static void vmx_dump_host_and_controls(void)
{
	pr_err(" host: rip %016lx rsp %016lx cr0 %08lx cr3 %016lx cr4 %08lx\n",
	       vmcs_readl(HOST_RIP), vmcs_readl(HOST_RSP), vmcs_readl(HOST_CR0),
	       vmcs_readl(HOST_CR3), vmcs_readl(HOST_CR4));
	pr_err(" controls: pin %08x cpu %08x cpu2 %08x exit %08x entry %08x exceptions %08x\n",
	       vmcs_read32(PIN_BASED_VM_EXEC_CONTROL), vmcs_read32(CPU_BASED_VM_EXEC_CONTROL),
	       vmcs_read32(SECONDARY_VM_EXEC_CONTROL), vmcs_read32(VM_EXIT_CONTROLS),
	       vmcs_read32(VM_ENTRY_CONTROLS), vmcs_read32(EXCEPTION_BITMAP));
	pr_err(" entry event: info %08x error code %08x length %u; eptp %llx\n",
	       vmcs_read32(VM_ENTRY_INTR_INFO_FIELD),
	       vmcs_read32(VM_ENTRY_EXCEPTION_ERROR_CODE),
	       vmcs_read32(VM_ENTRY_INSTRUCTION_LEN), vmcs_read64(EPT_POINTER));
}

/**
 * vmx_dump() - print the state of a vCPU after an exit that nobody understands
 * @vcpu: the vCPU, loaded
 *
 * Once for each VM, and not more often than the log can bear: a guest may cause it.
 */
void vmx_dump(struct mkvm_vcpu *vcpu)
{
	static DEFINE_RATELIMIT_STATE(limit, 10 * HZ, 3);
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (test_and_set_bit(0, &vcpu->vm->arch.dumped) || !__ratelimit(&limit))
		return;

	if (vmx->fail)
		pr_err("vcpu %d: VM entry failed: error %u, %s\n", vcpu->id, vmx->exit_reason,
		       vmx_instruction_error(vmx->exit_reason));
	else
		pr_err("vcpu %d: %s, reason 0x%08x (%s), qualification 0x%lx, interruption %08x, vectoring %08x, gpa %llx\n",
		       vcpu->id,
		       vmx->exit_reason & VMX_EXIT_REASONS_FAILED_VMENTRY ?
				"VM entry refused" : "unexpected VM exit",
		       vmx->exit_reason, vmx_exit_name((u16)vmx->exit_reason) ?: "unknown",
		       vmcs_readl(EXIT_QUALIFICATION), vmcs_read32(VM_EXIT_INTR_INFO),
		       vmcs_read32(IDT_VECTORING_INFO_FIELD),
		       vmcs_read64(GUEST_PHYSICAL_ADDRESS));
	vmx_dump_guest(vcpu);
	vmx_dump_host_and_controls();
}
