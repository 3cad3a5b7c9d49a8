// SPDX-License-Identifier: GPL-2.0
/*
 * Port I/O: every form of IN, OUT, INS and OUTS in real, protected and 64-bit
 * mode. Instructions are written out from their encoding; how a REP is cut
 * into exits is the module's affair, what goes over the port is not.
 */
#include <string.h>

#include "kselftest_harness.h"
#include "lib/code.h"
#include "lib/rand.h"
#include "lib/vm.h"

#define BUF	GUEST_DATA
#define BUF_MAX	0x4000

static const enum test_mode modes[] = { MODE_REAL, MODE_PROT32, MODE_LONG };

static uint64_t size_mask(int size)
{
	return size == 8 ? ~0ull : (1ull << size * 8) - 1;
}

/*
 * The vCPU in @mode and with @code, registers random where it does not matter.
 * It is the same one for all guests of a test: making VMs takes time.
 */
static struct test_vcpu *guest(enum test_mode mode, const struct code_buf *code,
			       struct kvm_regs *regs)
{
	static struct test_vcpu *vcpu;

	if (!vcpu)
		vcpu = vm_add_vcpu(vm_create(), 0);
	vcpu_set_mode(vcpu, mode);
	code_load(code, vcpu->vm);
	rand_fill(regs, offsetof(struct kvm_regs, rip));
	regs->rip = GUEST_CODE;
	regs->rsp = GUEST_STACK_TOP;
	regs->rflags = 2;
	return vcpu;
}

/* Operand-size prefix and opcode: @byte_op for one byte, @byte_op + 1 else. */
static void put_io_op(struct code_buf *code, enum test_mode mode, int size,
		      uint8_t byte_op)
{
	int prefixed = mode == MODE_REAL ? 4 : 2;

	if (size == prefixed)
		CODE(code, 0x66);
	CODE(code, byte_op + (size > 1));
}

/* IN and OUT: three sizes, port in the instruction or in DX. */
static void one_access(enum test_mode mode, int size, bool in, bool dx)
{
	uint64_t low = size_mask(size), value, data = rand_u64(), got = 0;
	uint16_t port = dx ? rand_below(0x10000) : rand_below(0x100);
	struct code_buf code = {};
	struct kvm_regs regs, after;
	struct test_vcpu *vcpu;
	void *area;
	int i;

	put_io_op(&code, mode, size, (in ? 0xe4 : 0xe6) + (dx ? 8 : 0));
	if (!dx)
		CODE(&code, port);
	code_hlt(&code);
	vcpu = guest(mode, &code, &regs);
	if (dx)
		regs.rdx = (regs.rdx & ~0xffffull) | port;
	vcpu_set_regs(vcpu, &regs);

	area = vcpu_run_to_io(vcpu, in ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT, port,
			      size, 1);
	if (in) {
		memcpy(area, &data, size);
	} else {
		memcpy(&got, area, size);
		TEST_EQ(regs.rax & low, got, "%s, OUT of %d bytes",
			test_mode_name(mode), size);
	}
	vcpu_run_to_hlt(vcpu);

	/* AL and AX leave the rest of RAX alone, EAX clears its upper half. */
	value = regs.rax;
	if (in && size == 4)
		value = data & low;
	else if (in)
		value = (value & ~low) | (data & low);
	vcpu_get_regs(vcpu, &after);
	if (mode != MODE_LONG) {
		value = (uint32_t)value;
		after.rax = (uint32_t)after.rax;
	}
	TEST_EQ(value, after.rax, "%s, %s of %d bytes", test_mode_name(mode),
		in ? "IN" : "OUT", size);
	for (i = RCX; i <= R15; i++)
		TEST_EQ(*regs_gpr(&regs, i), *regs_gpr(&after, i),
			"%s, register %d", test_mode_name(mode), i);
	TEST_EQ(GUEST_CODE + code.size, after.rip, "RIP");
	TEST_EQ(2, after.rflags, "RFLAGS");
}

TEST(in_out)
{
	unsigned int m;
	int size, form;

	for (m = 0; m < ARRAY_SIZE(modes); m++)
		for (size = 1; size <= 4; size *= 2)
			for (form = 0; form < 4; form++)
				one_access(modes[m], size, form & 1, form & 2);
}

/* The same IN again and again: nothing is left over from the one before. */
TEST(in_repeated)
{
	struct code_buf code = {};
	struct test_vcpu *vcpu;
	struct kvm_regs regs;
	uint64_t data;
	int i;

	CODE(&code, 0xe5, 0x42);		/* in $0x42, %eax */
	CODE(&code, 0x48, 0x01, 0xc3);		/* add %rax, %rbx */
	code_jmp_to(&code, 0);
	vcpu = guest(MODE_LONG, &code, &regs);
	regs.rbx = 0;
	vcpu_set_regs(vcpu, &regs);
	for (i = 0, data = 0; i < 50; i++) {
		uint32_t value = rand_u64();

		memcpy(vcpu_run_to_io(vcpu, KVM_EXIT_IO_IN, 0x42, 4, 1),
		       &value, 4);
		data += value;
	}
	vcpu_run_to_io(vcpu, KVM_EXIT_IO_IN, 0x42, 4, 1);
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(data, regs.rbx);
}

/* A string instruction and all that it depends on. */
struct string_io {
	enum test_mode mode;
	bool in;
	int size;
	bool rep;
	bool down;		/* RFLAGS.DF */
	bool addr_prefix;	/* 0x67 */
	bool rex_w;		/* means nothing to INS and OUTS */
	bool fs;		/* segment override, OUTS only */
	uint64_t count;
	uint64_t start;		/* RSI or RDI before */
	uint64_t base;		/* of DS, FS or ES */
};

/* How many address bits count. */
static uint64_t address_mask(const struct string_io *s)
{
	switch (s->mode) {
	case MODE_REAL:
		return size_mask(s->addr_prefix ? 4 : 2);
	case MODE_PROT32:
		return size_mask(s->addr_prefix ? 2 : 4);
	default:
		return size_mask(s->addr_prefix ? 4 : 8);
	}
}

/* What a write of @value to a register under @mask leaves in it. */
static uint64_t merge(const struct string_io *s, uint64_t old, uint64_t value)
{
	uint64_t mask = address_mask(s);

	if (mask == 0xffff)
		return (old & ~mask) | (value & mask);
	return value & mask;
}

static void set_base(struct test_vcpu *vcpu, const struct string_io *s)
{
	struct kvm_segment *seg;
	struct kvm_sregs sregs;

	vcpu_get_sregs(vcpu, &sregs);
	seg = s->in ? &sregs.es : s->fs ? &sregs.fs : &sregs.ds;
	seg->base = s->base;
	if (s->mode == MODE_REAL)
		seg->selector = s->base >> 4;
	vcpu_set_sregs(vcpu, &sregs);
}

/* Guest-linear address of element @i. */
static uint64_t element(const struct string_io *s, uint64_t i)
{
	uint64_t off = s->start + (s->down ? -(i * s->size) : i * s->size);
	uint64_t base = s->mode == MODE_LONG && !s->fs ? 0 : s->base;

	return base + (off & address_mask(s));
}

/*
 * Run a REP to its HLT with a mapping of one page and more behind it; the
 * bytes that an OUTS sends, or that an INS is given, are compared with memory.
 */
static void string_io(const struct string_io *s)
{
	uint64_t count = s->rep ? s->count : 1, done = 0, i;
	static uint8_t memory[BUF + 2 * BUF_MAX], supply[BUF_MAX];
	uint16_t port = rand_below(0x10000);
	struct code_buf code = {};
	struct kvm_regs regs, after;
	struct test_vcpu *vcpu;
	uint64_t *index;

	if (s->rep)
		CODE(&code, 0xf3);
	if (s->fs)
		CODE(&code, 0x64);
	if (s->addr_prefix)
		CODE(&code, 0x67);
	if (s->size == (s->mode == MODE_REAL ? 4 : 2))
		CODE(&code, 0x66);
	if (s->rex_w)
		CODE(&code, 0x48);
	CODE(&code, (s->in ? 0x6c : 0x6e) + (s->size > 1));
	code_hlt(&code);

	vcpu = guest(s->mode, &code, &regs);
	set_base(vcpu, s);
	rand_fill(vm_hva(vcpu->vm, BUF, BUF_MAX), BUF_MAX);
	rand_fill(supply, sizeof(supply));
	memcpy(memory, vm_hva(vcpu->vm, 0, sizeof(memory)), sizeof(memory));
	regs.rdx = (regs.rdx & ~0xffffull) | port;
	if (s->rep)
		regs.rcx = (regs.rcx & ~address_mask(s)) | s->count;
	index = regs_gpr(&regs, s->in ? RDI : RSI);
	*index = (*index & ~address_mask(s)) | s->start;
	regs.rflags = s->down ? 0x402 : 2;
	vcpu_set_regs(vcpu, &regs);

	while (done < count) {
		struct kvm_run *run = vcpu->run;
		uint8_t *area;
		uint64_t k;

		vcpu_run_expect(vcpu, KVM_EXIT_IO);
		TEST_EQ(s->in ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT,
			run->io.direction, "direction");
		TEST_EQ(port, run->io.port, "port");
		TEST_EQ(s->size, run->io.size, "size");
		TEST_CHECK(run->io.count >= 1 && run->io.count <= count - done,
			   "%u elements of %lu that are left", run->io.count,
			   count - done);
		area = (uint8_t *)run + run->io.data_offset;
		for (k = 0; k < run->io.count; k++, done++) {
			if (s->in)
				memcpy(area + k * s->size,
				       supply + done * s->size, s->size);
			else
				TEST_CHECK(!memcmp(area + k * s->size,
						   memory + element(s, done),
						   s->size),
					   "element %lu is not memory's", done);
		}
	}
	vcpu_run_to_hlt(vcpu);

	/* Memory: the elements that came in, and nothing else. */
	for (i = 0; s->in && i < count; i++)
		memcpy(memory + element(s, i), supply + i * s->size, s->size);
	TEST_CHECK(!memcmp(memory + BUF,
			   vm_hva(vcpu->vm, BUF, BUF_MAX), BUF_MAX),
		   "guest memory is wrong after %lu elements", count);

	vcpu_get_regs(vcpu, &after);
	if (s->rep)
		regs.rcx = merge(s, regs.rcx, 0);
	*index = merge(s, *index, s->start + (s->down ? -count : count) *
		       s->size);
	regs.rip = GUEST_CODE + code.size;
	if (s->mode != MODE_LONG) {
		regs.rcx = (uint32_t)regs.rcx;
		regs.rsi = (uint32_t)regs.rsi;
		regs.rdi = (uint32_t)regs.rdi;
		after.rcx = (uint32_t)after.rcx;
		after.rsi = (uint32_t)after.rsi;
		after.rdi = (uint32_t)after.rdi;
	}
	for (i = RAX; i <= R15; i++)
		TEST_EQ(*regs_gpr(&regs, i), *regs_gpr(&after, i),
			"%s %s size %d, register %lu", test_mode_name(s->mode),
			s->in ? "INS" : "OUTS", s->size, i);
	TEST_EQ(regs.rip, after.rip, "RIP");
	TEST_EQ(regs.rflags, after.rflags, "RFLAGS");
}

/* All modes, sizes and directions, with the rest of @s as it is. */
static void string_io_all(struct string_io s)
{
	uint64_t start = s.start, base = s.base;
	unsigned int m;

	for (m = 0; m < ARRAY_SIZE(modes); m++) {
		for (s.size = 1; s.size <= 4; s.size *= 2) {
			s.mode = modes[m];
			s.base = s.mode == MODE_REAL ? BUF : base;
			s.start = s.mode == MODE_REAL ? start - BUF :
				start - base;
			s.in = false;
			string_io(&s);
			if (s.fs)
				continue;
			s.in = true;
			string_io(&s);
		}
	}
}

TEST(string_single)
{
	string_io_all((struct string_io){ .start = BUF + 0x123 });
	string_io_all((struct string_io){ .start = BUF + 0x123, .down = true });
}

TEST(string_rep)
{
	string_io_all((struct string_io){ .start = BUF + 0x20, .rep = true,
			.count = rand_between(2, 40) });
}

TEST(string_rep_down)
{
	string_io_all((struct string_io){ .start = BUF + 0x820, .rep = true,
			.count = rand_between(2, 40), .down = true });
}

/* Elements on both sides of a page's end, one of them across it. */
TEST(string_page_crossing)
{
	string_io_all((struct string_io){ .start = BUF + 0xff9, .rep = true,
			.count = 9 });
	string_io_all((struct string_io){ .start = BUF + 0x1003, .rep = true,
			.count = 9, .down = true });
}

/* More than a page of data. */
TEST(string_long)
{
	struct string_io s = { .start = BUF + 0x10, .rep = true,
			       .count = 4096 + rand_below(500), .size = 1,
			       .mode = MODE_LONG, .in = true };

	string_io(&s);
	s.size = 4;
	s.count = 1100;
	string_io(&s);
	s.mode = MODE_PROT32;
	s.in = false;
	string_io(&s);
	s.mode = MODE_REAL;
	s.base = BUF;
	s.start = 0x10;
	s.size = 2;
	s.count = 2100;
	s.in = true;
	string_io(&s);
}

TEST(string_segment_override)
{
	string_io_all((struct string_io){ .start = BUF + 0x333, .rep = true,
			.count = 7, .fs = true, .base = 0x1230 });
}

/* DS and ES bases count outside 64-bit mode. */
TEST(string_segment_base)
{
	struct string_io s = { .mode = MODE_PROT32, .rep = true, .count = 5,
			       .base = BUF, .start = 0x70 };

	for (s.size = 1; s.size <= 4; s.size *= 2) {
		s.in = !s.in;
		string_io(&s);
	}
}

/*
 * The address-size prefix: 32 bits in real and 64-bit mode, 16 in 32-bit mode
 * where the buffer is reached by the segment's base.
 */
TEST(string_address_size)
{
	struct string_io s = { .rep = true, .count = 11, .addr_prefix = true };
	int in;

	for (in = 0; in < 2; in++) {
		s.in = in;
		for (s.size = 1; s.size <= 4; s.size *= 2) {
			s.mode = MODE_LONG;
			s.base = 0;
			s.start = BUF + 0x5;
			string_io(&s);
			s.mode = MODE_REAL;
			s.base = BUF;
			s.start = 0x205;
			string_io(&s);
			s.mode = MODE_PROT32;
			string_io(&s);
		}
	}
}

/* SI and DI wrap within 64 KiB when addresses have 16 bits. */
TEST(string_wraps_16bit)
{
	struct string_io s = { .mode = MODE_REAL, .rep = true, .count = 6,
			       .size = 2, .base = BUF - 0xe000,
			       .start = 0xfffa };

	string_io(&s);
	/* Stock KVM stores what INS reads past the end of the segment. */
	s.in = true;
	if (test_device_is_minikvm())
		string_io(&s);
}

/* REX.W does not make the data wider. */
TEST(string_rex_w)
{
	struct string_io s = { .mode = MODE_LONG, .rep = true, .count = 5,
			       .size = 4, .rex_w = true, .start = BUF + 1 };

	string_io(&s);
	s.in = true;
	string_io(&s);
}

/* REP with a count of zero does nothing at all. */
TEST(string_count_zero)
{
	string_io_all((struct string_io){ .start = BUF + 0x20, .rep = true,
			.count = 0 });
}

/* A guest in the middle of a REP whose memory ends at a page that is away. */
struct fault_guest {
	struct test_vcpu *vcpu;
	struct kvm_regs regs;
	uint64_t page;		/* away, or read-only */
};

#define FAULT_LEFT	4	/* elements before the page */
#define FAULT_COUNT	10

static struct fault_guest fault_guest(bool in, bool readonly)
{
	struct fault_guest f = { .page = BUF + 0x1000 };
	struct code_buf code = {};
	uint64_t *pte;

	CODE(&code, 0xf3, in ? 0x6d : 0x6f);	/* rep insl, rep outsl */
	code_hlt(&code);
	f.vcpu = guest(MODE_LONG, &code, &f.regs);
	pte = vm_pte(f.vcpu->vm, f.page);
	*pte &= readonly ? ~2ull : ~1ull;
	f.regs.rdx = 0x1234;
	f.regs.rcx = FAULT_COUNT;
	f.regs.rsi = f.regs.rdi = f.page - FAULT_LEFT * 4;
	vcpu_set_regs(f.vcpu, &f.regs);
	return f;
}

/* The registers say how far it came, so that the instruction can go on. */
static void expect_restartable(struct fault_guest *f, bool in, uint64_t error,
			       const struct guest_exception *exc)
{
	struct kvm_regs regs;

	TEST_EQ(f->page, exc->cr2, "CR2");
	TEST_EQ(error, exc->error, "error code");
	TEST_EQ(GUEST_CODE, exc->rip, "RIP of the fault");
	vcpu_get_regs(f->vcpu, &regs);
	TEST_EQ(FAULT_COUNT - FAULT_LEFT, regs.rcx, "RCX");
	TEST_EQ(f->page, in ? regs.rdi : regs.rsi, "RSI or RDI");
	TEST_EQ(f->page - FAULT_LEFT * 4, in ? regs.rsi : regs.rdi,
		"the other index register");
}

/* Pass @count elements over the port, out of or into @data. */
static void pass_elements(struct test_vcpu *vcpu, bool in, uint32_t *data,
			  uint32_t count)
{
	struct kvm_run *run = vcpu->run;
	uint32_t done = 0;

	while (done < count) {
		uint32_t *area;

		vcpu_run_expect(vcpu, KVM_EXIT_IO);
		TEST_EQ(0x1234, run->io.port, "port");
		TEST_EQ(4, run->io.size, "size");
		TEST_CHECK(run->io.count <= count - done, "%u of %u elements",
			   run->io.count, count - done);
		area = (void *)((uint8_t *)run + run->io.data_offset);
		if (in)
			memcpy(area, data + done, run->io.count * 4);
		else
			memcpy(data + done, area, run->io.count * 4);
		done += run->io.count;
	}
}

TEST(outs_faults)
{
	struct fault_guest f = fault_guest(false, false);
	uint32_t data[FAULT_COUNT], *memory;
	struct guest_exception exc;

	memory = vm_hva(f.vcpu->vm, f.page - FAULT_LEFT * 4, FAULT_COUNT * 4);
	rand_fill(memory, FAULT_COUNT * 4);
	pass_elements(f.vcpu, false, data, FAULT_LEFT);
	exc = vcpu_run_to_exception(f.vcpu, VECTOR_PF, 0);
	expect_restartable(&f, false, 0, &exc);

	/* Mend the page and go on where it stopped. */
	*vm_pte(f.vcpu->vm, f.page) |= 1;
	vcpu_get_regs(f.vcpu, &f.regs);
	f.regs.rip = GUEST_CODE;
	vcpu_set_regs(f.vcpu, &f.regs);
	pass_elements(f.vcpu, false, data + FAULT_LEFT,
		      FAULT_COUNT - FAULT_LEFT);
	vcpu_run_to_hlt(f.vcpu);
	EXPECT_EQ(0, memcmp(data, memory, sizeof(data)));
}

/*
 * INS may not take from the port what it cannot store. Stock KVM does: it
 * reads ahead first and faults after, so it is asked for the fault only.
 */
static void check_ins_fault(bool readonly)
{
	uint64_t error = readonly ? 3 : 2;
	struct fault_guest f = fault_guest(true, readonly);
	uint32_t data[FAULT_COUNT], *memory;
	struct guest_exception exc;

	memory = vm_hva(f.vcpu->vm, f.page - FAULT_LEFT * 4, FAULT_COUNT * 4);
	rand_fill(data, sizeof(data));
	if (!test_device_is_minikvm()) {
		do {
			vcpu_run(f.vcpu);
		} while (f.vcpu->run->exit_reason == KVM_EXIT_IO);
		vcpu_expect(f.vcpu, KVM_EXIT_HLT);
		exc = *vm_exception(f.vcpu->vm);
		TEST_EQ(VECTOR_PF, exc.vector, "vector");
		TEST_EQ(error, exc.error, "error code");
		TEST_EQ(f.page, exc.cr2, "CR2");
			return;
	}
	pass_elements(f.vcpu, true, data, FAULT_LEFT);
	exc = vcpu_run_to_exception(f.vcpu, VECTOR_PF, error);
	expect_restartable(&f, true, error, &exc);
	TEST_CHECK(!memcmp(memory, data, FAULT_LEFT * 4),
		   "what came before the fault is not in memory");

	*vm_pte(f.vcpu->vm, f.page) |= 3;
	vcpu_get_regs(f.vcpu, &f.regs);
	f.regs.rip = GUEST_CODE;
	vcpu_set_regs(f.vcpu, &f.regs);
	pass_elements(f.vcpu, true, data + FAULT_LEFT,
		      FAULT_COUNT - FAULT_LEFT);
	vcpu_run_to_hlt(f.vcpu);
	TEST_CHECK(!memcmp(memory, data, sizeof(data)),
		   "memory is not what went over the port");
}

TEST(ins_faults_not_present)
{
	check_ins_fault(false);
}

TEST(ins_faults_read_only)
{
	check_ins_fault(true);
}

/*
 * Userspace changes RCX while it carries out REP INSB, which is not part of the ABI: what is stored,
 * RCX and RDI have to fit together all the same.
 */
static void ins_with_rcx(uint64_t rcx, uint64_t changed)
{
	uint8_t *memory, want[16] = {};
	struct code_buf code = {};
	struct test_vcpu *vcpu;
	struct kvm_regs regs;

	CODE(&code, 0xf3, 0x6c);	/* rep insb */
	code_hlt(&code);
	vcpu = guest(MODE_LONG, &code, &regs);
	memory = vm_hva(vcpu->vm, BUF, sizeof(want));
	memset(memory, 0, sizeof(want));
	regs.rdx = 0x1234;
	regs.rcx = rcx;
	regs.rdi = BUF;
	vcpu_set_regs(vcpu, &regs);
	vcpu_run_expect(vcpu, KVM_EXIT_IO);
	TEST_EQ(rcx, vcpu->run->io.count, "elements");
	memset((uint8_t *)vcpu->run + vcpu->run->io.data_offset, 0xaa, sizeof(want));
	vcpu_get_regs(vcpu, &regs);
	regs.rcx = changed;
	vcpu_set_regs(vcpu, &regs);
	vcpu_run_to_hlt(vcpu);

	vcpu_get_regs(vcpu, &regs);
	TEST_EQ(0, regs.rcx, "RCX");
	TEST_EQ(BUF + changed, regs.rdi, "RDI");
	memset(want, 0xaa, changed);
	TEST_CHECK(!memcmp(memory, want, sizeof(want)), "other memory than RCX says");
}

TEST(ins_rcx_reduced)
{
	ins_with_rcx(2, 1);
	ins_with_rcx(16, 5);
	/* Stock KVM leaves KVM_RUN without an exit reason then. */
	if (test_device_is_minikvm())
		ins_with_rcx(3, 0);
}

/* A word at the last byte of a real-mode segment is beyond its limit. */
TEST(outs_beyond_limit)
{
	struct guest_exception exc;
	struct code_buf code = {};
	struct test_vcpu *vcpu;
	struct kvm_regs regs;

	CODE(&code, 0x6f);		/* outsw */
	code_hlt(&code);
	vcpu = guest(MODE_REAL, &code, &regs);
	regs.rsi = 0xffff;
	vcpu_set_regs(vcpu, &regs);
	exc = vcpu_run_to_exception(vcpu, VECTOR_GP, EXC_NO_ERROR);
	EXPECT_EQ(GUEST_CODE, exc.rip);
	vcpu_get_regs(vcpu, &regs);
	EXPECT_EQ(0xffff, regs.rsi & 0xffff);
}

/* Ring 3 with IOPL 0 and a TSS without I/O bitmap gets #GP, and no exit. */
TEST(ring3_without_iopl)
{
	struct guest_exception exc;
	struct code_buf code = {};
	struct test_vcpu *vcpu;
	struct kvm_regs regs;

	CODE(&code, 0xe4, 0x10);	/* in $0x10, %al */
	vcpu = guest(MODE_LONG_R3, &code, &regs);
	vcpu_set_regs(vcpu, &regs);
	exc = vcpu_run_to_exception(vcpu, VECTOR_GP, 0);
	EXPECT_EQ(GUEST_CODE, exc.rip);

	/* With IOPL 3 it may. */
	regs.rflags = 0x3002;
	vcpu_set_mode(vcpu, MODE_LONG_R3);
	vcpu_set_regs(vcpu, &regs);
	vcpu_run_to_io(vcpu, KVM_EXIT_IO_IN, 0x10, 1, 1);
}

TEST_HARNESS_MAIN
