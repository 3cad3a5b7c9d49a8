// SPDX-License-Identifier: GPL-2.0
/*
 * The vCPU: registers in and out, what is refused, the run struct's mapping,
 * signals, immediate_exit, and what happens to those who meddle.
 */
#include "abi.h"

#include <setjmp.h>
#include <sys/time.h>

#include "lib/vendor.h"

#define CR0_PE		(1UL << 0)
#define CR0_MP		(1UL << 1)
#define CR0_ET		(1UL << 4)
#define CR0_NE		(1UL << 5)
#define CR0_NW		(1UL << 29)
#define CR0_CD		(1UL << 30)
#define CR0_PG		(1UL << 31)
#define CR4_PAE		(1UL << 5)
#define CR4_OSFXSR	(1UL << 9)
#define CR4_VMXE	(1UL << 13)
#define EFER_SCE	(1UL << 0)
#define EFER_LME	(1UL << 8)
#define EFER_LMA	(1UL << 10)
#define EFER_NX		(1UL << 11)

/* Without bit 1, which is always set, and without VM. */
#define RFLAGS_DEFINED	0x3d7fd5UL
#define RFLAGS_VM	(1UL << 17)

#define MSR_TSC			0x10
#define MSR_APICBASE		0x1b
#define MSR_SYSENTER_CS		0x174
#define MSR_SYSENTER_ESP	0x175
#define MSR_SYSENTER_EIP	0x176
#define MSR_PAT			0x277
#define MSR_EFER		0xc0000080
#define MSR_STAR		0xc0000081
#define MSR_LSTAR		0xc0000082
#define MSR_CSTAR		0xc0000083
#define MSR_SFMASK		0xc0000084
#define MSR_FS_BASE		0xc0000100
#define MSR_GS_BASE		0xc0000101
#define MSR_KERNEL_GS_BASE	0xc0000102
#define MSR_NONE		0xbadbad	/* no CPU has it */

#define CPUID_ENTRIES	256

struct cpuid {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 entries[CPUID_ENTRIES];
};

FIXTURE(vcpu)
{
	struct machine m;
	struct kvm_sregs sregs;		/* of the start */
	struct cpuid *cpuid;		/* what is supported, and set */
};

FIXTURE_SETUP(vcpu)
{
	MACHINE_INIT(&self->m);
	self->cpuid = calloc(1, sizeof(*self->cpuid));
	ASSERT_NE(NULL, self->cpuid);
	self->cpuid->head.nent = CPUID_ENTRIES;
	ASSERT_EQ(0, xioctl(self->m.dev, KVM_GET_SUPPORTED_CPUID, self->cpuid));
	ASSERT_EQ(0, xioctl(self->m.vcpu, KVM_SET_CPUID2, self->cpuid));
	ASSERT_EQ(0, xioctl(self->m.vcpu, KVM_GET_SREGS, &self->sregs));
}

FIXTURE_TEARDOWN(vcpu)
{
	machine_destroy(&self->m);
	free(self->cpuid);
}

GUEST(guest_hlt, "1: hlt\n jmp 1b\n");
GUEST(guest_spin, "1: inc %ecx\n jmp 1b\n");
GUEST(guest_in, "in %dx, %al\n 1: hlt\n jmp 1b\n");
GUEST(guest_in32, "in %dx, %eax\n 1: hlt\n jmp 1b\n");
GUEST(guest_out, "out %al, %dx\n 1: hlt\n jmp 1b\n");
GUEST(guest_ins, "rep insb\n 1: hlt\n jmp 1b\n");
GUEST(guest_outs, "rep outsb\n 1: hlt\n jmp 1b\n");
/* FS has a base of MACHINE_HOLE. */
GUEST(guest_mmio_read, "mov %fs:(%bx), %eax\n 1: hlt\n jmp 1b\n");
GUEST(guest_mmio_write, "mov %eax, %fs:(%bx)\n 1: hlt\n jmp 1b\n");
/* All three kinds of exits for ever; AL comes back changed by one. */
GUEST(guest_exits,
      "1: in %dx, %al\n"
      "out %al, %dx\n"
      "mov %fs:(%bx), %ecx\n"
      "mov %ecx, %fs:(%bx)\n"
      "mov $4, %cx\n"
      "mov $0x9000, %di\n"
      "cld\n"
      "rep insb\n"
      "inc %ebp\n"
      "jmp 1b\n");
GUEST(guest_fpu,
      "fninit\n"
      "fld1\n"
      "fldpi\n"
      "movd %eax, %xmm3\n"
      "1: hlt\n jmp 1b\n");
GUEST(guest_fpu_store,
      "movups %xmm5, (%bx)\n"
      "fnsave 16(%bx)\n"
      "1: hlt\n jmp 1b\n");

/* Also give FS the base of the hole in memory. */
static long set_hole(struct machine *m)
{
	struct kvm_sregs sregs;
	long ret = xioctl(m->vcpu, KVM_GET_SREGS, &sregs);

	if (ret)
		return ret;
	sregs.fs.base = MACHINE_HOLE;
	sregs.fs.selector = MACHINE_HOLE >> 4;
	return xioctl(m->vcpu, KVM_SET_SREGS, &sregs);
}

#define GUEST_START(m, guest, ...) do {					\
	struct kvm_regs __regs = {					\
		.rip = MACHINE_CODE, .rflags = MACHINE_RFLAGS,		\
		.rsp = 0x8000, __VA_ARGS__				\
	};								\
									\
	GUEST_LOAD(m, guest);						\
	ASSERT_EQ(0, set_hole(m));					\
	ASSERT_EQ(0, xioctl((m)->vcpu, KVM_SET_REGS, &__regs));		\
} while (0)

#define RUN_TO(m, reason) do {						\
	ASSERT_EQ(0, machine_run(m));					\
	ASSERT_EQ((reason), (m)->run->exit_reason);			\
} while (0)

static volatile unsigned int signals;

static void count_signal(int sig)
{
	signals++;
}

static void timer_start(unsigned int usec)
{
	setitimer(ITIMER_REAL, &(struct itimerval){
		.it_value.tv_usec = usec, .it_interval.tv_usec = usec }, NULL);
}

/* --- The state of a new vCPU ------------------------------------------------- */

TEST_F(vcpu, reset_state)
{
	const struct vendor *vendor = test_vendor();
	int id, fd = -1;

	for (id = 0; id < 3; id++) {
		const struct {
			const char *name;
			size_t offset;
			uint16_t selector;
			uint64_t base;
			uint8_t type, s;
		} segs[] = {
			{ "cs", offsetof(struct kvm_sregs, cs), 0xf000, 0xffff0000,
			  vendor->reset_code, 1 },
			{ "ds", offsetof(struct kvm_sregs, ds), 0, 0, vendor->reset_data, 1 },
			{ "es", offsetof(struct kvm_sregs, es), 0, 0, vendor->reset_data, 1 },
			{ "fs", offsetof(struct kvm_sregs, fs), 0, 0, vendor->reset_data, 1 },
			{ "gs", offsetof(struct kvm_sregs, gs), 0, 0, vendor->reset_data, 1 },
			{ "ss", offsetof(struct kvm_sregs, ss), 0, 0, vendor->reset_data, 1 },
			{ "tr", offsetof(struct kvm_sregs, tr), 0, 0, vendor->reset_tr, 0 },
			{ "ldt", offsetof(struct kvm_sregs, ldt), 0, 0, 2, 0 },
		};
		struct machine other = self->m;
		struct kvm_mp_state mp = { ~0U };
		struct kvm_sregs s;
		struct kvm_regs r;
		unsigned int i;

		if (id == 0)
			other.vm = xioctl(self->m.dev, KVM_CREATE_VM, 0);
		ASSERT_LE(0, other.vm);
		fd = xioctl(other.vm, KVM_CREATE_VCPU, id);
		ASSERT_LE(0, fd);
		memset(&s, 0xa5, sizeof(s));
		memset(&r, 0xa5, sizeof(r));
		ASSERT_EQ(0, xioctl(fd, KVM_GET_SREGS, &s));
		ASSERT_EQ(0, xioctl(fd, KVM_GET_REGS, &r));
		EXPECT_EQ(0xfff0, r.rip);
		EXPECT_EQ(2, r.rflags);
		EXPECT_EQ(0, r.rax | r.rbx | r.rcx | r.rsi | r.rdi | r.rsp | r.rbp);
		EXPECT_EQ(0, r.r8 | r.r9 | r.r10 | r.r11 | r.r12 | r.r13 | r.r14 | r.r15);
		/* DX holds family, model and stepping: never 0. */
		EXPECT_NE(0, r.rdx);
		EXPECT_EQ(0x60000010, s.cr0);
		EXPECT_EQ(0, s.cr2 | s.cr3 | s.cr4 | s.cr8 | s.efer);
		EXPECT_EQ(0xffff, s.gdt.limit);
		EXPECT_EQ(0xffff, s.idt.limit);
		EXPECT_EQ(0, s.gdt.base | s.idt.base);
		for (i = 0; i < 3; i++) {
			EXPECT_EQ(0, s.gdt.padding[i] | s.idt.padding[i]);
		}
		for (i = 0; i < 4; i++) {
			EXPECT_EQ(0, s.interrupt_bitmap[i]);
		}
		/* Enabled; the bootstrap bit is the first vCPU's. */
		EXPECT_EQ(0xfee00800, s.apic_base & ~0x100ULL);
		EXPECT_EQ(id == 0, !!(s.apic_base & 0x100));
		for (i = 0; i < ARRAY_LEN(segs); i++) {
			const struct kvm_segment *seg = (void *)&s + segs[i].offset;

			EXPECT_TRUE(seg->base == segs[i].base && seg->selector == segs[i].selector &&
				    seg->limit == 0xffff &&
				    test_reset_type_ok(seg, segs[i].type) &&
				    seg->s == segs[i].s && seg->present == 1 && !seg->dpl &&
				    !seg->db && !seg->l && !seg->g && !seg->avl &&
				    !seg->unusable && !seg->padding)
				TH_LOG("vCPU %d: %s: base %#llx selector %#x limit %#x type %u s %u present %u",
				       id, segs[i].name, seg->base, seg->selector, seg->limit,
				       seg->type, seg->s, seg->present);
		}
		ASSERT_EQ(0, xioctl(fd, KVM_GET_MP_STATE, &mp));
		EXPECT_EQ(KVM_MP_STATE_RUNNABLE, mp.mp_state);
		close(fd);
		if (id == 0)
			close(other.vm);
	}
}

/* --- KVM_GET_REGS, KVM_SET_REGS ---------------------------------------------- */

TEST_F(vcpu, regs_round_trip)
{
	struct kvm_regs in, out;
	unsigned int i;

	for (i = 0; i < 100; i++) {
		rand_fill(&in, sizeof(in));
		/* Half of the rounds set reserved flags, none sets VM: not in real mode. */
		in.rflags &= i % 2 ? RFLAGS_DEFINED : ~RFLAGS_VM;
		memset(&out, 0xa5, sizeof(out));
		ASSERT_EQ(0, xioctl(self->m.vcpu, KVM_SET_REGS, &in));
		ASSERT_EQ(0, xioctl(self->m.vcpu, KVM_GET_REGS, &out));
		/* Bit 1 is always set; other reserved bits may be dropped. */
		EXPECT_EQ(2, out.rflags & 2);
		EXPECT_EQ(in.rflags & RFLAGS_DEFINED, out.rflags & RFLAGS_DEFINED);
		EXPECT_EQ(0, out.rflags & ~in.rflags & ~2ULL);
		out.rflags = in.rflags;
		EXPECT_EQ(0, memcmp(&in, &out, sizeof(in)))
			TH_LOG("round %u", i);
	}
}

/* All registers of the same VM stay apart. */
TEST_F(vcpu, regs_of_two_vcpus)
{
	struct kvm_regs a, b, out;
	int fd = xioctl(self->m.vm, KVM_CREATE_VCPU, 1);

	ASSERT_LE(0, fd);
	rand_fill(&a, sizeof(a));
	rand_fill(&b, sizeof(b));
	a.rflags = b.rflags = 2;
	ASSERT_EQ(0, xioctl(self->m.vcpu, KVM_SET_REGS, &a));
	ASSERT_EQ(0, xioctl(fd, KVM_SET_REGS, &b));
	ASSERT_EQ(0, xioctl(self->m.vcpu, KVM_GET_REGS, &out));
	EXPECT_EQ(0, memcmp(&a, &out, sizeof(a)));
	ASSERT_EQ(0, xioctl(fd, KVM_GET_REGS, &out));
	EXPECT_EQ(0, memcmp(&b, &out, sizeof(b)));
	close(fd);
}

/* A guest that has not touched a register does not change it. */
TEST_F(vcpu, regs_survive_run)
{
	struct machine *m = &self->m;
	struct kvm_regs in, out;
	int i;

	GUEST_LOAD(m, guest_hlt);
	for (i = 0; i < 10; i++) {
		rand_fill(&in, sizeof(in));
		in.rip = MACHINE_CODE;
		in.rflags = 2 | (rand_u64() & 0xcd5);
		ASSERT_EQ(0, xioctl(m->vcpu, KVM_SET_REGS, &in));
		RUN_TO(m, KVM_EXIT_HLT);
		EXPECT_EQ(!!(in.rflags & 0x200), m->run->if_flag);
		ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_REGS, &out));
		EXPECT_EQ(MACHINE_CODE + 1, out.rip);
		out.rip = in.rip;
		EXPECT_EQ(0, memcmp(&in, &out, sizeof(in)));
	}
}

/* Flags that no CPU can run with: refused by the entry, not by a crash. */
TEST_F(vcpu, regs_impossible_flags)
{
	static const uint64_t flags[] = {
		1 << 3, 1 << 5, 1 << 15, 1 << 22, 1ULL << 32, 1ULL << 63, 1 << 17, ~0ULL,
	};
	struct machine *m = &self->m;
	struct kvm_regs r = { .rip = MACHINE_CODE };
	unsigned int i;
	long ret;

	GUEST_LOAD(m, guest_hlt);
	for (i = 0; i < ARRAY_LEN(flags); i++) {
		/* IF off: no interrupt window games. TF off: no #DB without handler. */
		r.rflags = flags[i] & ~0x300ULL;
		ret = xioctl(m->vcpu, KVM_SET_REGS, &r);
		if (ret) {
			EXPECT_EQ(-EINVAL, ret);
			continue;
		}
		EXPECT_EQ(0, machine_run(m))
			TH_LOG("flags %#llx", (unsigned long long)flags[i]);
		EXPECT_TRUE(m->run->exit_reason == KVM_EXIT_FAIL_ENTRY ||
			    m->run->exit_reason == KVM_EXIT_INTERNAL_ERROR ||
			    m->run->exit_reason == KVM_EXIT_SHUTDOWN ||
			    m->run->exit_reason == KVM_EXIT_HLT)
			TH_LOG("flags %#llx: exit %u", (unsigned long long)flags[i],
			       m->run->exit_reason);
		if (m->run->exit_reason == KVM_EXIT_SHUTDOWN)
			break;
	}
	/* And it runs again with good ones. */
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_SET_SREGS, &self->sregs));
	r.rflags = 2;
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_SET_REGS, &r));
	RUN_TO(m, KVM_EXIT_HLT);
}

/* --- KVM_GET_SREGS, KVM_SET_SREGS -------------------------------------------- */

TEST_F(vcpu, sregs_round_trip)
{
	struct kvm_sregs in, out;
	struct kvm_segment *data[] = { &in.ds, &in.es, &in.fs, &in.gs, &in.ss };
	unsigned int i, k;

	/* Protected mode, no paging: nothing else constrains the segments. */
	for (i = 0; i < 30; i++) {
		in = self->sregs;
		in.cr0 = CR0_PE | CR0_ET | CR0_NE;
		in.cr2 = rand_u64();
		in.cr3 = rand_u64() & 0xfffff000;
		in.cr4 = CR4_OSFXSR;
		in.gdt.base = (uint32_t)rand_u64();
		in.gdt.limit = rand_u64();
		in.idt.base = (uint32_t)rand_u64();
		in.idt.limit = rand_u64();
		in.cs = (struct kvm_segment){
			.base = (uint32_t)rand_u64(), .limit = 0xffffffff, .selector = rand_u64() & ~7,
			.type = 11, .present = 1, .db = rand_u64() & 1, .s = 1, .g = 1,
			.avl = rand_u64() & 1,
		};
		for (k = 0; k < ARRAY_LEN(data); k++) {
			*data[k] = (struct kvm_segment){
				.base = (uint32_t)rand_u64(), .limit = 0xfffff & rand_u64(),
				.selector = rand_u64() & ~7, .type = 3, .present = 1,
				.db = rand_u64() & 1, .s = 1, .avl = rand_u64() & 1,
			};
		}
		in.tr.base = (uint32_t)rand_u64();
		in.tr.limit = 0x67;
		in.tr.selector = rand_u64() & ~7;
		in.ldt.base = (uint32_t)rand_u64();
		in.ldt.limit = 0xfff;
		in.ldt.selector = rand_u64() & ~7;
		ASSERT_EQ(0, xioctl(self->m.vcpu, KVM_SET_SREGS, &in));
		memset(&out, 0xa5, sizeof(out));
		ASSERT_EQ(0, xioctl(self->m.vcpu, KVM_GET_SREGS, &out));
		for (k = 0; k < sizeof(in); k++) {
			ASSERT_EQ(((uint8_t *)&in)[k], ((uint8_t *)&out)[k])
				TH_LOG("round %u: byte %u of struct kvm_sregs", i, k);
		}
	}
}

/* A segment that is not there: unusable comes back as not present. */
TEST_F(vcpu, sregs_unusable)
{
	struct kvm_sregs in = self->sregs, out;

	in.cr0 = CR0_PE | CR0_ET | CR0_NE;
	in.fs = (struct kvm_segment){ .unusable = 1 };
	in.ldt = (struct kvm_segment){ .unusable = 1 };
	ASSERT_EQ(0, xioctl(self->m.vcpu, KVM_SET_SREGS, &in));
	ASSERT_EQ(0, xioctl(self->m.vcpu, KVM_GET_SREGS, &out));
	EXPECT_EQ(1, out.fs.unusable);
	EXPECT_EQ(0, out.fs.present);
	EXPECT_EQ(1, out.ldt.unusable);
	EXPECT_EQ(0, out.ldt.present);
	EXPECT_EQ(0, out.fs.padding | out.ldt.padding);
}

TEST_F(vcpu, sregs_rules)
{
	const uint64_t pe = CR0_PE | CR0_ET | CR0_NE, pg = pe | CR0_PG;
	const uint64_t lm = EFER_LME | EFER_LMA;
	/* 0 in a column: as at the start. */
	const struct {
		const char *name;
		uint64_t cr0, cr3, cr4, efer, apic_base;
		int cs_l;
		long want;
	} rows[] = {
		{ "as read", 0, 0, 0, 0, 0, 0, 0 },
		{ "protected mode", pe, 0, 0, 0, 0, 0, 0 },
		{ "paging", pg, 0, 0, 0, 0, 0, 0 },
		{ "PAE paging", pg, 0x2000, CR4_PAE, 0, 0, 0, 0 },
		{ "long mode", pg, 0x2000, CR4_PAE, lm, 0, 1, 0 },
		{ "long mode, 32-bit code", pg, 0x2000, CR4_PAE, lm, 0, 0, 0 },
		{ "LME before paging", pe, 0, CR4_PAE, EFER_LME, 0, 0, 0 },

		{ "CR0: PG without PE", CR0_PG | CR0_ET, 0, 0, 0, 0, 0, -EINVAL },
		{ "CR0: NW without CD", CR0_NW | CR0_ET, 0, 0, 0, 0, 0, -EINVAL },
		{ "CR0: NW and CD", CR0_NW | CR0_CD | CR0_ET, 0, 0, 0, 0, 0, 0 },
		{ "CR0: bit 32", pe | 1UL << 32, 0, 0, 0, 0, 0, -EINVAL },
		{ "CR0: bit 63", pe | 1UL << 63, 0, 0, 0, 0, 0, -EINVAL },

		{ "CR4: bit 15", 0, 0, 1UL << 15, 0, 0, 0, -EINVAL },
		{ "CR4: bit 31", 0, 0, 1UL << 31, 0, 0, 0, -EINVAL },
		{ "CR4: bit 32", 0, 0, 1UL << 32, 0, 0, 0, -EINVAL },
		{ "CR4: bit 63", 0, 0, 1UL << 63, 0, 0, 0, -EINVAL },
		/* minikvm has no nested VMX; KVM allows it where it has. */
		{ "CR4: VMXE", 0, 0, CR4_VMXE, 0, 0, 0,
		  test_device_is_minikvm() || !test_vendor()->has_vmxe ? -EINVAL : 0 },

		{ "long mode without PAE", pg, 0, 0, lm, 0, 0, -EINVAL },
		{ "long mode without LMA", pg, 0, CR4_PAE, EFER_LME, 0, 0, -EINVAL },
		{ "LMA without paging", pe, 0, CR4_PAE, lm, 0, 0, -EINVAL },
		{ "LMA without LME", pg, 0, CR4_PAE, EFER_LMA, 0, 0, -EINVAL },
		{ "LMA in real mode", 0, 0, 0, EFER_LMA, 0, 0, -EINVAL },
		{ "64-bit code in real mode", 0, 0, 0, 0, 0, 1, -EINVAL },
		{ "64-bit code with PAE paging", pg, 0x2000, CR4_PAE, 0, 0, 1, -EINVAL },
		{ "long mode, CR3 bit 51", pg, 1UL << 51, CR4_PAE, lm, 0, 1, -EINVAL },
		{ "long mode, CR3 bit 52", pg, 1UL << 52, CR4_PAE, lm, 0, 1, -EINVAL },
		{ "long mode, CR3 bit 63", pg, 1UL << 63, CR4_PAE, lm, 0, 1, -EINVAL },

		/* The base is checked whether or not there is an APIC in the kernel. */
		{ "APIC base elsewhere", 0, 0, 0, 0, 0xfed00900, 0, 0 },
		{ "APIC disabled", 0, 0, 0, 0, 0xfee00100, 0, 0 },
		{ "APIC base: bit 0", 0, 0, 0, 0, 0xfee00901, 0, -EINVAL },
		{ "APIC base: bit 9", 0, 0, 0, 0, 0xfee00b00, 0, -EINVAL },
		{ "APIC base: x2APIC, not enabled", 0, 0, 0, 0, 0xfee00500, 0, -EINVAL },
		{ "APIC base: bit 52", 0, 0, 0, 0, 1UL << 52 | 0xfee00900, 0, -EINVAL },
		{ "APIC base: bit 63", 0, 0, 0, 0, 1UL << 63 | 0xfee00900, 0, -EINVAL },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		struct kvm_sregs s = self->sregs, before, after;

		ASSERT_EQ(0, xioctl(self->m.vcpu, KVM_SET_SREGS, &s));
		ASSERT_EQ(0, xioctl(self->m.vcpu, KVM_GET_SREGS, &before));
		if (rows[i].cr0)
			s.cr0 = rows[i].cr0;
		if (rows[i].cr3)
			s.cr3 = rows[i].cr3;
		if (rows[i].cr4)
			s.cr4 = rows[i].cr4;
		if (rows[i].apic_base)
			s.apic_base = rows[i].apic_base;
		s.efer = rows[i].efer;
		s.cs.l = rows[i].cs_l;
		if (s.cs.l)
			s.cs.db = 0;
		/* What is refused must change nothing. */
		s.cr2 = 0x1234;
		EXPECT_ROW(rows[i].want, xioctl(self->m.vcpu, KVM_SET_SREGS, &s), rows[i].name);
		ASSERT_EQ(0, xioctl(self->m.vcpu, KVM_GET_SREGS, &after));
		if (!rows[i].want) {
			EXPECT_EQ(0, memcmp(&s, &after, sizeof(s)))
				TH_LOG("row: %s: not what was set", rows[i].name);
		} else if (after.cr2 != 0x1234) {
			EXPECT_EQ(0, memcmp(&before, &after, sizeof(s)))
				TH_LOG("row: %s: changed though refused", rows[i].name);
		}
	}
}

/* EFER's reserved bits: KVM takes them and fails the entry; EINVAL is as good. */
TEST_F(vcpu, sregs_efer_reserved)
{
	struct machine *m = &self->m;
	unsigned int bit;

	GUEST_LOAD(m, guest_hlt);
	for (bit = 1; bit < 64; bit = bit == 7 ? 15 : bit + (bit > 15 ? 12 : 1)) {
		struct kvm_sregs s = self->sregs;
		long ret;

		s.efer = 1UL << bit;
		ret = xioctl(m->vcpu, KVM_SET_SREGS, &s);
		if (ret) {
			EXPECT_EQ(-EINVAL, ret);
			continue;
		}
		ASSERT_EQ(0, machine_enter_at(m, MACHINE_CODE));
		ret = machine_run(m);
		EXPECT_TRUE(!ret || ret == -EINVAL)
			TH_LOG("EFER bit %u: %ld", bit, ret);
	}
	/* Still good. */
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_SET_SREGS, &self->sregs));
	ASSERT_EQ(0, machine_enter_at(m, MACHINE_CODE));
	RUN_TO(m, KVM_EXIT_HLT);
}

/* Whatever is thrown at SET_SREGS: an answer, and a host that lives on. */
TEST_F(vcpu, sregs_garbage)
{
	struct machine *m = &self->m;
	struct sigaction sa = { .sa_handler = count_signal };
	struct kvm_regs r = { .rip = MACHINE_CODE, .rflags = MACHINE_RFLAGS };
	unsigned int i, accepted = 0;

	ASSERT_EQ(0, sigaction(SIGALRM, &sa, NULL));
	/* Wherever the guest comes to, it halts. */
	memset(m->mem, 0xf4, MACHINE_MEM);
	for (i = 0; i < 200; i++) {
		struct kvm_sregs s = self->sregs;
		unsigned int k, n = 1 + rand_below(6);

		/* A few random bytes make it past the checks now and then. */
		for (k = 0; k < n; k++)
			((uint8_t *)&s)[rand_below(offsetof(struct kvm_sregs, interrupt_bitmap))] ^=
				1 << rand_below(8);
		if (i % 4 == 0)
			rand_fill(&s, offsetof(struct kvm_sregs, cr0));
		/*
		 * TCG: #VMEXIT from a guest with LME but without PAE leaves the host without
		 * paging (cpu_x86_update_cr0() returns early), and its CPU is gone.
		 */
		if (test_cpu_is_tcg() && s.efer & (1 << 8) && !(s.cr4 & (1 << 5)))
			continue;
		if (xioctl(m->vcpu, KVM_SET_SREGS, &s))
			continue;
		accepted++;
		ASSERT_EQ(0, xioctl(m->vcpu, KVM_SET_REGS, &r));
		/* One run, bounded by a signal: the guest may well loop. */
		timer_start(5000);
		m->run->immediate_exit = i & 1;
		machine_run(m);
		m->run->immediate_exit = 0;
		timer_start(0);
	}
	EXPECT_LT(0, accepted);
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_SET_SREGS, &self->sregs));
	ASSERT_EQ(0, machine_enter_at(m, MACHINE_CODE));
	RUN_TO(m, KVM_EXIT_HLT);
}

/* --- KVM_GET_FPU, KVM_SET_FPU ------------------------------------------------ */

static void random_fpu(struct kvm_fpu *f)
{
	unsigned int i;

	memset(f, 0, sizeof(*f));
	for (i = 0; i < 8; i++) {
		rand_fill(f->fpr[i], 8);
		f->fpr[i][8] = rand_u64();
		f->fpr[i][9] = rand_u64();
	}
	f->fcw = 0x37f;
	f->fsw = rand_u64() & 0x7f00;
	f->ftwx = 0xff;
	rand_fill(f->xmm, sizeof(f->xmm));
	f->mxcsr = 0x1f80;
}

TEST_F(vcpu, fpu_round_trip)
{
	struct machine *m = &self->m;
	struct kvm_fpu in, out;
	struct kvm_sregs s;
	unsigned int i;

	/*
	 * State that the guest has in use: stock KVM forgets what is set before
	 * that where the CPU has XSAVE (fpu_test: set_fpu_of_new_vcpu).
	 */
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_SREGS, &s));
	s.cr0 = (s.cr0 & ~CR0_CD & ~CR0_NW) | CR0_MP | CR0_NE;
	s.cr4 |= CR4_OSFXSR;
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_SET_SREGS, &s));
	GUEST_START(m, guest_fpu, .rax = 1);
	RUN_TO(m, KVM_EXIT_HLT);
	GUEST_LOAD(m, guest_hlt);
	for (i = 0; i < 20; i++) {
		random_fpu(&in);
		memset(&out, 0xa5, sizeof(out));
		ASSERT_EQ(0, xioctl(m->vcpu, KVM_SET_FPU, &in));
		/* The second half runs the guest in between. */
		if (i >= 10) {
			ASSERT_EQ(0, machine_enter_at(m, MACHINE_CODE));
			RUN_TO(m, KVM_EXIT_HLT);
		}
		ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_FPU, &out));
		EXPECT_EQ(in.fcw, out.fcw);
		EXPECT_EQ(in.fsw, out.fsw);
		EXPECT_EQ(in.ftwx, out.ftwx);
		EXPECT_EQ(0, memcmp(in.fpr, out.fpr, sizeof(in.fpr)));
		EXPECT_EQ(0, memcmp(in.xmm, out.xmm, sizeof(in.xmm)))
			TH_LOG("round %u", i);
		/* KVM leaves MXCSR out, both ways. */
		EXPECT_TRUE(out.mxcsr == 0 || out.mxcsr == in.mxcsr);
		EXPECT_EQ(0, out.pad1 | out.pad2);
	}
}

/* The guest's registers are what was set, and can be read. */
TEST_F(vcpu, fpu_of_guest)
{
	static const uint8_t one[10] = { 0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x3f };
	struct machine *m = &self->m;
	struct kvm_sregs s;
	struct kvm_fpu f, g;

	ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_SREGS, &s));
	s.cr0 = (s.cr0 & ~CR0_CD & ~CR0_NW) | CR0_MP | CR0_NE;
	s.cr4 |= CR4_OSFXSR;
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_SET_SREGS, &s));
	GUEST_START(m, guest_fpu, .rax = 0x12345678);
	RUN_TO(m, KVM_EXIT_HLT);
	memset(&f, 0xa5, sizeof(f));
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_FPU, &f));
	EXPECT_EQ(0x37f, f.fcw);
	EXPECT_EQ(6, f.fsw >> 11 & 7);
	EXPECT_EQ(0xc0, f.ftwx);
	EXPECT_EQ(0, memcmp(f.fpr[1], one, sizeof(one)));
	EXPECT_EQ(0x12345678, *(uint32_t *)f.xmm[3]);

	random_fpu(&g);
	g.fsw = 0;
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_SET_FPU, &g));
	GUEST_START(m, guest_fpu_store, .rbx = 0x9000);
	RUN_TO(m, KVM_EXIT_HLT);
	EXPECT_EQ(0, memcmp(m->mem + 0x9000, g.xmm[5], 16));
	/* FNSAVE in real mode: 14 bytes before the registers. */
	EXPECT_EQ(0, memcmp(m->mem + 0x9010 + 14, g.fpr[0], 10));
}

/* What XRSTOR or FXRSTOR would choke on must not reach it. */
TEST_F(vcpu, fpu_garbage)
{
	struct machine *m = &self->m;
	struct kvm_fpu f;
	unsigned int i;

	GUEST_LOAD(m, guest_hlt);
	for (i = 0; i < 20; i++) {
		rand_fill(&f, sizeof(f));
		if (i % 2)
			f.mxcsr = 0xffffffff;
		if (i % 3 == 0)
			memset(&f, 0xff, sizeof(f));
		EXPECT_EQ(0, xioctl(m->vcpu, KVM_SET_FPU, &f));
		ASSERT_EQ(0, machine_enter_at(m, MACHINE_CODE));
		RUN_TO(m, KVM_EXIT_HLT);
		EXPECT_EQ(0, xioctl(m->vcpu, KVM_GET_FPU, &f));
	}
}

/* The process's own registers are its own again after KVM_RUN. */
TEST_F(vcpu, fpu_of_host)
{
	struct machine *m = &self->m;
	struct kvm_fpu f;
	uint64_t a = rand_u64(), b;
	uint16_t cw = 0x27f, cw2;
	int ret;

	random_fpu(&f);
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_SET_FPU, &f));
	GUEST_LOAD(m, guest_hlt);
	ASSERT_EQ(0, machine_enter_at(m, MACHINE_CODE));
	/* By hand: nothing between may touch XMM15 or the control word. */
	asm volatile("movq %[a], %%xmm15\n"
		     "fldcw %[cw]\n"
		     "syscall\n"
		     "movq %%xmm15, %[b]\n"
		     "fnstcw %[cw2]\n"
		     "fninit\n"
		     : "=a" (ret), [b] "=r" (b), [cw2] "=m" (cw2)
		     : "0" (16), "D" (m->vcpu), "S" (KVM_RUN), "d" (0),
		       [a] "r" (a), [cw] "m" (cw)
		     : "rcx", "r11", "xmm15", "memory");
	EXPECT_EQ(0, ret);
	EXPECT_EQ(KVM_EXIT_HLT, m->run->exit_reason);
	EXPECT_EQ(a, b);
	EXPECT_EQ(cw, cw2);
}

/* --- KVM_GET_MSRS, KVM_SET_MSRS ---------------------------------------------- */

struct msrs {
	struct kvm_msrs head;
	struct kvm_msr_entry e[300];
};

TEST_F(vcpu, msrs_count)
{
	/* What comes back is the number of entries done before the first that failed. */
	static const struct {
		const char *name;
		uint32_t index[3];
		uint32_t n;
		long want;
	} rows[] = {
		{ "none", { 0 }, 0, 0 },
		{ "one", { MSR_STAR }, 1, 1 },
		{ "three", { MSR_STAR, MSR_LSTAR, MSR_PAT }, 3, 3 },
		{ "the same twice", { MSR_STAR, MSR_STAR }, 2, 2 },
		{ "unknown", { MSR_NONE }, 1, 0 },
		{ "unknown second", { MSR_STAR, MSR_NONE, MSR_LSTAR }, 3, 1 },
		{ "unknown last", { MSR_STAR, MSR_LSTAR, MSR_NONE }, 3, 2 },
	};
	struct msrs m;
	unsigned int i, k;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		memset(&m, 0, sizeof(m));
		m.head.nmsrs = rows[i].n;
		for (k = 0; k < 3; k++) {
			m.e[k].index = rows[i].index[k];
			m.e[k].data = 0xa5a5;
		}
		EXPECT_ROW(rows[i].want, xioctl(self->m.vcpu, KVM_GET_MSRS, &m), rows[i].name);
		EXPECT_EQ(rows[i].n, m.head.nmsrs);
		/* The one that failed is unspecified: KVM may store a 0. */
		for (k = rows[i].want + 1; k < rows[i].n; k++) {
			EXPECT_EQ(0xa5a5, m.e[k].data)
				TH_LOG("row: %s: entry %u was written", rows[i].name, k);
		}

		for (k = 0; k < 3; k++)
			m.e[k].data = rows[i].index[k] == MSR_PAT ? 0x0606060606060606 : 0x1000 + k;
		EXPECT_ROW(rows[i].want, xioctl(self->m.vcpu, KVM_SET_MSRS, &m), rows[i].name);
	}
	/* The entries before the bad one took effect: LSTAR of the last row. */
	m.head.nmsrs = 1;
	m.e[0].index = MSR_LSTAR;
	ASSERT_EQ(1, xioctl(self->m.vcpu, KVM_GET_MSRS, &m));
	EXPECT_EQ(0x1001, m.e[0].data);
}

TEST_F(vcpu, msrs_limits)
{
	static const struct {
		const char *name;
		uint32_t nmsrs, room;
		long want;
	} rows[] = {
		{ "255", 255, 255, 255 },
		{ "256", 256, 256, -E2BIG },
		{ "0xffffffff", 0xffffffff, 1, -E2BIG },
		/* Size in bytes a multiple of 2^32. */
		{ "0x10000001", 0x10000001, 1, -E2BIG },
		{ "2, memory for 1", 2, 1, -EFAULT },
		{ "1, memory for none", 1, 0, -EFAULT },
		{ "0, memory for none", 0, 0, 0 },
	};
	unsigned int i, k;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		size_t size = sizeof(struct kvm_msrs) + rows[i].room * sizeof(struct kvm_msr_entry);
		struct kvm_msrs *m = guarded_alloc(size);

		ASSERT_NE(NULL, m);
		memset(m, 0, size);
		m->nmsrs = rows[i].nmsrs;
		for (k = 0; k < rows[i].room; k++)
			m->entries[k].index = MSR_STAR;
		EXPECT_ROW(rows[i].want, xioctl(self->m.vcpu, KVM_GET_MSRS, m), rows[i].name);
		EXPECT_ROW(rows[i].want, xioctl(self->m.vcpu, KVM_SET_MSRS, m), rows[i].name);
		guarded_free(m, size);
	}
}

/* Reading stores, setting does not. */
TEST_F(vcpu, msrs_readonly_memory)
{
	struct msrs *m = mmap(NULL, 2 * TEST_PAGE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, (void *)m);
	m->head.nmsrs = 1;
	m->e[0].index = MSR_STAR;
	ASSERT_EQ(0, mprotect(m, 2 * TEST_PAGE, PROT_READ));
	EXPECT_EQ(-EFAULT, xioctl(self->m.vcpu, KVM_GET_MSRS, m));
	EXPECT_EQ(1, xioctl(self->m.vcpu, KVM_SET_MSRS, m));
	munmap(m, 2 * TEST_PAGE);
}

static long one_msr(int vcpu, bool set, uint32_t index, uint64_t *data)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry e;
	} m = { .head.nmsrs = 1, .e.index = index, .e.data = *data };
	long ret = xioctl(vcpu, set ? KVM_SET_MSRS : KVM_GET_MSRS, &m);

	if (!set)
		*data = m.e.data;
	return ret;
}

TEST_F(vcpu, msrs_values)
{
	const struct {
		const char *name;
		uint32_t index;
		uint64_t value;
		long want, other;
		uint64_t mask;		/* bits that are kept, 0: all */
	} rows[] = {
		{ "STAR", MSR_STAR, 0x123456789abcdef0, 1 },
		{ "LSTAR, lower half", MSR_LSTAR, 0x00007ffffffff000, 1 },
		{ "LSTAR, upper half", MSR_LSTAR, 0xffff800000000000, 1 },
		{ "LSTAR, not canonical", MSR_LSTAR, 0x0123456789abcdef, 0 },
		{ "CSTAR", MSR_CSTAR, 0xffffffff81000000, 1 },
		{ "CSTAR, not canonical", MSR_CSTAR, 1UL << 63, 0 },
		{ "SFMASK", MSR_SFMASK, 0x47700, 1 },
		{ "KERNEL_GS_BASE", MSR_KERNEL_GS_BASE, 0xffff888012345678, 1 },
		{ "KERNEL_GS_BASE, not canonical", MSR_KERNEL_GS_BASE, 0x1234ffff00000000, 0 },
		{ "FS_BASE", MSR_FS_BASE, 0x7fff12345678, 1 },
		{ "FS_BASE, not canonical", MSR_FS_BASE, 1UL << 62, 0 },
		{ "GS_BASE", MSR_GS_BASE, 0xffffc90000000000, 1 },
		{ "GS_BASE, not canonical", MSR_GS_BASE, 1UL << 62, 0 },
		{ "SYSENTER_CS", MSR_SYSENTER_CS, 0x10, 1 },
		{ "SYSENTER_ESP", MSR_SYSENTER_ESP, 0xfffffe0000001000, 1,
		  .mask = test_vendor()->sysenter_mask },
		{ "SYSENTER_EIP", MSR_SYSENTER_EIP, 0xffffffff81800000, 1,
		  .mask = test_vendor()->sysenter_mask },
		/* KVM makes these two canonical instead of refusing them. */
		{ "SYSENTER_ESP, not canonical", MSR_SYSENTER_ESP, 1UL << 62, 1, 0 },
		{ "SYSENTER_EIP, not canonical", MSR_SYSENTER_EIP, 1UL << 62, 1, 0 },
		{ "PAT", MSR_PAT, 0x0007010600070106, 1 },
		{ "PAT, type 2", MSR_PAT, 0x0007040600070402, 0 },
		{ "PAT, type 3", MSR_PAT, 0x0307040600070406, 0 },
		{ "PAT, type 8", MSR_PAT, 0x0007040800070406, 0 },
		{ "EFER", MSR_EFER, EFER_SCE | EFER_NX, 1 },
		{ "EFER, bit 1", MSR_EFER, 1 << 1, 0 },
		{ "EFER, bit 63", MSR_EFER, 1UL << 63, 0 },
		{ "TSC", MSR_TSC, 0x123456789ab, 1 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t v = rows[i].value, before = 0, after = 0;

		ASSERT_EQ(1, one_msr(self->m.vcpu, false, rows[i].index, &before))
			TH_LOG("row: %s", rows[i].name);
		EXPECT_ROW2(rows[i].want, rows[i].want ? rows[i].other ?: rows[i].want : 0,
			    one_msr(self->m.vcpu, true, rows[i].index, &v), rows[i].name);
		ASSERT_EQ(1, one_msr(self->m.vcpu, false, rows[i].index, &after));
		if (rows[i].index == MSR_TSC) {
			EXPECT_LE(rows[i].value, after);
		} else if (!rows[i].want) {
			EXPECT_EQ(before, after)
				TH_LOG("row: %s: changed though refused", rows[i].name);
		} else if (strstr(rows[i].name, "not canonical") == NULL) {
			EXPECT_EQ(0, (rows[i].value ^ after) & (rows[i].mask ?: ~0ULL))
				TH_LOG("row: %s: %#llx, not what was set", rows[i].name,
				       (unsigned long long)after);
		}
	}
}

/* The same register by two names. */
TEST_F(vcpu, msrs_and_sregs)
{
	struct kvm_sregs s;
	uint64_t v;

	v = 0x7fff00001000;
	ASSERT_EQ(1, one_msr(self->m.vcpu, true, MSR_FS_BASE, &v));
	v = 0x7fff00002000;
	ASSERT_EQ(1, one_msr(self->m.vcpu, true, MSR_GS_BASE, &v));
	v = EFER_SCE | EFER_NX;
	ASSERT_EQ(1, one_msr(self->m.vcpu, true, MSR_EFER, &v));
	ASSERT_EQ(0, xioctl(self->m.vcpu, KVM_GET_SREGS, &s));
	EXPECT_EQ(0x7fff00001000, s.fs.base);
	EXPECT_EQ(0x7fff00002000, s.gs.base);
	EXPECT_EQ(EFER_SCE | EFER_NX, s.efer);
	s.fs.base = 0x5000;
	s.gs.base = 0x6000;
	s.efer = 0;
	s.apic_base = 0xfed00900;
	ASSERT_EQ(0, xioctl(self->m.vcpu, KVM_SET_SREGS, &s));
	ASSERT_EQ(1, one_msr(self->m.vcpu, false, MSR_FS_BASE, &v));
	EXPECT_EQ(0x5000, v);
	ASSERT_EQ(1, one_msr(self->m.vcpu, false, MSR_GS_BASE, &v));
	EXPECT_EQ(0x6000, v);
	ASSERT_EQ(1, one_msr(self->m.vcpu, false, MSR_EFER, &v));
	EXPECT_EQ(0, v);
	ASSERT_EQ(1, one_msr(self->m.vcpu, false, MSR_APICBASE, &v));
	EXPECT_EQ(0xfed00900, v);
}

/* --- KVM_SET_CPUID2 ---------------------------------------------------------- */

TEST_F(vcpu, cpuid2_limits)
{
	uint32_t n = self->cpuid->head.nent;
	const struct {
		const char *name;
		uint32_t nent, room;
		long want;
	} rows[] = {
		{ "0", 0, 0, 0 },
		{ "1", 1, 1, 0 },
		{ "all supported", n, n, 0 },
		{ "256", 256, 256, 0 },
		{ "257", 257, 257, -E2BIG },
		{ "0xffffffff", 0xffffffff, 1, -E2BIG },
		{ "0x6666667", 0x6666667, 2, -E2BIG },
		{ "2, memory for 1", 2, 1, -EFAULT },
		{ "1, memory for none", 1, 0, -EFAULT },
		{ "257, memory for none", 257, 0, -E2BIG },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		size_t size = sizeof(struct kvm_cpuid2) +
			      rows[i].room * sizeof(struct kvm_cpuid_entry2);
		struct kvm_cpuid2 *c = guarded_alloc(size);
		unsigned int k;

		ASSERT_NE(NULL, c);
		memset(c, 0, size);
		c->nent = rows[i].nent;
		for (k = 0; k < rows[i].room && k < n; k++)
			c->entries[k] = self->cpuid->entries[k];
		EXPECT_ROW(rows[i].want, xioctl(self->m.vcpu, KVM_SET_CPUID2, c), rows[i].name);
		guarded_free(c, size);
	}
}

TEST_F(vcpu, cpuid2_garbage)
{
	struct machine *m = &self->m;
	struct cpuid *c = calloc(1, sizeof(*c));
	unsigned int i, k;

	ASSERT_NE(NULL, c);
	for (i = 0; i < 20; i++) {
		rand_fill(c, sizeof(*c));
		c->head.nent = rand_below(CPUID_ENTRIES + 1);
		for (k = 0; k < CPUID_ENTRIES; k++) {
			/* All kinds of functions, some many times over. */
			c->entries[k].function &= i % 2 ? 0x8000001f : 0x1f;
			c->entries[k].index &= 7;
		}
		xioctl(m->vcpu, KVM_SET_CPUID2, c);
	}
	/* An address width that no CPU has. */
	memcpy(c, self->cpuid, sizeof(*c));
	for (k = 0; k < c->head.nent; k++)
		if (c->entries[k].function == 0x80000008)
			c->entries[k].eax = (c->entries[k].eax & 0xff) | 40 << 8;
	EXPECT_EQ(-EINVAL, xioctl(m->vcpu, KVM_SET_CPUID2, c));
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_SET_CPUID2, self->cpuid));
	GUEST_START(m, guest_hlt);
	RUN_TO(m, KVM_EXIT_HLT);
	free(c);
}

/* Once the guest has run, only the same again is taken. */
TEST_F(vcpu, cpuid2_after_run)
{
	struct machine *m = &self->m;
	struct cpuid *c = calloc(1, sizeof(*c));

	ASSERT_NE(NULL, c);
	memcpy(c, self->cpuid, sizeof(*c));

	/* An attempt that did not enter the guest does not count. */
	m->run->immediate_exit = 1;
	EXPECT_EQ(-EINTR, machine_run(m));
	m->run->immediate_exit = 0;
	c->entries[0].ebx ^= 1;
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_SET_CPUID2, c));
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_SET_CPUID2, self->cpuid));

	GUEST_START(m, guest_hlt);
	RUN_TO(m, KVM_EXIT_HLT);
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_SET_CPUID2, self->cpuid));
	EXPECT_EQ(-EINVAL, xioctl(m->vcpu, KVM_SET_CPUID2, c));
	c->entries[0].ebx ^= 1;
	c->head.nent--;
	EXPECT_EQ(-EINVAL, xioctl(m->vcpu, KVM_SET_CPUID2, c));
	c->head.nent = 0;
	EXPECT_EQ(-EINVAL, xioctl(m->vcpu, KVM_SET_CPUID2, c));
	c->head.nent = 257;
	EXPECT_EQ(-E2BIG, xioctl(m->vcpu, KVM_SET_CPUID2, c));
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_SET_CPUID2, self->cpuid));
	free(c);
}

/* --- KVM_GET_MP_STATE, KVM_SET_MP_STATE -------------------------------------- */

TEST_F(vcpu, mp_state)
{
	/* Without an in-kernel APIC there is one state. */
	static const struct {
		const char *name;
		uint32_t state;
		long want;
	} rows[] = {
		{ "runnable", 0, 0 },
		{ "uninitialized", 1, -EINVAL },
		{ "INIT received", 2, -EINVAL },
		{ "halted", 3, -EINVAL },
		{ "SIPI received", 4, -EINVAL },
		{ "stopped (s390, arm)", 5, -EINVAL },
		{ "check stop", 6, -EINVAL },
		{ "operating", 7, -EINVAL },
		{ "load", 8, -EINVAL },
		{ "AP reset hold", 9, -EINVAL },
		{ "suspended", 10, -EINVAL },
		{ "11", 11, -EINVAL },
		{ "0x80000000", 0x80000000, -EINVAL },
		{ "0xffffffff", 0xffffffff, -EINVAL },
		{ "runnable again", 0, 0 },
	};
	struct kvm_mp_state mp;
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		mp.mp_state = rows[i].state;
		EXPECT_ROW(rows[i].want, xioctl(self->m.vcpu, KVM_SET_MP_STATE, &mp),
			   rows[i].name);
		mp.mp_state = 77;
		ASSERT_EQ(0, xioctl(self->m.vcpu, KVM_GET_MP_STATE, &mp));
		EXPECT_EQ(KVM_MP_STATE_RUNNABLE, mp.mp_state);
	}
	/* HLT goes to userspace and leaves the vCPU runnable. */
	GUEST_START(&self->m, guest_hlt);
	RUN_TO(&self->m, KVM_EXIT_HLT);
	ASSERT_EQ(0, xioctl(self->m.vcpu, KVM_GET_MP_STATE, &mp));
	EXPECT_EQ(KVM_MP_STATE_RUNNABLE, mp.mp_state);
	RUN_TO(&self->m, KVM_EXIT_HLT);
}

/* --- mmap -------------------------------------------------------------------- */

static sigjmp_buf bus_jump;

static void on_bus_error(int sig)
{
	siglongjmp(bus_jump, 1);
}

/* Is the first byte of every page readable? Return: pages before the first that is not. */
static int pages_readable(const volatile uint8_t *p, int pages)
{
	volatile int i;

	signal(SIGBUS, on_bus_error);
	signal(SIGSEGV, on_bus_error);
	for (i = 0; i < pages; i++) {
		if (sigsetjmp(bus_jump, 1))
			break;
		(void)p[i * TEST_PAGE];
	}
	signal(SIGBUS, SIG_DFL);
	signal(SIGSEGV, SIG_DFL);
	return i;
}

TEST_F(vcpu, mmap_rows)
{
	const int pages = self->m.run_size / TEST_PAGE;
	const struct {
		const char *name;
		int prot, flags;
		int first, count;
		int readable;	/* pages that are there; or the mmap fails */
	} rows[] = {
		{ "whole", PROT_READ | PROT_WRITE, MAP_SHARED, 0, pages, pages },
		{ "run struct alone", PROT_READ | PROT_WRITE, MAP_SHARED, 0, 1, 1 },
		{ "PIO data alone", PROT_READ | PROT_WRITE, MAP_SHARED, 1, 1, 1 },
		{ "read-only", PROT_READ, MAP_SHARED, 0, pages, pages },
		{ "private", PROT_READ | PROT_WRITE, MAP_PRIVATE, 0, pages, pages },
		{ "private, read-only", PROT_READ, MAP_PRIVATE, 0, pages, pages },
		{ "populated", PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, 0, pages, pages },
		/* Beyond the end: SIGBUS, if the mapping can be made at all. */
		{ "one page too many", PROT_READ | PROT_WRITE, MAP_SHARED, 0, pages + 1, pages },
		{ "16 pages too many", PROT_READ, MAP_SHARED, 0, pages + 16, pages },
		{ "page behind the end", PROT_READ, MAP_SHARED, pages, 1, 0 },
		{ "page far behind the end", PROT_READ, MAP_SHARED, 1 << 20, 1, 0 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t *p = mmap(NULL, rows[i].count * TEST_PAGE, rows[i].prot, rows[i].flags,
				  self->m.vcpu, rows[i].first * TEST_PAGE);

		if (p == MAP_FAILED) {
			EXPECT_LT(rows[i].readable, rows[i].count)
				TH_LOG("row: %s: mmap: %s", rows[i].name, strerror(errno));
			continue;
		}
		EXPECT_EQ(rows[i].readable, pages_readable(p, rows[i].count))
			TH_LOG("row: %s: pages that can be read", rows[i].name);
		munmap(p, rows[i].count * TEST_PAGE);
	}
	/* Unaligned offsets are the kernel's own affair. */
	EXPECT_EQ(MAP_FAILED, mmap(NULL, TEST_PAGE, PROT_READ, MAP_SHARED, self->m.vcpu, 512));
	EXPECT_EQ(EINVAL, errno);
}

/* The last page of the file offset space: page numbers that wrap. */
TEST_F(vcpu, mmap_far_offsets)
{
	static const unsigned long pgoff[] = {
		0x7fffffffffffe, 0x8000000000000 - 2, 0xffffffff, 0x100000000, 0x100000001,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(pgoff); i++) {
		uint8_t *p = mmap(NULL, TEST_PAGE, PROT_READ, MAP_SHARED, self->m.vcpu,
				  (off_t)(pgoff[i] << 12));

		if (p == MAP_FAILED)
			continue;
		EXPECT_EQ(0, pages_readable(p, 1))
			TH_LOG("page offset %#lx", pgoff[i]);
		munmap(p, TEST_PAGE);
	}
}

TEST_F(vcpu, mmap_shares)
{
	struct machine *m = &self->m;
	uint8_t *shared, *private, *grown;
	unsigned int i;

	/* A new vCPU's pages hold nothing of anybody's. */
	for (i = sizeof(struct kvm_run); i < m->run_size; i++) {
		ASSERT_EQ(0, ((uint8_t *)m->run)[i])
			TH_LOG("byte %#x of a new vCPU's mapping", i);
	}

	shared = mmap(NULL, m->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, m->vcpu, 0);
	private = mmap(NULL, m->run_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, m->vcpu, 0);
	ASSERT_TRUE(shared != MAP_FAILED && private != MAP_FAILED);

	/* A private write stays private. */
	private[offsetof(struct kvm_run, immediate_exit)] = 1;
	EXPECT_EQ(0, m->run->immediate_exit);
	GUEST_START(m, guest_in, .rdx = 0x123);
	RUN_TO(m, KVM_EXIT_IO);
	/* The second mapping is the same memory, both pages. */
	EXPECT_EQ(0, memcmp(shared, m->run, m->run_size));
	EXPECT_EQ(TEST_PAGE, m->run->io.data_offset);
	shared[TEST_PAGE] = 0x42;
	munmap(shared, m->run_size);
	RUN_TO(m, KVM_EXIT_HLT);
	{
		struct kvm_regs r;

		ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_REGS, &r));
		EXPECT_EQ(0x42, r.rax & 0xff);
	}
	munmap(private, m->run_size);

	/* Grown by mremap: what is added is not there. */
	grown = mremap(m->run, m->run_size, m->run_size + 4 * TEST_PAGE, MREMAP_MAYMOVE);
	if (grown != MAP_FAILED) {
		m->run = (void *)grown;
		EXPECT_EQ(m->run_size / TEST_PAGE,
			  pages_readable(grown, m->run_size / TEST_PAGE + 4));
		munmap(grown + m->run_size, 4 * TEST_PAGE);
	}
}

/* --- KVM_RUN ----------------------------------------------------------------- */

TEST_F(vcpu, run_argument)
{
	struct machine *m = &self->m;

	GUEST_START(m, guest_hlt);
	EXPECT_EQ(-EINVAL, xioctl(m->vcpu, KVM_RUN, 1));
	EXPECT_EQ(-EINVAL, xioctl(m->vcpu, KVM_RUN, -1UL));
	EXPECT_EQ(-EINVAL, xioctl(m->vcpu, KVM_RUN, 1UL << 32));
	EXPECT_EQ(-EINVAL, xioctl(m->vcpu, KVM_RUN, m->run));
	RUN_TO(m, KVM_EXIT_HLT);
}

/* Fields of the run struct that userspace writes. */
TEST_F(vcpu, run_fields)
{
	struct machine *m = &self->m;
	struct kvm_sregs s;

	GUEST_START(m, guest_hlt);
	/* Without the APIC in the kernel CR8 comes from here. */
	m->run->cr8 = 0x10;
	EXPECT_EQ(-EINVAL, machine_run(m));
	m->run->cr8 = -1ULL;
	EXPECT_EQ(-EINVAL, machine_run(m));
	m->run->cr8 = 7;
	RUN_TO(m, KVM_EXIT_HLT);
	EXPECT_EQ(7, m->run->cr8);
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_SREGS, &s));
	EXPECT_EQ(7, s.cr8);
	EXPECT_EQ(s.apic_base, m->run->apic_base);
	EXPECT_EQ(1, m->run->if_flag);

	/* What KVM_SET_SREGS sets is overwritten by the next run. */
	s.cr8 = 3;
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_SET_SREGS, &s));
	m->run->cr8 = 0;
	RUN_TO(m, KVM_EXIT_HLT);
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_SREGS, &s));
	EXPECT_EQ(0, s.cr8);

	/* Register sets that nobody has. */
	m->run->kvm_valid_regs = 1ULL << 63;
	EXPECT_EQ(-EINVAL, machine_run(m));
	m->run->kvm_valid_regs = 0;
	m->run->kvm_dirty_regs = 1ULL << 63;
	EXPECT_EQ(-EINVAL, machine_run(m));
	m->run->kvm_dirty_regs = 0;
	if (!cap_of(m->vm, KVM_CAP_SYNC_REGS)) {
		m->run->kvm_valid_regs = 1;
		EXPECT_EQ(-EINVAL, machine_run(m));
		m->run->kvm_valid_regs = 0;
		m->run->kvm_dirty_regs = 1;
		EXPECT_EQ(-EINVAL, machine_run(m));
		m->run->kvm_dirty_regs = 0;
	}
	RUN_TO(m, KVM_EXIT_HLT);
}

/* The exit's fields are complete whatever was there before. */
TEST_F(vcpu, run_exit_fields)
{
	struct machine *m = &self->m;

	GUEST_START(m, guest_out, .rdx = 0xfedc, .rax = 0x5a);
	memset((void *)m->run + offsetof(struct kvm_run, io), 0xa5, 64);
	RUN_TO(m, KVM_EXIT_IO);
	EXPECT_EQ(KVM_EXIT_IO_OUT, m->run->io.direction);
	EXPECT_EQ(1, m->run->io.size);
	EXPECT_EQ(0xfedc, m->run->io.port);
	EXPECT_EQ(1, m->run->io.count);
	EXPECT_EQ(0x5a, *machine_io_data(m));
	RUN_TO(m, KVM_EXIT_HLT);

	GUEST_START(m, guest_mmio_write, .rbx = 0x10, .rax = 0x12345678);
	memset((void *)m->run + offsetof(struct kvm_run, mmio), 0xa5, 64);
	RUN_TO(m, KVM_EXIT_MMIO);
	EXPECT_EQ(MACHINE_HOLE + 0x10, m->run->mmio.phys_addr);
	EXPECT_EQ(4, m->run->mmio.len);
	EXPECT_EQ(1, m->run->mmio.is_write);
	EXPECT_EQ(0x12345678, *(uint32_t *)m->run->mmio.data);
	RUN_TO(m, KVM_EXIT_HLT);
}

/* --- Signals and immediate_exit ---------------------------------------------- */

TEST_F(vcpu, signal_ends_run)
{
	static const int flags[] = { 0, SA_RESTART };
	struct machine *m = &self->m;
	struct kvm_regs r;
	unsigned int k, i;

	for (k = 0; k < ARRAY_LEN(flags); k++) {
		struct sigaction sa = { .sa_handler = count_signal, .sa_flags = flags[k] };
		uint64_t last = 0;

		ASSERT_EQ(0, sigaction(SIGALRM, &sa, NULL));
		GUEST_START(m, guest_spin, .rcx = 1);
		timer_start(10000);
		for (i = 0; i < 20; i++) {
			m->run->exit_reason = 0xa5a5;
			EXPECT_EQ(-EINTR, machine_run(m));
			EXPECT_EQ(KVM_EXIT_INTR, m->run->exit_reason);
			ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_REGS, &r));
			EXPECT_LE(last, (uint32_t)r.rcx);
			last = r.rcx;
		}
		timer_start(0);
		/* The guest got on. */
		EXPECT_LT(1, last);
	}
	EXPECT_LE(40, signals);
}

struct killer {
	pthread_t who;
	unsigned int ms;
};

static void *killer_thread(void *arg)
{
	struct killer *k = arg;

	sleep_ms(k->ms);
	pthread_kill(k->who, SIGUSR1);
	return NULL;
}

/* A signal to this thread alone, from another; one that is blocked does nothing. */
TEST_F(vcpu, signal_from_thread)
{
	struct sigaction sa = { .sa_handler = count_signal };
	struct machine *m = &self->m;
	struct killer k = { pthread_self(), 30 };
	pthread_t t;
	sigset_t set;

	ASSERT_EQ(0, sigaction(SIGUSR1, &sa, NULL));
	GUEST_START(m, guest_spin);
	ASSERT_EQ(0, pthread_create(&t, NULL, killer_thread, &k));
	EXPECT_EQ(-EINTR, machine_run(m));
	EXPECT_EQ(KVM_EXIT_INTR, m->run->exit_reason);
	EXPECT_EQ(1, signals);
	pthread_join(t, NULL);

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	ASSERT_EQ(0, pthread_sigmask(SIG_BLOCK, &set, NULL));
	pthread_kill(pthread_self(), SIGUSR1);
	GUEST_START(m, guest_hlt);
	RUN_TO(m, KVM_EXIT_HLT);
	EXPECT_EQ(1, signals);
	ASSERT_EQ(0, pthread_sigmask(SIG_UNBLOCK, &set, NULL));
	EXPECT_EQ(2, signals);
}

/* Stopped and continued: the run ends with EINTR or goes on, the guest is whole. */
TEST_F(vcpu, stop_and_continue)
{
	struct machine *m = &self->m;
	struct sigaction sa = { .sa_handler = count_signal };
	int status, i;
	pid_t pid, parent = getpid();

	ASSERT_EQ(0, sigaction(SIGUSR1, &sa, NULL));
	GUEST_START(m, guest_spin);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		for (i = 0; i < 5; i++) {
			sleep_ms(10);
			kill(parent, SIGSTOP);
			sleep_ms(10);
			kill(parent, SIGCONT);
		}
		sleep_ms(10);
		kill(parent, SIGUSR1);
		_exit(0);
	}
	while (!signals) {
		EXPECT_EQ(-EINTR, machine_run(m));
	}
	waitpid(pid, &status, 0);
	GUEST_START(m, guest_hlt);
	RUN_TO(m, KVM_EXIT_HLT);
}

TEST_F(vcpu, immediate_exit)
{
	struct machine *m = &self->m;
	struct kvm_regs r;
	int i;

	GUEST_START(m, guest_hlt);
	m->run->immediate_exit = 1;
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(-EINTR, machine_run(m));
		EXPECT_EQ(1, m->run->immediate_exit);
	}
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_REGS, &r));
	EXPECT_EQ(MACHINE_CODE, r.rip);
	/* Any value but 0. */
	m->run->immediate_exit = 0x80;
	EXPECT_EQ(-EINTR, machine_run(m));
	/* A bad argument is seen first. */
	EXPECT_EQ(-EINVAL, xioctl(m->vcpu, KVM_RUN, 1));
	m->run->immediate_exit = 0;
	RUN_TO(m, KVM_EXIT_HLT);
}

/* What is outstanding is completed first: the state is whole after the EINTR. */
TEST_F(vcpu, immediate_exit_completes)
{
	struct machine *m = &self->m;
	struct kvm_regs r;
	unsigned int i;

	/* IN of a byte: the rest of RAX stays. */
	GUEST_START(m, guest_in, .rdx = 0x55, .rax = 0x1122334455667788);
	RUN_TO(m, KVM_EXIT_IO);
	*machine_io_data(m) = 0x99;
	m->run->immediate_exit = 1;
	EXPECT_EQ(-EINTR, machine_run(m));
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_REGS, &r));
	EXPECT_EQ(0x1122334455667799, r.rax);
	EXPECT_EQ(MACHINE_CODE + 1, r.rip);
	m->run->immediate_exit = 0;
	RUN_TO(m, KVM_EXIT_HLT);

	/* IN of four bytes: the upper half becomes 0. */
	GUEST_START(m, guest_in32, .rdx = 0x55, .rax = 0x1122334455667788);
	RUN_TO(m, KVM_EXIT_IO);
	EXPECT_EQ(4, m->run->io.size);
	*(uint32_t *)machine_io_data(m) = 0xdeadbeef;
	m->run->immediate_exit = 1;
	EXPECT_EQ(-EINTR, machine_run(m));
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_REGS, &r));
	EXPECT_EQ(0xdeadbeef, r.rax);
	EXPECT_EQ(MACHINE_CODE + 2, r.rip);
	m->run->immediate_exit = 0;
	RUN_TO(m, KVM_EXIT_HLT);

	/* OUT: the instruction is behind us. */
	GUEST_START(m, guest_out, .rdx = 0x55, .rax = 0x77);
	RUN_TO(m, KVM_EXIT_IO);
	m->run->immediate_exit = 1;
	EXPECT_EQ(-EINTR, machine_run(m));
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_REGS, &r));
	EXPECT_EQ(MACHINE_CODE + 1, r.rip);
	m->run->immediate_exit = 0;
	RUN_TO(m, KVM_EXIT_HLT);

	/* MMIO read. */
	GUEST_START(m, guest_mmio_read, .rbx = 0x20, .rax = 0x1122334455667788);
	RUN_TO(m, KVM_EXIT_MMIO);
	EXPECT_EQ(MACHINE_HOLE + 0x20, m->run->mmio.phys_addr);
	*(uint32_t *)m->run->mmio.data = 0xcafef00d;
	m->run->immediate_exit = 1;
	EXPECT_EQ(-EINTR, machine_run(m));
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_REGS, &r));
	EXPECT_EQ(0xcafef00d, r.rax);
	EXPECT_LT(MACHINE_CODE, r.rip);
	m->run->immediate_exit = 0;
	RUN_TO(m, KVM_EXIT_HLT);

	/* MMIO write. */
	GUEST_START(m, guest_mmio_write, .rbx = 0x20, .rax = 0x12345678);
	RUN_TO(m, KVM_EXIT_MMIO);
	m->run->immediate_exit = 1;
	EXPECT_EQ(-EINTR, machine_run(m));
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_REGS, &r));
	EXPECT_LT(MACHINE_CODE, r.rip);
	m->run->immediate_exit = 0;
	RUN_TO(m, KVM_EXIT_HLT);

	/* REP INS: what was given so far is in memory, and the registers say how much. */
	GUEST_START(m, guest_ins, .rdx = 0x55, .rcx = 16, .rdi = 0x9000);
	memset(m->mem + 0x9000, 0, 32);
	{
		unsigned int done = 0;

		while (done < 16) {
			RUN_TO(m, KVM_EXIT_IO);
			EXPECT_EQ(KVM_EXIT_IO_IN, m->run->io.direction);
			ASSERT_LE(m->run->io.count, 16 - done);
			for (i = 0; i < m->run->io.count; i++)
				machine_io_data(m)[i] = 0x40 + done + i;
			done += m->run->io.count;
			m->run->immediate_exit = 1;
			EXPECT_EQ(-EINTR, machine_run(m));
			m->run->immediate_exit = 0;
			ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_REGS, &r));
			/*
			 * KVM asks for several at once and hands them out one by
			 * one as the instruction is carried on; where it stopped
			 * is between its start and what was given.
			 */
			EXPECT_LE(16 - done, r.rcx);
			EXPECT_GE(16, r.rcx);
			EXPECT_EQ(16 - r.rcx, r.rdi - 0x9000);
			for (i = 0; i < 16 - r.rcx; i++) {
				EXPECT_EQ(0x40 + i, m->mem[0x9000 + i]);
			}
		}
	}
	RUN_TO(m, KVM_EXIT_HLT);
	for (i = 0; i < 16; i++) {
		EXPECT_EQ(0x40 + i, m->mem[0x9000 + i]);
	}
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_REGS, &r));
	EXPECT_EQ(0, r.rcx);
	EXPECT_EQ(0x9010, r.rdi);
}

/*
 * A VMM that resets the machine on an OUT, or an IN, moves RIP before it runs
 * on: the instruction is not completed at the new place.
 */
TEST_F(vcpu, rip_moved_before_completion)
{
	struct machine *m = &self->m;
	struct kvm_regs r;

	GUEST_START(m, guest_out, .rdx = 0x64, .rax = 0xfe);
	RUN_TO(m, KVM_EXIT_IO);
	memcpy(m->mem + 0x3000, guest_hlt, guest_hlt_end - guest_hlt);
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_REGS, &r));
	r.rip = 0x3000;
	r.rax = 0x1234;
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_SET_REGS, &r));
	RUN_TO(m, KVM_EXIT_HLT);
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_REGS, &r));
	EXPECT_EQ(0x3001, r.rip);
	EXPECT_EQ(0x1234, r.rax);

	GUEST_START(m, guest_in, .rdx = 0x64);
	RUN_TO(m, KVM_EXIT_IO);
	*machine_io_data(m) = 0xee;
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_REGS, &r));
	r.rip = 0x3000;
	r.rax = 0x1234;
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_SET_REGS, &r));
	RUN_TO(m, KVM_EXIT_HLT);
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_REGS, &r));
	EXPECT_EQ(0x3001, r.rip);
	EXPECT_EQ(0x1234, r.rax);
}

/* --- Meddling ---------------------------------------------------------------- */

/* What was decided before the exit is not read back from the run struct. */
TEST_F(vcpu, exit_fields_are_not_read_back)
{
	struct machine *m = &self->m;
	struct kvm_regs r;

	GUEST_START(m, guest_in, .rdx = 0x55, .rax = 0x1122334455667788);
	RUN_TO(m, KVM_EXIT_IO);
	*machine_io_data(m) = 0x99;
	m->run->exit_reason = 0xffffffff;
	m->run->io.size = 255;
	m->run->io.count = 0xffffffff;
	m->run->io.data_offset = 0xffffffffffff0000;
	m->run->io.direction = 77;
	RUN_TO(m, KVM_EXIT_HLT);
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_REGS, &r));
	EXPECT_EQ(0x1122334455667799, r.rax);

	GUEST_START(m, guest_ins, .rdx = 0x55, .rcx = 4, .rdi = 0x9000);
	memset(m->mem + 0x9000, 0, 0x1000);
	while (!machine_run(m) && m->run->exit_reason == KVM_EXIT_IO) {
		memset(machine_io_data(m), 0x77, m->run->io.count);
		m->run->io.count = 0x1000;
		m->run->io.size = 4;
	}
	EXPECT_EQ(KVM_EXIT_HLT, m->run->exit_reason);
	EXPECT_EQ(0x77, m->mem[0x9003]);
	EXPECT_EQ(0, m->mem[0x9004]);

	GUEST_START(m, guest_mmio_read, .rbx = 0x20, .rax = 0x1122334455667788);
	RUN_TO(m, KVM_EXIT_MMIO);
	*(uint32_t *)m->run->mmio.data = 0xcafef00d;
	m->run->mmio.len = 0xffffffff;
	m->run->mmio.phys_addr = -1ULL;
	m->run->mmio.is_write = 1;
	RUN_TO(m, KVM_EXIT_HLT);
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_REGS, &r));
	EXPECT_EQ(0xcafef00d, r.rax);
}

static volatile bool scribbling;

static void *scribble_thread(void *arg)
{
	struct machine *m = arg;
	volatile uint64_t *p = (void *)m->run;
	unsigned int i, words = m->run_size / 8;
	uint64_t x = 88172645463325252ULL;

	while (scribbling) {
		for (i = 0; i < words; i++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			p[i] = x & 1 ? x : 0;
		}
		/* Let it get somewhere now and then. */
		m->run->kvm_valid_regs = 0;
		m->run->kvm_dirty_regs = 0;
		m->run->cr8 = 0;
		m->run->immediate_exit = 0;
		m->run->request_interrupt_window = 0;
		sched_yield();
	}
	return NULL;
}

/* Another thread writes all over the shared pages while the guest runs. */
TEST_F(vcpu, scribbled_run_struct)
{
	struct machine *m = &self->m;
	struct sigaction sa = { .sa_handler = count_signal };
	pthread_t t;
	int i;
	long ret;

	ASSERT_EQ(0, sigaction(SIGALRM, &sa, NULL));
	GUEST_START(m, guest_exits, .rdx = 0x55, .rbx = 0x30);
	scribbling = true;
	ASSERT_EQ(0, pthread_create(&t, NULL, scribble_thread, m));
	timer_start(50000);
	for (i = 0; i < 3000 && signals < 40; i++) {
		ret = machine_run(m);
		EXPECT_TRUE(ret == 0 || ret == -EINTR || ret == -EINVAL)
			TH_LOG("KVM_RUN: %ld", ret);
	}
	timer_start(0);
	scribbling = false;
	pthread_join(t, NULL);

	/* Whatever is outstanding gets completed; then all is as before. */
	memset(m->run, 0, m->run_size);
	m->run->immediate_exit = 1;
	for (i = 0; i < 100 && (ret = machine_run(m)) == 0; i++)
		;
	EXPECT_EQ(-EINTR, ret);
	m->run->immediate_exit = 0;
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_SET_SREGS, &self->sregs));
	GUEST_START(m, guest_hlt);
	RUN_TO(m, KVM_EXIT_HLT);
	EXPECT_EQ(0, m->mem[0x9004]);
}

/* --- Other threads ----------------------------------------------------------- */

struct waiter {
	struct machine *m;
	unsigned long request;
	void *arg;
	long ret;
	volatile bool done;
};

static void *waiter_thread(void *arg)
{
	struct waiter *w = arg;

	w->ret = xioctl(w->m->vcpu, w->request, w->arg);
	w->done = true;
	return NULL;
}

/* While a thread is in KVM_RUN the vCPU's other ioctls wait; the VM's do not. */
TEST_F(vcpu, ioctl_while_running)
{
	struct sigaction sa = { .sa_handler = count_signal };
	struct machine *m = &self->m;
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	struct kvm_mp_state mp;
	struct kvm_fpu fpu;
	struct waiter w[] = {
		{ m, KVM_RUN, 0 },
		{ m, KVM_GET_REGS, &regs },
		{ m, KVM_GET_SREGS, &sregs },
		{ m, KVM_GET_MP_STATE, &mp },
		{ m, KVM_GET_FPU, &fpu },
	};
	pthread_t t[ARRAY_LEN(w)];
	unsigned int i;
	int fd;

	ASSERT_EQ(0, sigaction(SIGUSR1, &sa, NULL));
	GUEST_START(m, guest_spin);
	ASSERT_EQ(0, pthread_create(&t[0], NULL, waiter_thread, &w[0]));
	sleep_ms(50);
	for (i = 1; i < ARRAY_LEN(w); i++) {
		ASSERT_EQ(0, pthread_create(&t[i], NULL, waiter_thread, &w[i]));
	}
	sleep_ms(50);
	for (i = 0; i < ARRAY_LEN(w); i++) {
		EXPECT_FALSE(w[i].done)
			TH_LOG("waiter %u", i);
	}
	/* A signal with a handler does not end the wait. */
	for (i = 1; i < ARRAY_LEN(w); i++)
		pthread_kill(t[i], SIGUSR1);
	sleep_ms(50);
	for (i = 0; i < ARRAY_LEN(w); i++) {
		EXPECT_FALSE(w[i].done)
			TH_LOG("waiter %u after a signal", i);
	}

	/* The VM answers meanwhile. */
	EXPECT_EQ(1, cap_of(m->vm, KVM_CAP_USER_MEMORY));
	EXPECT_EQ(0, machine_slot(m, 1, 0, MACHINE_HOLE, TEST_PAGE, m->mem));
	EXPECT_EQ(0, machine_slot(m, 1, 0, MACHINE_HOLE, 0, NULL));
	fd = xioctl(m->vm, KVM_CREATE_VCPU, 1);
	EXPECT_LE(0, fd);
	EXPECT_EQ(0, xioctl(fd, KVM_GET_REGS, &regs));
	close(fd);

	pthread_kill(t[0], SIGUSR1);
	for (i = 0; i < ARRAY_LEN(w); i++)
		pthread_join(t[i], NULL);
	EXPECT_EQ(-EINTR, w[0].ret);
	for (i = 1; i < ARRAY_LEN(w); i++) {
		EXPECT_EQ(0, w[i].ret);
	}
	/* What was read is the state after the run. */
	EXPECT_NE(0, regs.rcx);
}

static void *set_regs_thread(void *arg)
{
	struct machine *m = arg;
	struct kvm_regs r = { .rip = MACHINE_CODE, .rflags = MACHINE_RFLAGS };
	int i;

	for (i = 0; i < 200; i++)
		if (xioctl(m->vcpu, KVM_SET_REGS, &r))
			return (void *)1;
	return NULL;
}

/* Registers set from one thread while the other runs: one after the other. */
TEST_F(vcpu, ioctls_from_two_threads)
{
	struct machine *m = &self->m;
	pthread_t t;
	void *bad;
	int i;

	GUEST_START(m, guest_hlt);
	ASSERT_EQ(0, pthread_create(&t, NULL, set_regs_thread, m));
	for (i = 0; i < 200; i++)
		RUN_TO(m, KVM_EXIT_HLT);
	pthread_join(t, &bad);
	EXPECT_EQ(NULL, bad);
}

static void *halt_thread(void *arg)
{
	struct machine *m = arg;

	return (void *)(machine_run(m) ? 100L : m->run->exit_reason);
}

/* A vCPU goes from thread to thread. */
TEST_F(vcpu, run_by_many_threads)
{
	struct machine *m = &self->m;
	pthread_t t;
	void *ret;
	int i;

	for (i = 0; i < 20; i++) {
		GUEST_START(m, guest_hlt);
		ASSERT_EQ(0, pthread_create(&t, NULL, halt_thread, m));
		pthread_join(t, &ret);
		EXPECT_EQ(KVM_EXIT_HLT, (long)ret);
	}
}

/* A thread waits for a vCPU that runs for ever; SIGKILL must get both. */
TEST(killed_while_waiting)
{
	int status, round;
	pid_t pid;

	for (round = 0; round < 5; round++) {
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			struct machine m;
			struct kvm_regs regs;
			struct waiter w[2] = { { &m, KVM_RUN, NULL }, { &m, KVM_GET_REGS, &regs } };
			pthread_t t;

			if (machine_init(&m))
				_exit(1);
			GUEST_LOAD(&m, guest_spin);
			pthread_create(&t, NULL, waiter_thread, &w[0]);
			pthread_create(&t, NULL, waiter_thread, &w[1]);
			pause();
			_exit(2);
		}
		sleep_ms(20 + round);
		kill(pid, SIGKILL);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	}
}

TEST_HARNESS_MAIN
