// SPDX-License-Identifier: GPL-2.0
/*
 * Execution modes: descriptor tables, page tables, handlers and the special
 * registers of a vCPU, as Intel's manual volume 3 and AMD's volume 2 have them.
 */
#include <string.h>
#include <sys/ioctl.h>

#include "lib/vm.h"

#define CR0_PE		(1ull << 0)
#define CR0_MP		(1ull << 1)
#define CR0_ET		(1ull << 4)
#define CR0_NE		(1ull << 5)
#define CR0_WP		(1ull << 16)
#define CR0_PG		(1ull << 31)
#define CR4_PSE		(1ull << 4)
#define CR4_PAE		(1ull << 5)
#define CR4_OSFXSR	(1ull << 9)
#define CR4_OSXMMEXCPT	(1ull << 10)
#define EFER_LME	(1ull << 8)
#define EFER_LMA	(1ull << 10)

#define PTE_P		(1ull << 0)
#define PTE_W		(1ull << 1)
#define PTE_U		(1ull << 2)
#define PTE_PS		(1ull << 7)
#define PTE_ALL		(PTE_P | PTE_W | PTE_U)

#define HANDLER_STRIDE	16

extern const uint8_t handlers16[], handlers16_end[];
extern const uint8_t handlers32[], handlers32_end[];
extern const uint8_t handlers64[], handlers64_end[];

static const char *const mode_names[MODE_NUM] = {
	[MODE_REAL] = "real mode",
	[MODE_PROT16] = "16-bit protected mode",
	[MODE_PROT32] = "32-bit protected mode",
	[MODE_PAGING32] = "32-bit paging",
	[MODE_PAE] = "PAE paging",
	[MODE_LONG] = "64-bit mode",
	[MODE_COMPAT] = "compatibility mode",
	[MODE_LONG_R3] = "64-bit mode, ring 3",
};

const char *test_mode_name(enum test_mode mode)
{
	return mode_names[mode];
}

/* An 8-byte descriptor; @type holds S and the type, @flags G, D/B and L. */
static uint64_t descriptor(uint32_t base, uint32_t limit, unsigned int type,
			   unsigned int dpl, unsigned int flags)
{
	return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 |
		(uint64_t)type << 40 | (uint64_t)dpl << 45 | 1ull << 47 |
		(uint64_t)(limit >> 16 & 0xf) << 48 | (uint64_t)flags << 52 |
		(uint64_t)(base >> 24) << 56;
}

#define D_G	8
#define D_DB	4
#define D_L	2
#define D_CODE	0x1b	/* S, code, readable, accessed */
#define D_DATA	0x13	/* S, data, writable, accessed */
#define D_TSS	0x0b	/* busy TSS, 32 or 64 bits */

/* The GDT of guest.h and a TSS that knows the ring 0 stack. */
static void build_gdt(struct test_vm *vm)
{
	uint64_t *gdt = vm_hva(vm, GUEST_GDT, GDT_ENTRIES * 8);
	uint8_t *tss = vm_hva(vm, GUEST_TSS, 0x68);
	uint64_t rsp0 = GUEST_STACK0_TOP;

	memset(gdt, 0, GDT_ENTRIES * 8);
	gdt[SEL_CODE32 / 8] = descriptor(0, 0xfffff, D_CODE, 0, D_G | D_DB);
	gdt[SEL_DATA / 8] = descriptor(0, 0xfffff, D_DATA, 0, D_G | D_DB);
	gdt[SEL_CODE64 / 8] = descriptor(0, 0xfffff, D_CODE, 0, D_G | D_L);
	gdt[SEL_DATA_R3 / 8] = descriptor(0, 0xfffff, D_DATA, 3, D_G | D_DB);
	gdt[SEL_CODE64_R3 / 8] = descriptor(0, 0xfffff, D_CODE, 3, D_G | D_L);
	gdt[SEL_CODE32_R3 / 8] = descriptor(0, 0xfffff, D_CODE, 3, D_G | D_DB);
	gdt[SEL_TSS / 8] = descriptor(GUEST_TSS, 0x67, D_TSS, 0, 0);
	gdt[SEL_CODE16 / 8] = descriptor(0, 0xffff, D_CODE, 0, 0);
	gdt[SEL_DATA16 / 8] = descriptor(0, 0xffff, D_DATA, 0, 0);

	memset(tss, 0, 0x68);
	memcpy(tss + 4, &rsp0, 8);		/* RSP0, or ESP0 ... */
	tss[0x66] = 0x68;			/* no I/O bitmap */
}

/* The 32-bit TSS has SS0 where the 64-bit one has RSP0's upper half. */
static void set_ss0(struct test_vm *vm)
{
	uint32_t ss0 = SEL_DATA;

	vm_write(vm, GUEST_TSS + 8, &ss0, sizeof(ss0));
}

/* Handlers and gates for vectors 0 to 31. */
void vm_build_idt(struct test_vm *vm, bool long_mode)
{
	uint8_t *idt = vm_hva(vm, GUEST_IDT, 256 * 16);
	uint32_t base = long_mode ? GUEST_HANDLERS64 : GUEST_HANDLERS32;
	int stride = long_mode ? 16 : 8;
	int i;

	memset(idt, 0, 256 * 16);
	for (i = 0; i < 32; i++) {
		uint32_t addr = base + i * HANDLER_STRIDE;
		uint16_t sel = long_mode ? SEL_CODE64 : SEL_CODE32;
		uint64_t gate;

		/* A 32- or 64-bit interrupt gate, callable from ring 3. */
		gate = (addr & 0xffff) | (uint64_t)sel << 16 |
			0xeeull << 40 | (uint64_t)(addr >> 16) << 48;
		memcpy(idt + i * stride, &gate, 8);
	}
	vm_write(vm, GUEST_HANDLERS64, handlers64,
		 handlers64_end - handlers64);
	vm_write(vm, GUEST_HANDLERS32, handlers32,
		 handlers32_end - handlers32);
}

/* The interrupt table of real mode. */
static void build_ivt(struct test_vm *vm)
{
	uint32_t *ivt = vm_hva(vm, 0, 0x400);
	int i;

	for (i = 0; i < 32; i++)
		ivt[i] = GUEST_HANDLERS16 + i * HANDLER_STRIDE;
	vm_write(vm, GUEST_HANDLERS16, handlers16,
		 handlers16_end - handlers16);
}

/* Identity maps of the low 4 GiB in three formats, user pages all. */
static void build_page_tables(struct test_vm *vm)
{
	uint64_t *pml4 = vm_hva(vm, GUEST_PML4, 0x1000);
	uint64_t *pdpt = vm_hva(vm, GUEST_PDPT, 0x1000);
	uint64_t *pd = vm_hva(vm, GUEST_PD, 0x4000);
	uint64_t *pt = vm_hva(vm, GUEST_PT, 0x1000);
	uint32_t *pd32 = vm_hva(vm, GUEST_PD32, 0x1000);
	uint32_t *pt32 = vm_hva(vm, GUEST_PT32, 0x1000);
	uint64_t *pae = vm_hva(vm, GUEST_PDPT_PAE, 32);
	uint64_t i;

	memset(pml4, 0, 0x1000);
	memset(pdpt, 0, 0x1000);
	pml4[0] = GUEST_PDPT | PTE_ALL;
	for (i = 0; i < 4; i++) {
		pdpt[i] = (GUEST_PD + i * 0x1000) | PTE_ALL;
		pae[i] = (GUEST_PD + i * 0x1000) | PTE_P;
	}
	for (i = 0; i < 2048; i++)
		pd[i] = i << 21 | PTE_ALL | PTE_PS;
	pd[0] = GUEST_PT | PTE_ALL;
	for (i = 0; i < 512; i++)
		pt[i] = i << 12 | PTE_ALL;
	for (i = 0; i < 1024; i++) {
		pd32[i] = i << 22 | PTE_ALL | PTE_PS;
		pt32[i] = i << 12 | PTE_ALL;
	}
	pd32[0] = GUEST_PT32 | PTE_ALL;
}

/* The 4 KiB entry that maps @gva in PAE and long mode; below 2 MiB only. */
uint64_t *vm_pte(struct test_vm *vm, uint64_t gva)
{
	TEST_CHECK(gva < 0x200000, "GVA %#lx has no 4 KiB page", gva);
	return (uint64_t *)vm_hva(vm, GUEST_PT, 0x1000) + (gva >> 12);
}

/* The same for two-level paging; below 4 MiB. */
uint32_t *vm_pte32(struct test_vm *vm, uint32_t gva)
{
	TEST_CHECK(gva < 0x400000, "GVA %#x has no 4 KiB page", gva);
	return (uint32_t *)vm_hva(vm, GUEST_PT32, 0x1000) + (gva >> 12);
}

/* All tables that any mode needs, so that a guest can switch by itself. */
void vm_build_tables(struct test_vm *vm)
{
	build_ivt(vm);
	build_gdt(vm);
	vm_build_idt(vm, false);
	build_page_tables(vm);
}

/* A segment register as it is after a load of @sel from the GDT. */
static struct kvm_segment gdt_segment(struct test_vm *vm, uint16_t sel)
{
	uint64_t d = *(uint64_t *)vm_hva(vm, GUEST_GDT + (sel & ~7u), 8);
	struct kvm_segment seg = {
		.selector = sel,
		.base = (d >> 16 & 0xffffff) | (d >> 56 << 24),
		.limit = (d & 0xffff) | (d >> 48 & 0xf) << 16,
		.type = d >> 40 & 0xf,
		.s = d >> 44 & 1,
		.dpl = d >> 45 & 3,
		.present = d >> 47 & 1,
		.l = d >> 53 & 1,
		.db = d >> 54 & 1,
		.g = d >> 55 & 1,
	};

	if (seg.g)
		seg.limit = seg.limit << 12 | 0xfff;
	return seg;
}

/* Real mode as after reset, apart from the code segment's base of 0. */
static void set_real(struct kvm_sregs *s)
{
	struct kvm_segment *data[] = { &s->ds, &s->es, &s->fs, &s->gs, &s->ss };
	struct kvm_segment seg = {
		.limit = 0xffff, .type = 3, .s = 1, .present = 1,
	};
	unsigned int i;

	s->cr0 = CR0_ET;
	s->cr3 = 0;
	s->cr4 = 0;
	s->efer = 0;
	for (i = 0; i < sizeof(data) / sizeof(data[0]); i++)
		*data[i] = seg;
	s->cs = seg;
	s->cs.type = 11;
	s->tr = (struct kvm_segment){ .limit = 0xffff, .type = 11, .present = 1 };
	s->ldt = (struct kvm_segment){ .limit = 0xffff, .type = 2, .present = 1 };
	s->gdt = s->idt = (struct kvm_dtable){ .limit = 0xffff };
}

/*
 * Put the vCPU into @mode, with all tables in place, general registers zero
 * apart from RIP and RSP, interrupts off. Used again on the same vCPU it starts
 * a new guest, unless KVM_RUN was left in the middle of an instruction.
 */
void vcpu_set_mode(struct test_vcpu *vcpu, enum test_mode mode)
{
	struct kvm_regs r = {
		.rip = GUEST_CODE,
		.rsp = GUEST_STACK_TOP,
		.rflags = 2,
	};
	struct test_vm *vm = vcpu->vm;
	uint16_t cs = 0, ss = SEL_DATA;
	struct kvm_sregs s;

	vm_build_tables(vm);
	vcpu_get_sregs(vcpu, &s);
	if (mode == MODE_REAL) {
		set_real(&s);
		vcpu_set_sregs(vcpu, &s);
		vcpu_set_regs(vcpu, &r);
		return;
	}

	s.cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE;
	s.cr3 = 0;
	s.cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT;
	s.efer = 0;
	switch (mode) {
	case MODE_PROT16:
		cs = SEL_CODE16;
		ss = SEL_DATA16;
		break;
	case MODE_PAGING32:
		s.cr0 |= CR0_PG | CR0_WP;
		s.cr3 = GUEST_PD32;
		s.cr4 |= CR4_PSE;
		cs = SEL_CODE32;
		break;
	case MODE_PAE:
		s.cr0 |= CR0_PG | CR0_WP;
		s.cr3 = GUEST_PDPT_PAE;
		s.cr4 |= CR4_PAE;
		cs = SEL_CODE32;
		break;
	case MODE_LONG:
	case MODE_COMPAT:
	case MODE_LONG_R3:
		s.cr0 |= CR0_PG | CR0_WP;
		s.cr3 = GUEST_PML4;
		s.cr4 |= CR4_PAE;
		s.efer = EFER_LME | EFER_LMA;
		cs = mode == MODE_COMPAT ? SEL_CODE32 : SEL_CODE64;
		if (mode == MODE_LONG_R3) {
			cs = SEL_CODE64_R3;
			ss = SEL_DATA_R3;
		}
		vm_build_idt(vm, true);
		break;
	default:
		cs = SEL_CODE32;
		break;
	}
	if (!s.efer)
		set_ss0(vm);

	s.cs = gdt_segment(vm, cs);
	s.ss = gdt_segment(vm, ss);
	s.ds = s.es = s.fs = s.gs = s.ss;
	s.tr = gdt_segment(vm, SEL_TSS);
	memset(&s.ldt, 0, sizeof(s.ldt));
	s.ldt.unusable = 1;
	s.gdt.base = GUEST_GDT;
	s.gdt.limit = GDT_ENTRIES * 8 - 1;
	s.idt.base = GUEST_IDT;
	s.idt.limit = s.efer ? 32 * 16 - 1 : 32 * 8 - 1;
	vcpu_set_sregs(vcpu, &s);
	vcpu_set_regs(vcpu, &r);
}
