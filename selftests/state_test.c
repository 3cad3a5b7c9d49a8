// SPDX-License-Identifier: GPL-2.0
/*
 * State that a VMM saves and restores, beyond KVM_GET_REGS and its like, and what it says about a
 * VM before it has vCPUs.
 */
#include "abi.h"

#define MAX_CPUID	256

struct cpuid_buf {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 entry[MAX_CPUID];
};

FIXTURE(state)
{
	struct machine m;
	struct cpuid_buf cpuid;		/* what is supported */
};

FIXTURE_SETUP(state)
{
	MACHINE_INIT(&self->m);
	self->cpuid.head.nent = MAX_CPUID;
	ASSERT_EQ(0, xioctl(self->m.dev, KVM_GET_SUPPORTED_CPUID, &self->cpuid));
}

FIXTURE_TEARDOWN(state)
{
	machine_destroy(&self->m);
}

static struct kvm_cpuid_entry2 *cpuid_leaf(struct cpuid_buf *c, uint32_t function, uint32_t index)
{
	unsigned int i;

	for (i = 0; i < c->head.nent; i++)
		if (c->entry[i].function == function && c->entry[i].index == index)
			return &c->entry[i];
	return NULL;
}

/* --- CPUID ------------------------------------------------------------------------- */

/* Linux 6.1's KVM leaves nent as it was when the call succeeds; later ones tell the number. */
static bool nent_fine(uint32_t given, uint32_t exist, uint32_t after)
{
	return after == exist || (!test_device_is_minikvm() && after == given);
}

TEST_F(state, get_cpuid2)
{
	struct machine *m = &self->m;
	uint32_t n = self->cpuid.head.nent, i;
	struct cpuid_buf got;
	struct kvm_cpuid2 *c;
	const size_t size = sizeof(*c) + n * sizeof(c->entries[0]);

	/* None was ever set. */
	memset(&got, 0xa5, sizeof(got));
	got.head.nent = 0;
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_GET_CPUID2, &got));
	EXPECT_EQ(0, got.head.nent);
	EXPECT_EQ(0xa5a5a5a5, got.entry[0].function);

	ASSERT_EQ(0, xioctl(m->vcpu, KVM_SET_CPUID2, &self->cpuid));
	/* Too little room: nothing is written. */
	for (i = 0; i < n; i += n - 1) {
		memset(&got, 0xa5, sizeof(got));
		got.head.nent = i;
		EXPECT_EQ(-E2BIG, xioctl(m->vcpu, KVM_GET_CPUID2, &got));
		EXPECT_EQ(i, got.head.nent);
		EXPECT_EQ(0xa5a5a5a5, got.entry[0].function);
	}
	/* More than enough. */
	got.head.nent = 0xffffffff;
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_GET_CPUID2, &got));
	EXPECT_TRUE(nent_fine(0xffffffff, n, got.head.nent));
	EXPECT_EQ(0xa5a5a5a5, got.entry[n].function);
	for (i = 0; i < n; i++) {
		EXPECT_EQ(self->cpuid.entry[i].function, got.entry[i].function);
		EXPECT_EQ(self->cpuid.entry[i].index, got.entry[i].index);
		EXPECT_EQ(self->cpuid.entry[i].flags, got.entry[i].flags);
	}

	/* The memory ends after the last entry, then one byte earlier. */
	c = guarded_alloc(size);
	ASSERT_NE(NULL, c);
	c->nent = n;
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_GET_CPUID2, c));
	EXPECT_EQ(n, c->nent);
	EXPECT_EQ(0, memcmp(c->entries, got.entry, n * sizeof(got.entry[0])));
	c = (void *)c + 4;
	c->nent = n;
	EXPECT_EQ(-EFAULT, xioctl(m->vcpu, KVM_GET_CPUID2, c));
	guarded_free((void *)c - 4, size);
}

/* What mirrors other registers is as the guest sees it. */
TEST_F(state, get_cpuid2_follows)
{
	struct machine *m = &self->m;
	struct cpuid_buf got;
	struct kvm_cpuid_entry2 *e = cpuid_leaf(&self->cpuid, 1, 0);
	struct kvm_sregs s;
	int on;

	ASSERT_NE(NULL, e);
	if (!(e->ecx & (1u << 26)))
		SKIP(return, "no XSAVE");
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_SET_CPUID2, &self->cpuid));
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_SREGS, &s));
	for (on = 1; on >= 0; on--) {
		s.cr4 = (s.cr4 & ~(1ull << 18)) | (on ? 1ull << 18 : 0);
		ASSERT_EQ(0, xioctl(m->vcpu, KVM_SET_SREGS, &s));
		got.head.nent = self->cpuid.head.nent;
		ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_CPUID2, &got));
		e = cpuid_leaf(&got, 1, 0);
		ASSERT_NE(NULL, e);
		EXPECT_EQ(on, (e->ecx >> 27) & 1);
	}
}

GUEST(guest_hlt, "1: hlt; jmp 1b");

TEST_F(state, set_cpuid)
{
	struct machine *m = &self->m;
	struct {
		struct kvm_cpuid head;
		struct kvm_cpuid_entry entry[MAX_CPUID + 1];
	} old = { .head.nent = 2 };
	struct kvm_cpuid *c;
	struct cpuid_buf got;
	const size_t size = sizeof(*c) + 2 * sizeof(c->entries[0]);

	old.entry[0] = (struct kvm_cpuid_entry){ .function = 0, .eax = 4, .ebx = 5, .ecx = 6,
						 .edx = 7, .padding = 0xffffffff };
	old.entry[1] = (struct kvm_cpuid_entry){ .function = 4, .eax = 0x11 };
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_SET_CPUID, &old));
	memset(&got, 0xa5, sizeof(got));
	got.head.nent = 2;
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_GET_CPUID2, &got));
	EXPECT_EQ(0, got.entry[0].function);
	EXPECT_EQ(4, got.entry[0].eax);
	EXPECT_EQ(5, got.entry[0].ebx);
	EXPECT_EQ(6, got.entry[0].ecx);
	EXPECT_EQ(7, got.entry[0].edx);
	EXPECT_EQ(0, got.entry[0].index | got.entry[0].flags | got.entry[0].padding[0] |
		     got.entry[0].padding[1] | got.entry[0].padding[2]);
	EXPECT_EQ(4, got.entry[1].function);
	EXPECT_EQ(0x11, got.entry[1].eax);

	/* Too many; not there; an address width that does not exist. What was set stays. */
	old.head.nent = MAX_CPUID + 1;
	EXPECT_EQ(-E2BIG, xioctl(m->vcpu, KVM_SET_CPUID, &old));
	old.head.nent = 0xffffffff;
	EXPECT_EQ(-E2BIG, xioctl(m->vcpu, KVM_SET_CPUID, &old));
	EXPECT_EQ(-EFAULT, xioctl(m->vcpu, KVM_SET_CPUID, 0));
	c = guarded_alloc(size);
	ASSERT_NE(NULL, c);
	c = (void *)c + 4;
	c->nent = 2;
	EXPECT_EQ(-EFAULT, xioctl(m->vcpu, KVM_SET_CPUID, c));
	guarded_free((void *)c - 4, size);
	old.head.nent = 2;
	old.entry[1] = (struct kvm_cpuid_entry){ .function = 0x80000008, .eax = 0x3128 };
	EXPECT_EQ(-EINVAL, xioctl(m->vcpu, KVM_SET_CPUID, &old));
	got.head.nent = 2;
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_GET_CPUID2, &got));
	EXPECT_EQ(4, got.entry[1].function);

	/* Once it has run, the same again, but nothing else. */
	GUEST_LOAD(m, guest_hlt);
	ASSERT_EQ(0, machine_run(m));
	EXPECT_EQ(-EINVAL, xioctl(m->vcpu, KVM_SET_CPUID, &old));
	old.entry[1] = (struct kvm_cpuid_entry){ .function = 4, .eax = 0x11 };
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_SET_CPUID, &old));
	/* The same in the new form; padding does not count. */
	got.entry[0].padding[1] = 1;
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_SET_CPUID2, &got));
	got.entry[1].eax++;
	EXPECT_EQ(-EINVAL, xioctl(m->vcpu, KVM_SET_CPUID2, &got));
	old.head.nent = 1;
	EXPECT_EQ(-EINVAL, xioctl(m->vcpu, KVM_SET_CPUID, &old));
}

TEST_F(state, emulated_cpuid)
{
	struct machine *m = &self->m;
	struct cpuid_buf got;
	struct kvm_cpuid_entry2 *e;
	struct kvm_cpuid2 *c;
	const size_t size = sizeof(*c) + 8 * sizeof(*e);
	uint32_t i;

	memset(&got, 0, sizeof(got));
	/* One more than there are is needed. */
	for (i = 0; i < 4; i++) {
		got.head.nent = i;
		EXPECT_EQ(-E2BIG, xioctl(m->dev, KVM_GET_EMULATED_CPUID, &got));
		EXPECT_EQ(i, got.head.nent);
	}
	got.head.nent = 4;
	EXPECT_EQ(0, xioctl(m->dev, KVM_GET_EMULATED_CPUID, &got));
	EXPECT_EQ(3, got.head.nent);
	EXPECT_EQ(7, got.entry[0].eax);
	EXPECT_EQ(1, got.entry[1].function);
	EXPECT_EQ(7, got.entry[2].function);
	EXPECT_EQ(KVM_CPUID_FLAG_SIGNIFCANT_INDEX, got.entry[2].flags);
	if (test_device_is_minikvm()) {
		e = &got.entry[1];
		EXPECT_EQ(0, e->eax | e->ebx | e->ecx | e->edx);
		e = &got.entry[2];
		EXPECT_EQ(0, e->eax | e->ebx | e->ecx | e->edx);
	}

	/* Padding is looked at up to the last entry that the caller has. */
	got.head.nent = 4;
	got.entry[3].padding[2] = 1;
	EXPECT_EQ(-EINVAL, xioctl(m->dev, KVM_GET_EMULATED_CPUID, &got));
	got.head.nent = 3;
	EXPECT_EQ(-E2BIG, xioctl(m->dev, KVM_GET_EMULATED_CPUID, &got));
	got.entry[3].padding[2] = 0;
	got.head.nent = 0xffffffff;
	EXPECT_EQ(0, xioctl(m->dev, KVM_GET_EMULATED_CPUID, &got));
	EXPECT_EQ(-EFAULT, xioctl(m->dev, KVM_GET_EMULATED_CPUID, 0));
	c = guarded_alloc(size);
	ASSERT_NE(NULL, c);
	c->nent = 9;
	EXPECT_EQ(-EINVAL, xioctl(m->dev, KVM_GET_EMULATED_CPUID, c));
	c->nent = 8;
	EXPECT_EQ(0, xioctl(m->dev, KVM_GET_EMULATED_CPUID, c));
	guarded_free(c, size);
}

/* --- Debug registers ------------------------------------------------------------------ */

GUEST(guest_dr, "mov %dr0, %eax; mov %eax, 0x100\n\t"
		"mov %dr3, %eax; mov %eax, 0x104\n\t"
		"mov %dr6, %eax; mov %eax, 0x108\n\t"
		"mov %dr7, %eax; mov %eax, 0x10c\n\t"
		"hlt\n\t"
		"mov $0x1234, %eax; mov %eax, %dr1\n\t"
		"hlt");

TEST_F(state, debugregs)
{
	struct machine *m = &self->m;
	struct kvm_debugregs d, bad;
	static const struct {
		const char *name;
		struct kvm_debugregs d;
	} rows[] = {
		{ "flags 1", { .flags = 1 } },
		{ "flags, highest", { .flags = 1ull << 63 } },
		{ "DR6 bit 32", { .dr6 = 1ull << 32 } },
		{ "DR6 bit 63", { .dr6 = 1ull << 63 } },
		{ "DR7 bit 32", { .dr7 = 1ull << 32 } },
		{ "DR7 bit 63", { .dr7 = 1ull << 63 } },
	};
	uint32_t seen[4];
	unsigned int i;

	memset(&d, 0xa5, sizeof(d));
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_GET_DEBUGREGS, &d));
	EXPECT_EQ(0, d.db[0] | d.db[1] | d.db[2] | d.db[3]);
	EXPECT_EQ(0xffff0ff0, d.dr6);
	EXPECT_EQ(0x400, d.dr7);
	EXPECT_EQ(0, d.flags);
	for (i = 0; i < ARRAY_LEN(d.reserved); i++)
		EXPECT_EQ(0, d.reserved[i]);

	d = (struct kvm_debugregs){
		.db = { 0x1111, 0x2222, 0x3333, 0x12345678 },
		.dr6 = 0xffff4ff1,
		.dr7 = 0x400,
		/* Not looked at. */
		.reserved = { -1ull, -1ull },
	};
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_SET_DEBUGREGS, &d));
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		EXPECT_ROW(-EINVAL, xioctl(m->vcpu, KVM_SET_DEBUGREGS, &rows[i].d), rows[i].name);
	}
	EXPECT_EQ(-EFAULT, xioctl(m->vcpu, KVM_SET_DEBUGREGS, 0));
	EXPECT_EQ(-EFAULT, xioctl(m->vcpu, KVM_GET_DEBUGREGS, 0));
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_GET_DEBUGREGS, &bad));
	EXPECT_EQ(0, memcmp(d.db, bad.db, sizeof(d.db)));
	EXPECT_EQ(d.dr6, bad.dr6);
	EXPECT_EQ(d.dr7, bad.dr7);

	/* The guest sees them, and the caller what the guest changes. */
	GUEST_LOAD(m, guest_dr);
	ASSERT_EQ(0, machine_run(m));
	EXPECT_EQ(KVM_EXIT_HLT, m->run->exit_reason);
	memcpy(seen, m->mem + 0x100, sizeof(seen));
	EXPECT_EQ(0x1111, seen[0]);
	EXPECT_EQ(0x12345678, seen[1]);
	EXPECT_EQ(0xffff4ff1, seen[2]);
	EXPECT_EQ(0x400, seen[3]);
	ASSERT_EQ(0, machine_run(m));
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_GET_DEBUGREGS, &d));
	EXPECT_EQ(0x1234, d.db[1]);
	EXPECT_EQ(0x3333, d.db[2]);
}

/* --- XSAVE ------------------------------------------------------------------------------- */

/* Offsets in an XSAVE area (SDM, "XSAVE Area"). */
#define XSAVE_MXCSR	24
#define XSAVE_XMM	160
#define XSAVE_XSTATE_BV	512
#define XSAVE_XCOMP_BV	520
#define XSAVE_RESERVED	528

static uint64_t get64(const void *p, unsigned int offset)
{
	uint64_t v;

	memcpy(&v, p + offset, 8);
	return v;
}

static void put64(void *p, unsigned int offset, uint64_t v)
{
	memcpy(p + offset, &v, 8);
}

TEST_F(state, xsave)
{
	struct machine *m = &self->m;
	struct kvm_xsave x, y, bad;
	struct kvm_fpu fpu;
	bool xsave = cap_of(m->vm, KVM_CAP_XCRS);
	const struct {
		const char *name;
		unsigned int offset;
		uint64_t value;
		bool always;		/* also without XSAVE */
	} rows[] = {
		{ "component 62", XSAVE_XSTATE_BV, 1ull << 62, true },
		{ "component 63", XSAVE_XSTATE_BV, 1ull << 63, true },
		{ "processor trace", XSAVE_XSTATE_BV, 1ull << 8, true },
		{ "compacted", XSAVE_XCOMP_BV, 1ull << 63, false },
		{ "compacted, of SSE", XSAVE_XCOMP_BV, 1ull << 63 | 2, false },
		{ "reserved, first", XSAVE_RESERVED, 1, false },
		{ "reserved, last", 568, 1ull << 63, false },
		{ "MXCSR", XSAVE_MXCSR, 0xffff0000ull | (uint64_t)0xffff << 32, true },
	};
	unsigned int i;

	ASSERT_EQ(0, xioctl(m->vcpu, KVM_SET_CPUID2, &self->cpuid));
	memset(&x, 0xa5, sizeof(x));
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_GET_XSAVE, &x));
	/* All of it is written. */
	EXPECT_EQ(0, x.region[ARRAY_LEN(x.region) - 1]);
	EXPECT_EQ(0x1f80, x.region[XSAVE_MXCSR / 4]);

	/* An image arrives as KVM_GET_FPU says too, and comes back. */
	rand_fill((uint8_t *)&x + XSAVE_XMM, 256);
	put64(&x, XSAVE_XSTATE_BV, 3);
	x.region[0] = 0x37f;
	x.region[XSAVE_MXCSR / 4] = 0x1fa0;
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_SET_XSAVE, &x));
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_FPU, &fpu));
	EXPECT_EQ(0, memcmp(fpu.xmm, (uint8_t *)&x + XSAVE_XMM, 256));
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_GET_XSAVE, &y));
	EXPECT_EQ(0, memcmp((uint8_t *)&x + XSAVE_XMM, (uint8_t *)&y + XSAVE_XMM, 256));
	EXPECT_EQ(0x1fa0, y.region[XSAVE_MXCSR / 4]);
	EXPECT_EQ(3, get64(&y, XSAVE_XSTATE_BV) & 3);

	/* And the other way. */
	rand_fill(fpu.xmm, sizeof(fpu.xmm));
	fpu.fcw = 0x27f;
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_SET_FPU, &fpu));
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_GET_XSAVE, &y));
	EXPECT_EQ(0, memcmp(fpu.xmm, (uint8_t *)&y + XSAVE_XMM, 256));
	EXPECT_EQ(0x27f, y.region[0] & 0xffff);
	EXPECT_EQ(0x1fa0, y.region[XSAVE_MXCSR / 4]);

	/* A bad one changes nothing. */
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		if (!xsave && !rows[i].always)
			continue;
		memcpy(&bad, &x, sizeof(bad));
		put64(&bad, rows[i].offset, rows[i].value);
		EXPECT_ROW(-EINVAL, xioctl(m->vcpu, KVM_SET_XSAVE, &bad), rows[i].name);
	}
	EXPECT_EQ(-EFAULT, xioctl(m->vcpu, KVM_SET_XSAVE, 0));
	EXPECT_EQ(-EFAULT, xioctl(m->vcpu, KVM_GET_XSAVE, 0));
	EXPECT_EQ(-EFAULT, xioctl(m->vcpu, KVM_GET_XSAVE2, 0));
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_GET_XSAVE, &bad));
	EXPECT_EQ(0, memcmp(&y, &bad, sizeof(bad)));

	/* No component: all are in their initial state. */
	if (!xsave)
		SKIP(return, "no XSAVE: no component is optional");
	put64(&x, XSAVE_XSTATE_BV, 0);
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_SET_XSAVE, &x));
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_GET_XSAVE, &y));
	EXPECT_EQ(0, get64(&y, XSAVE_XMM));
	EXPECT_EQ(0x37f, y.region[0] & 0xffff);
	EXPECT_EQ(0x1f80, y.region[XSAVE_MXCSR / 4]);
}

TEST_F(state, xsave2)
{
	struct machine *m = &self->m;
	int size = cap_of(m->dev, KVM_CAP_XSAVE2);
	struct kvm_xsave x;
	uint8_t *p;

	EXPECT_EQ(size, cap_of(m->vm, KVM_CAP_XSAVE2));
	ASSERT_LE((int)sizeof(x), size);
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_XSAVE, &x));
	p = guarded_alloc(size);
	ASSERT_NE(NULL, p);
	memset(p, 0xa5, size);
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_GET_XSAVE2, p));
	EXPECT_EQ(0, memcmp(&x, p, sizeof(x)));
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_SET_XSAVE, p));
	/* One byte is missing. */
	EXPECT_EQ(-EFAULT, xioctl(m->vcpu, KVM_GET_XSAVE2, p + 1));
	EXPECT_EQ(-EFAULT, xioctl(m->vcpu, KVM_SET_XSAVE, p + 1));
	guarded_free(p, size);
}

/* PKRU is in the image. */
TEST_F(state, xsave_pkru)
{
	struct machine *m = &self->m;
	struct kvm_cpuid_entry2 *xcr0 = cpuid_leaf(&self->cpuid, 0xd, 0);
	struct kvm_cpuid_entry2 *e = cpuid_leaf(&self->cpuid, 0xd, 9);
	struct kvm_xsave x;
	unsigned int at;

	if (!xcr0 || !(xcr0->eax & 1 << 9) || !e)
		SKIP(return, "no protection keys");
	at = e->ebx / 4;
	ASSERT_GT(ARRAY_LEN(x.region), at);
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_SET_CPUID2, &self->cpuid));
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_XSAVE, &x));
	EXPECT_EQ(0, x.region[at]);
	put64(&x, XSAVE_XSTATE_BV, get64(&x, XSAVE_XSTATE_BV) | 1 << 9);
	x.region[at] = 0x55555554;
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_SET_XSAVE, &x));
	memset(&x, 0, sizeof(x));
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_GET_XSAVE, &x));
	EXPECT_EQ(0x55555554, x.region[at]);
	EXPECT_EQ(1 << 9, get64(&x, XSAVE_XSTATE_BV) & 1 << 9);
}

/* Components that the vCPU's CPUID does not have are not in the image, but may be given. */
TEST_F(state, xsave_follows_cpuid)
{
	struct machine *m = &self->m;
	struct kvm_cpuid_entry2 *e = cpuid_leaf(&self->cpuid, 0xd, 0);
	struct kvm_xsave x;

	if (!e || !(e->eax & 4))
		SKIP(return, "no AVX");
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_SET_CPUID2, &self->cpuid));
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_XSAVE, &x));
	put64(&x, XSAVE_XSTATE_BV, 7);
	rand_fill((uint8_t *)&x + 576, 256);
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_SET_XSAVE, &x));
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_GET_XSAVE, &x));
	EXPECT_EQ(4, get64(&x, XSAVE_XSTATE_BV) & 4);

	e->eax &= ~4u;
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_SET_CPUID2, &self->cpuid));
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_GET_XSAVE, &x));
	EXPECT_EQ(0, get64(&x, XSAVE_XSTATE_BV) & 4);
	put64(&x, XSAVE_XSTATE_BV, 7);
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_SET_XSAVE, &x));
}

/* --- XCRs --------------------------------------------------------------------------------- */

TEST_F(state, xcrs)
{
	struct machine *m = &self->m;
	struct kvm_cpuid_entry2 *e = cpuid_leaf(&self->cpuid, 0xd, 0);
	struct kvm_xcrs x, y;
	struct cpuid_buf got;
	const struct {
		const char *name;
		struct kvm_xcrs x;
	} rows[] = {
		{ "17 registers", { .nr_xcrs = 17 } },
		{ "absurd number", { .nr_xcrs = 0xffffffff } },
		{ "flags", { .nr_xcrs = 1, .flags = 1, .xcrs[0].value = 1 } },
		{ "nothing", { .nr_xcrs = 1, .xcrs[0].value = 0 } },
		{ "SSE alone", { .nr_xcrs = 1, .xcrs[0].value = 2 } },
		{ "AVX without SSE", { .nr_xcrs = 1, .xcrs[0].value = 5 } },
		{ "component 62", { .nr_xcrs = 1, .xcrs[0].value = 1ull << 62 | 3 } },
		{ "part of AVX-512", { .nr_xcrs = 1, .xcrs[0].value = 0x27 } },
		{ "second register", { .nr_xcrs = 2, .xcrs = { { .xcr = 1 }, { .value = 2 } } } },
	};
	unsigned int i;

	memset(&x, 0xa5, sizeof(x));
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_GET_XCRS, &x));
	if (!cap_of(m->vm, KVM_CAP_XCRS)) {
		EXPECT_EQ(0, x.nr_xcrs);
		EXPECT_EQ(-EINVAL, xioctl(m->vcpu, KVM_SET_XCRS, &x));
		SKIP(return, "no XSAVE");
	}
	EXPECT_EQ(1, x.nr_xcrs);
	EXPECT_EQ(0, x.flags);
	EXPECT_EQ(0, x.xcrs[0].xcr);
	EXPECT_EQ(1, x.xcrs[0].value);
	EXPECT_EQ(0, x.xcrs[1].xcr | x.xcrs[1].value | x.padding[0]);

	/* Without CPUID it is x87 alone. */
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_SET_XCRS, &x));
	x.xcrs[0].value = 3;
	EXPECT_EQ(-EINVAL, xioctl(m->vcpu, KVM_SET_XCRS, &x));
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_SET_CPUID2, &self->cpuid));
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_SET_XCRS, &x));

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		EXPECT_ROW(-EINVAL, xioctl(m->vcpu, KVM_SET_XCRS, &rows[i].x), rows[i].name);
	}
	EXPECT_EQ(-EFAULT, xioctl(m->vcpu, KVM_SET_XCRS, 0));
	EXPECT_EQ(-EFAULT, xioctl(m->vcpu, KVM_GET_XCRS, 0));
	/* Registers that nobody knows are passed over; so is a second XCR0. */
	y = (struct kvm_xcrs){ .nr_xcrs = 1, .xcrs[0] = { .xcr = 1, .value = 7 } };
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_SET_XCRS, &y));
	y = (struct kvm_xcrs){ .nr_xcrs = 2, .xcrs = { { .value = 3 }, { .value = 2 } } };
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_SET_XCRS, &y));
	y = (struct kvm_xcrs){ .nr_xcrs = 0, .xcrs[0].value = 2 };
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_SET_XCRS, &y));
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_GET_XCRS, &y));
	EXPECT_EQ(3, y.xcrs[0].value);

	/* The size of the area in CPUID follows. */
	if (!e || !(e->eax & 4))
		return;
	x.xcrs[0].value = 7;
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_SET_XCRS, &x));
	got.head.nent = self->cpuid.head.nent;
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_CPUID2, &got));
	e = cpuid_leaf(&got, 0xd, 0);
	ASSERT_NE(NULL, e);
	EXPECT_EQ(576 + 256, e->ebx);
}

/* --- SREGS2 --------------------------------------------------------------------------------- */

TEST_F(state, sregs2)
{
	struct machine *m = &self->m;
	struct kvm_sregs s;
	struct kvm_sregs2 t, u;
	unsigned int i;

	ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_SREGS, &s));
	memset(&t, 0xa5, sizeof(t));
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_GET_SREGS2, &t));
	EXPECT_EQ(0, memcmp(&s, &t, offsetof(struct kvm_sregs, interrupt_bitmap)));
	EXPECT_EQ(0, t.flags);
	for (i = 0; i < 4; i++)
		EXPECT_EQ(0, t.pdptrs[i]);

	t.cr2 = 0x123456789;
	t.ds.base = 0x5000;
	EXPECT_EQ(0, xioctl(m->vcpu, KVM_SET_SREGS2, &t));
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_SREGS, &s));
	EXPECT_EQ(0x123456789, s.cr2);
	EXPECT_EQ(0x5000, s.ds.base);

	/* Refused: nothing changes. */
	u = t;
	u.cr2 = 0;
	u.flags = 2;
	EXPECT_EQ(-EINVAL, xioctl(m->vcpu, KVM_SET_SREGS2, &u));
	u.flags = 1ull << 63;
	EXPECT_EQ(-EINVAL, xioctl(m->vcpu, KVM_SET_SREGS2, &u));
	/* Pointers without PAE paging. */
	u.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
	EXPECT_EQ(-EINVAL, xioctl(m->vcpu, KVM_SET_SREGS2, &u));
	u.flags = 0;
	u.cr4 = 1ull << 63;
	EXPECT_EQ(-EINVAL, xioctl(m->vcpu, KVM_SET_SREGS2, &u));
	u.cr4 = 0;
	u.cr0 = 1ull << 31 | 0x10;
	EXPECT_EQ(-EINVAL, xioctl(m->vcpu, KVM_SET_SREGS2, &u));
	EXPECT_EQ(-EFAULT, xioctl(m->vcpu, KVM_SET_SREGS2, 0));
	EXPECT_EQ(-EFAULT, xioctl(m->vcpu, KVM_GET_SREGS2, 0));
	ASSERT_EQ(0, xioctl(m->vcpu, KVM_GET_SREGS2, &u));
	EXPECT_EQ(0, memcmp(&t, &u, sizeof(t)));
}

/* Bit 5 aside, which QEMU's CPU sets as an accessed flag; to KVM it is reserved. */
static bool same_pdptrs(const __u64 *a, const uint64_t *b)
{
	int i;

	for (i = 0; i < 4; i++)
		if ((a[i] ^ b[i]) & ~0x20ull)
			return false;
	return true;
}

TEST(sregs2_pdptrs)
{
	static const uint8_t hlt[] = { 0xf4 };
	struct test_vcpu *vcpu = vm_with_guest(MODE_PAE, (struct guest_code){ hlt, sizeof(hlt) });
	uint64_t *table = vm_hva(vcpu->vm, GUEST_PDPT_PAE, 32);
	struct kvm_sregs2 s, t;
	int i;

	EXPECT_EQ(0, xioctl(vcpu->fd, KVM_GET_SREGS2, &s));
	EXPECT_EQ(KVM_SREGS2_FLAGS_PDPTRS_VALID, s.flags);
	EXPECT_TRUE(same_pdptrs(s.pdptrs, table));
	vcpu_run_to_hlt(vcpu);
	EXPECT_EQ(0, xioctl(vcpu->fd, KVM_GET_SREGS2, &t));
	EXPECT_EQ(KVM_SREGS2_FLAGS_PDPTRS_VALID, t.flags);
	EXPECT_TRUE(same_pdptrs(t.pdptrs, table));

	/* Those that come with the call are in force, whatever memory holds. */
	for (i = 1; i < 4; i++)
		s.pdptrs[i] = 0x5000000 * i;
	EXPECT_EQ(0, xioctl(vcpu->fd, KVM_SET_SREGS2, &s));
	EXPECT_EQ(0, xioctl(vcpu->fd, KVM_GET_SREGS2, &t));
	EXPECT_EQ(0, memcmp(&s, &t, sizeof(s)));
	/* Without them, those of memory. */
	for (i = 0; i < 4; i++)
		table[i] &= ~0x20ull;
	s.flags = 0;
	EXPECT_EQ(0, xioctl(vcpu->fd, KVM_SET_SREGS2, &s));
	EXPECT_EQ(0, xioctl(vcpu->fd, KVM_GET_SREGS2, &t));
	EXPECT_TRUE(same_pdptrs(t.pdptrs, table));
	EXPECT_EQ(0, xioctl(vcpu->fd, KVM_SET_SREGS2, &t));
	vcpu_set_regs(vcpu, &(struct kvm_regs){ .rip = GUEST_CODE, .rflags = 2 });
	vcpu_run_to_hlt(vcpu);
	vm_destroy(vcpu->vm);
}

/* --- KVM_TRANSLATE ----------------------------------------------------------------------------- */

TEST_F(state, translate_real_mode)
{
	static const uint64_t address[] = { 0, 0x1234, 0xfffff, 0x123456789, 1ull << 63 };
	struct machine *m = &self->m;
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(address); i++) {
		struct kvm_translation tr = { .linear_address = address[i], .usermode = 0xff };

		EXPECT_EQ(0, xioctl(m->vcpu, KVM_TRANSLATE, &tr));
		EXPECT_EQ(address[i], tr.physical_address);
		EXPECT_EQ(1, tr.valid);
		EXPECT_EQ(1, tr.writeable);
		EXPECT_EQ(0, tr.usermode);
	}
	EXPECT_EQ(-EFAULT, xioctl(m->vcpu, KVM_TRANSLATE, 0));
}

TEST(translate_modes)
{
	static const enum test_mode modes[] = { MODE_PAGING32, MODE_PAE, MODE_LONG, MODE_LONG_R3 };
	static const uint8_t hlt[] = { 0xf4 };
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(modes); i++) {
		struct test_vcpu *vcpu =
			vm_with_guest(modes[i], (struct guest_code){ hlt, sizeof(hlt) });
		struct kvm_translation tr = { .linear_address = GUEST_DATA + 0x123 };
		bool pte32 = modes[i] == MODE_PAGING32;

		EXPECT_EQ(0, xioctl(vcpu->fd, KVM_TRANSLATE, &tr));
		EXPECT_EQ(GUEST_DATA + 0x123, tr.physical_address)
			TH_LOG("%s", test_mode_name(modes[i]));
		EXPECT_EQ(1, tr.valid);
		EXPECT_EQ(1, tr.writeable);
		EXPECT_EQ(0, tr.usermode);

		/* Elsewhere, and read-only. */
		if (pte32)
			*vm_pte32(vcpu->vm, GUEST_DATA) = (GUEST_DATA + 0x3000) | 1;
		else
			*vm_pte(vcpu->vm, GUEST_DATA) = (GUEST_DATA + 0x3000) | 1;
		EXPECT_EQ(0, xioctl(vcpu->fd, KVM_TRANSLATE, &tr));
		EXPECT_EQ(GUEST_DATA + 0x3123, tr.physical_address);
		EXPECT_EQ(1, tr.valid);
		EXPECT_EQ(1, tr.writeable);
		if (test_device_is_minikvm()) {
			/* The accessed flag: nobody has accessed anything. */
			EXPECT_EQ(0, (pte32 ? *vm_pte32(vcpu->vm, GUEST_DATA) :
					      *vm_pte(vcpu->vm, GUEST_DATA)) & 0x20);
		}

		/* Not there. */
		if (pte32)
			*vm_pte32(vcpu->vm, GUEST_DATA) = 0;
		else
			*vm_pte(vcpu->vm, GUEST_DATA) = 0;
		EXPECT_EQ(0, xioctl(vcpu->fd, KVM_TRANSLATE, &tr));
		EXPECT_EQ(-1ull, tr.physical_address);
		EXPECT_EQ(0, tr.valid);
		vm_destroy(vcpu->vm);
	}
}

/* --- Before the first vCPU, and what can be enabled ----------------------------------------------- */

#define APIC_BASE_BSP	(1 << 8)

TEST(boot_cpu_id)
{
	struct test_vm *vm = vm_create_bare();
	int max = cap_of(vm->fd, KVM_CAP_MAX_VCPU_ID);
	struct kvm_sregs s;
	int i, fd;

	/* Linux 6.1's KVM takes any number. */
	EXPECT_ROW2(-EINVAL, 0, xioctl(vm->fd, KVM_SET_BOOT_CPU_ID, max + 1), "beyond the largest");
	EXPECT_ROW2(-EINVAL, 0, xioctl(vm->fd, KVM_SET_BOOT_CPU_ID, 1ull << 32), "more than 32 bits");
	EXPECT_EQ(0, xioctl(vm->fd, KVM_SET_BOOT_CPU_ID, 3));
	EXPECT_EQ(0, xioctl(vm->fd, KVM_SET_BOOT_CPU_ID, 1));
	for (i = 0; i < 3; i++) {
		fd = xioctl(vm->fd, KVM_CREATE_VCPU, i);
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, xioctl(fd, KVM_GET_SREGS, &s));
		EXPECT_EQ(i == 1 ? APIC_BASE_BSP : 0, s.apic_base & APIC_BASE_BSP)
			TH_LOG("vCPU %d", i);
		close(fd);
	}
	EXPECT_EQ(-EBUSY, xioctl(vm->fd, KVM_SET_BOOT_CPU_ID, 1));
	EXPECT_EQ(-EBUSY, xioctl(vm->fd, KVM_SET_BOOT_CPU_ID, max + 1));
	vm_destroy(vm);
}

static long enable_cap(int fd, uint32_t cap, uint64_t arg)
{
	const struct kvm_enable_cap e = { .cap = cap, .args[0] = arg };

	return xioctl(fd, KVM_ENABLE_CAP, &e);
}

TEST(max_vcpu_id)
{
	struct test_vm *vm = vm_create_bare();
	int max = cap_of(vm->fd, KVM_CAP_MAX_VCPU_ID);
	struct kvm_enable_cap e = { .cap = KVM_CAP_MAX_VCPU_ID, .flags = 1, .args[0] = 2 };

	ASSERT_LT(0, max);
	EXPECT_EQ(-EINVAL, enable_cap(vm->fd, KVM_CAP_MAX_VCPU_ID, max + 1));
	EXPECT_EQ(-EINVAL, enable_cap(vm->fd, KVM_CAP_MAX_VCPU_ID, (1ull << 32) + 2));
	EXPECT_EQ(-EINVAL, enable_cap(vm->fd, KVM_CAP_MAX_VCPU_ID, -1ull));
	EXPECT_EQ(-EINVAL, xioctl(vm->fd, KVM_ENABLE_CAP, &e));
	/* 0 is what it is. */
	EXPECT_EQ(0, enable_cap(vm->fd, KVM_CAP_MAX_VCPU_ID, 0));
	EXPECT_EQ(0, enable_cap(vm->fd, KVM_CAP_MAX_VCPU_ID, 2));
	EXPECT_EQ(0, enable_cap(vm->fd, KVM_CAP_MAX_VCPU_ID, 2));
	EXPECT_EQ(-EINVAL, enable_cap(vm->fd, KVM_CAP_MAX_VCPU_ID, 3));
	EXPECT_EQ(-EINVAL, enable_cap(vm->fd, KVM_CAP_MAX_VCPU_ID, 0));
	EXPECT_EQ(-EINVAL, xioctl(vm->fd, KVM_CREATE_VCPU, 2));
	EXPECT_LE(0, xioctl(vm->fd, KVM_CREATE_VCPU, 1));
	EXPECT_LE(0, xioctl(vm->fd, KVM_CREATE_VCPU, 0));
	EXPECT_EQ(-EINVAL, xioctl(vm->fd, KVM_CREATE_VCPU, 2));
	/* The answer is about what is possible. */
	EXPECT_EQ(max, cap_of(vm->fd, KVM_CAP_MAX_VCPU_ID));
	vm_destroy(vm);

	/* The first vCPU settles it. */
	vm = vm_create_bare();
	ASSERT_LE(0, xioctl(vm->fd, KVM_CREATE_VCPU, 0));
	EXPECT_EQ(-EINVAL, enable_cap(vm->fd, KVM_CAP_MAX_VCPU_ID, 2));
	EXPECT_EQ(0, enable_cap(vm->fd, KVM_CAP_MAX_VCPU_ID, max));
	vm_destroy(vm);
}

TEST_F(state, enable_cap_on_a_vcpu)
{
	static const uint32_t caps[] = {
		0, KVM_CAP_HLT, KVM_CAP_ENABLE_CAP, KVM_CAP_MAX_VCPU_ID, KVM_CAP_DISABLE_QUIRKS2,
		399, 0xffffffff,
	};
	struct kvm_enable_cap e = { .flags = 1 };
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(caps); i++) {
		EXPECT_EQ(-EINVAL, enable_cap(self->m.vcpu, caps[i], 0))
			TH_LOG("capability %u", caps[i]);
	}
	EXPECT_EQ(-EINVAL, xioctl(self->m.vcpu, KVM_ENABLE_CAP, &e));
	EXPECT_EQ(-EFAULT, xioctl(self->m.vcpu, KVM_ENABLE_CAP, 0));
	/* Not on the device. */
	EXPECT_EQ(-EINVAL, xioctl(self->m.dev, KVM_ENABLE_CAP, &e));
}

TEST_HARNESS_MAIN
