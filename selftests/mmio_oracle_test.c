// SPDX-License-Identifier: GPL-2.0
/*
 * The instruction emulator inside a guest: each instruction runs once on memory, where the
 * processor executes it, and once at the same address on a device that behaves as memory,
 * where it is emulated. Registers, flags, selectors, vector registers, memory, ports and
 * exceptions must come out equal, in each mode.
 *
 * Two virtual machines differ in nothing but slot 1. An instruction for which KVM_RUN gives up
 * (KVM_EXIT_INTERNAL_ERROR) is counted, and named with VERBOSE=1; what the product says it
 * emulates must not be among these.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "kselftest_harness.h"
#include "lib/code.h"
#include "lib/rand.h"
#include "lib/vm.h"

#define WINDOW		0x300000ull	/* memory or device */
#define WINDOW_SIZE	0x2000
#define LANDING		(GUEST_CODE + 0x40)	/* where jumps go to: a HLT */
#define PORT		0x5a0
#define FL_DF		0x400
#define SECONDS		5		/* for each mode; on a slow machine fewer cases */

enum {
	V	= 1 << 0,	/* also with 66, and REX.W in 64-bit mode */
	L	= 1 << 1,	/* LOCK is legal */
	NOMOD	= 1 << 2,	/* no ModRM byte */
	STR	= 1 << 3,	/* string instruction */
	JUMP	= 1 << 4,	/* the operand is an address of code */
	SREG	= 1 << 5,	/* the operand is a selector */
	BIT	= 1 << 6,	/* a register is an offset in bits */
	CMPX	= 1 << 7,	/* compared with (E)DX:(E)AX */
	ONLY64	= 1 << 8,
	NO64	= 1 << 9,
	STACK	= 1 << 10,	/* also with the stack in the device */
	ALIGNED	= 1 << 11,
	MOFFS	= 1 << 12,
	ANY	= -1,		/* digit: ModRM.reg is a register */
};

static const struct form {
	const char *name;
	uint8_t pp;		/* 66, F2 or F3 as part of the opcode */
	uint8_t op[3];
	uint8_t len;
	int8_t digit;
	char imm;		/* 'b': byte, 'z': operand size up to 4 bytes */
	int flags;
} forms[] = {
#define ALU(nr, name, lock)						\
	{ name " Eb,Gb", 0, { (nr) * 8 }, 1, ANY, 0, lock },		\
	{ name " Ev,Gv", 0, { (nr) * 8 + 1 }, 1, ANY, 0, V | (lock) },	\
	{ name " Gb,Eb", 0, { (nr) * 8 + 2 }, 1, ANY },			\
	{ name " Gv,Ev", 0, { (nr) * 8 + 3 }, 1, ANY, 0, V },		\
	{ name " Eb,Ib", 0, { 0x80 }, 1, nr, 'b', lock },		\
	{ name " Ev,Iz", 0, { 0x81 }, 1, nr, 'z', V | (lock) },		\
	{ name " Ev,Ib", 0, { 0x83 }, 1, nr, 'b', V | (lock) }
	ALU(0, "ADD", L),
	ALU(1, "OR", L),
	ALU(2, "ADC", L),
	ALU(3, "SBB", L),
	ALU(4, "AND", L),
	ALU(5, "SUB", L),
	ALU(6, "XOR", L),
	ALU(7, "CMP", 0),
#define SHIFT(nr, name)							\
	{ name " Eb,Ib", 0, { 0xc0 }, 1, nr, 'b' },			\
	{ name " Ev,Ib", 0, { 0xc1 }, 1, nr, 'b', V },			\
	{ name " Eb,1", 0, { 0xd0 }, 1, nr },				\
	{ name " Ev,1", 0, { 0xd1 }, 1, nr, 0, V },			\
	{ name " Eb,CL", 0, { 0xd2 }, 1, nr },				\
	{ name " Ev,CL", 0, { 0xd3 }, 1, nr, 0, V }
	SHIFT(0, "ROL"),
	SHIFT(1, "ROR"),
	SHIFT(2, "RCL"),
	SHIFT(3, "RCR"),
	SHIFT(4, "SHL"),
	SHIFT(5, "SHR"),
	SHIFT(7, "SAR"),
#define UNARY(nr, name, lock)						\
	{ name " Eb", 0, { 0xf6 }, 1, nr, 0, lock },			\
	{ name " Ev", 0, { 0xf7 }, 1, nr, 0, V | (lock) }
	{ "TEST Eb,Ib", 0, { 0xf6 }, 1, 0, 'b' },
	{ "TEST Ev,Iz", 0, { 0xf7 }, 1, 0, 'z', V },
	UNARY(2, "NOT", L),
	UNARY(3, "NEG", L),
	UNARY(4, "MUL", 0),
	UNARY(5, "IMUL", 0),
	UNARY(6, "DIV", 0),
	UNARY(7, "IDIV", 0),
	{ "INC Eb", 0, { 0xfe }, 1, 0, 0, L },
	{ "DEC Eb", 0, { 0xfe }, 1, 1, 0, L },
	{ "INC Ev", 0, { 0xff }, 1, 0, 0, V | L },
	{ "DEC Ev", 0, { 0xff }, 1, 1, 0, V | L },
	{ "CALL Ev", 0, { 0xff }, 1, 2, 0, JUMP | STACK },
	{ "JMP Ev", 0, { 0xff }, 1, 4, 0, JUMP },
	{ "PUSH Ev", 0, { 0xff }, 1, 6, 0, V | STACK },
	{ "POP Ev", 0, { 0x8f }, 1, 0, 0, V | STACK },
	{ "TEST Eb,Gb", 0, { 0x84 }, 1, ANY },
	{ "TEST Ev,Gv", 0, { 0x85 }, 1, ANY, 0, V },
	{ "XCHG Eb,Gb", 0, { 0x86 }, 1, ANY, 0, L },
	{ "XCHG Ev,Gv", 0, { 0x87 }, 1, ANY, 0, V | L },
	{ "MOV Eb,Gb", 0, { 0x88 }, 1, ANY },
	{ "MOV Ev,Gv", 0, { 0x89 }, 1, ANY, 0, V },
	{ "MOV Gb,Eb", 0, { 0x8a }, 1, ANY },
	{ "MOV Gv,Ev", 0, { 0x8b }, 1, ANY, 0, V },
	{ "MOV Ew,ES", 0, { 0x8c }, 1, 0, 0, V },
	{ "MOV Ew,CS", 0, { 0x8c }, 1, 1, 0, V },
	{ "MOV Ew,SS", 0, { 0x8c }, 1, 2, 0, V },
	{ "MOV ES,Ew", 0, { 0x8e }, 1, 0, 0, SREG },
	{ "MOV FS,Ew", 0, { 0x8e }, 1, 4, 0, SREG },
	{ "MOV GS,Ew", 0, { 0x8e }, 1, 5, 0, SREG },
	{ "MOV Eb,Ib", 0, { 0xc6 }, 1, 0, 'b' },
	{ "MOV Ev,Iz", 0, { 0xc7 }, 1, 0, 'z', V },
	{ "MOV AL,Ob", 0, { 0xa0 }, 1, ANY, 0, NOMOD | MOFFS },
	{ "MOV rAX,Ov", 0, { 0xa1 }, 1, ANY, 0, NOMOD | MOFFS | V },
	{ "MOV Ob,AL", 0, { 0xa2 }, 1, ANY, 0, NOMOD | MOFFS },
	{ "MOV Ov,rAX", 0, { 0xa3 }, 1, ANY, 0, NOMOD | MOFFS | V },
	{ "MOVSXD Gv,Ed", 0, { 0x63 }, 1, ANY, 0, ONLY64 },
	{ "IMUL Gv,Ev,Iz", 0, { 0x69 }, 1, ANY, 'z', V },
	{ "IMUL Gv,Ev,Ib", 0, { 0x6b }, 1, ANY, 'b', V },
	{ "IMUL Gv,Ev", 0, { 0x0f, 0xaf }, 2, ANY, 0, V },
	{ "MOVS b", 0, { 0xa4 }, 1, ANY, 0, NOMOD | STR },
	{ "MOVS v", 0, { 0xa5 }, 1, ANY, 0, NOMOD | STR | V },
	{ "CMPS b", 0, { 0xa6 }, 1, ANY, 0, NOMOD | STR },
	{ "CMPS v", 0, { 0xa7 }, 1, ANY, 0, NOMOD | STR | V },
	{ "STOS b", 0, { 0xaa }, 1, ANY, 0, NOMOD | STR },
	{ "STOS v", 0, { 0xab }, 1, ANY, 0, NOMOD | STR | V },
	{ "LODS b", 0, { 0xac }, 1, ANY, 0, NOMOD | STR },
	{ "LODS v", 0, { 0xad }, 1, ANY, 0, NOMOD | STR | V },
	{ "SCAS b", 0, { 0xae }, 1, ANY, 0, NOMOD | STR },
	{ "SCAS v", 0, { 0xaf }, 1, ANY, 0, NOMOD | STR | V },
	{ "INS b", 0, { 0x6c }, 1, ANY, 0, NOMOD | STR },
	{ "INS v", 0, { 0x6d }, 1, ANY, 0, NOMOD | STR | V },
	{ "OUTS b", 0, { 0x6e }, 1, ANY, 0, NOMOD | STR },
	{ "OUTS v", 0, { 0x6f }, 1, ANY, 0, NOMOD | STR | V },
	{ "BT Ev,Gv", 0, { 0x0f, 0xa3 }, 2, ANY, 0, V | BIT },
	{ "BTS Ev,Gv", 0, { 0x0f, 0xab }, 2, ANY, 0, V | BIT | L },
	{ "BTR Ev,Gv", 0, { 0x0f, 0xb3 }, 2, ANY, 0, V | BIT | L },
	{ "BTC Ev,Gv", 0, { 0x0f, 0xbb }, 2, ANY, 0, V | BIT | L },
	{ "BT Ev,Ib", 0, { 0x0f, 0xba }, 2, 4, 'b', V },
	{ "BTS Ev,Ib", 0, { 0x0f, 0xba }, 2, 5, 'b', V | L },
	{ "BTR Ev,Ib", 0, { 0x0f, 0xba }, 2, 6, 'b', V | L },
	{ "BTC Ev,Ib", 0, { 0x0f, 0xba }, 2, 7, 'b', V | L },
	{ "SHLD Ev,Gv,Ib", 0, { 0x0f, 0xa4 }, 2, ANY, 'b', V },
	{ "SHLD Ev,Gv,CL", 0, { 0x0f, 0xa5 }, 2, ANY, 0, V },
	{ "SHRD Ev,Gv,Ib", 0, { 0x0f, 0xac }, 2, ANY, 'b', V },
	{ "SHRD Ev,Gv,CL", 0, { 0x0f, 0xad }, 2, ANY, 0, V },
	{ "CMPXCHG Eb,Gb", 0, { 0x0f, 0xb0 }, 2, ANY, 0, L | CMPX },
	{ "CMPXCHG Ev,Gv", 0, { 0x0f, 0xb1 }, 2, ANY, 0, V | L | CMPX },
	{ "CMPXCHG8B", 0, { 0x0f, 0xc7 }, 2, 1, 0, L | CMPX },
	{ "XADD Eb,Gb", 0, { 0x0f, 0xc0 }, 2, ANY, 0, L },
	{ "XADD Ev,Gv", 0, { 0x0f, 0xc1 }, 2, ANY, 0, V | L },
	{ "CMOVB Gv,Ev", 0, { 0x0f, 0x42 }, 2, ANY, 0, V },
	{ "CMOVNLE Gv,Ev", 0, { 0x0f, 0x4f }, 2, ANY, 0, V },
	{ "SETZ Eb", 0, { 0x0f, 0x94 }, 2, 0 },
	{ "SETL Eb", 0, { 0x0f, 0x9c }, 2, 0 },
	{ "MOVZX Gv,Eb", 0, { 0x0f, 0xb6 }, 2, ANY, 0, V },
	{ "MOVZX Gv,Ew", 0, { 0x0f, 0xb7 }, 2, ANY, 0, V },
	{ "MOVSX Gv,Eb", 0, { 0x0f, 0xbe }, 2, ANY, 0, V },
	{ "MOVSX Gv,Ew", 0, { 0x0f, 0xbf }, 2, ANY, 0, V },
	{ "BSF Gv,Ev", 0, { 0x0f, 0xbc }, 2, ANY, 0, V },
	{ "BSR Gv,Ev", 0, { 0x0f, 0xbd }, 2, ANY, 0, V },
	{ "POPCNT Gv,Ev", 0xf3, { 0x0f, 0xb8 }, 2, ANY, 0, V },
	{ "MOVBE Gv,Mv", 0, { 0x0f, 0x38, 0xf0 }, 3, ANY, 0, V },
	{ "MOVBE Mv,Gv", 0, { 0x0f, 0x38, 0xf1 }, 3, ANY, 0, V },
	{ "MOVNTI", 0, { 0x0f, 0xc3 }, 2, ANY },
	{ "MOVUPS load", 0, { 0x0f, 0x10 }, 2, ANY },
	{ "MOVUPS store", 0, { 0x0f, 0x11 }, 2, ANY },
	{ "MOVSS load", 0xf3, { 0x0f, 0x10 }, 2, ANY },
	{ "MOVSS store", 0xf3, { 0x0f, 0x11 }, 2, ANY },
	{ "MOVSD load", 0xf2, { 0x0f, 0x10 }, 2, ANY },
	{ "MOVSD store", 0xf2, { 0x0f, 0x11 }, 2, ANY },
	{ "MOVLPS load", 0, { 0x0f, 0x12 }, 2, ANY },
	{ "MOVLPS store", 0, { 0x0f, 0x13 }, 2, ANY },
	{ "MOVHPS load", 0, { 0x0f, 0x16 }, 2, ANY },
	{ "MOVHPS store", 0, { 0x0f, 0x17 }, 2, ANY },
	{ "MOVAPS load", 0, { 0x0f, 0x28 }, 2, ANY, 0, ALIGNED },
	{ "MOVAPS store", 0, { 0x0f, 0x29 }, 2, ANY, 0, ALIGNED },
	{ "MOVNTPS", 0, { 0x0f, 0x2b }, 2, ANY, 0, ALIGNED },
	{ "MOVD load", 0x66, { 0x0f, 0x6e }, 2, ANY },
	{ "MOVD store", 0x66, { 0x0f, 0x7e }, 2, ANY },
	{ "MOVQ load", 0xf3, { 0x0f, 0x7e }, 2, ANY },
	{ "MOVQ store", 0x66, { 0x0f, 0xd6 }, 2, ANY },
	{ "MOVDQA load", 0x66, { 0x0f, 0x6f }, 2, ANY, 0, ALIGNED },
	{ "MOVDQA store", 0x66, { 0x0f, 0x7f }, 2, ANY, 0, ALIGNED },
	{ "MOVDQU load", 0xf3, { 0x0f, 0x6f }, 2, ANY },
	{ "MOVDQU store", 0xf3, { 0x0f, 0x7f }, 2, ANY },
	{ "MOVNTDQ", 0x66, { 0x0f, 0xe7 }, 2, ANY, 0, ALIGNED },
	{ "LDDQU", 0xf2, { 0x0f, 0xf0 }, 2, ANY },
	{ "MOVQ mmx load", 0, { 0x0f, 0x6f }, 2, ANY },
	{ "MOVQ mmx store", 0, { 0x0f, 0x7f }, 2, ANY },
	{ "MOVD mmx load", 0, { 0x0f, 0x6e }, 2, ANY },
	{ "MOVD mmx store", 0, { 0x0f, 0x7e }, 2, ANY },
	{ "MOVNTQ", 0, { 0x0f, 0xe7 }, 2, ANY },
};

/* What the two machines start from, and what comes out of one. */
struct state {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_fpu fpu;
	uint8_t window[WINDOW_SIZE];
	uint8_t stack[0x100];
	struct guest_exception exception;
	uint64_t ports;		/* a sum of all that went through them */
	uint32_t exit;
};

struct insn {
	const struct form *form;
	uint8_t bytes[16];
	unsigned int len;
	unsigned int size;	/* of the operand, roughly */
	bool stack;		/* the stack is in the window */
};

static bool is_16bit(enum test_mode mode)
{
	return mode == MODE_REAL || mode == MODE_PROT16;
}

static bool is_64bit(enum test_mode mode)
{
	return mode == MODE_LONG || mode == MODE_LONG_R3;
}

static bool possible(const struct form *f, enum test_mode mode)
{
	if (is_16bit(mode) && f->op[1] == 0x38)
		return false;	/* see make_insn() */
	return !(f->flags & ONLY64 && !is_64bit(mode)) && !(f->flags & NO64 && is_64bit(mode));
}

/* A random instruction of this form; @offset is the operand's in the window. */
static void make_insn(struct insn *insn, const struct form *f, enum test_mode mode,
		      unsigned int offset)
{
	bool wide = f->flags & V && is_64bit(mode) && rand_below(3) == 0;
	bool opsize = f->flags & V && !wide && rand_below(3) == 0;
	uint64_t imm = rand_u64(), moffs = is_16bit(mode) ? offset : WINDOW + offset;
	unsigned int n, reg = f->digit == ANY ? rand_below(8) : (unsigned int)f->digit;
	uint8_t *b = insn->bytes;

	memset(insn, 0, sizeof(*insn));
	insn->form = f;
	if (f->flags & BIT && reg == RBX)
		reg = RCX;	/* the address is no good bit offset */
	/*
	 * The emulated machine loses CF when RCL and RCR rotate by an immediate that is a
	 * multiple of 9 or 17, and has 32-bit operands for MOVBE in 16-bit code.
	 */
	if (f->op[0] == 0xc0 || f->op[0] == 0xc1)
		imm &= 7;
	insn->size = wide ? 8 : is_16bit(mode) ^ opsize ? 2 : 4;
	if (f->flags & L && rand_below(3) == 0)
		*b++ = 0xf0;
	if (f->flags & STR && rand_below(2))
		*b++ = 0xf2 | rand_below(2);
	if (opsize)
		*b++ = 0x66;
	if (f->pp)
		*b++ = f->pp;
	if (is_64bit(mode) && (wide || (!f->pp && rand_below(4) == 0)))
		*b++ = 0x40 | (wide ? 8 : 0) | (f->digit == ANY && rand_below(2) ? 4 : 0);
	memcpy(b, f->op, f->len);
	b += f->len;
	if (!(f->flags & NOMOD))
		*b++ = reg << 3 | (is_16bit(mode) ? 7 : 3);	/* BX or RBX */
	if (f->flags & MOFFS) {
		n = is_16bit(mode) ? 2 : is_64bit(mode) ? 8 : 4;
		memcpy(b, &moffs, n);
		b += n;
	}
	n = f->imm == 'b' ? 1 : f->imm == 'z' ? (insn->size == 8 ? 4 : insn->size) : 0;
	memcpy(b, &imm, n);
	b += n;
	insn->len = b - insn->bytes;
	insn->stack = f->flags & STACK && rand_below(3) == 0;
}

static uint64_t random_selector(enum test_mode mode)
{
	static const uint16_t sel[] = { 0, SEL_DATA, SEL_DATA_R3, SEL_DATA16, SEL_TSS, 0x60 };

	return sel[rand_below(ARRAY_SIZE(sel))];
}

static void make_state(struct state *s, const struct insn *insn, enum test_mode mode,
		       unsigned int offset)
{
	uint64_t at = is_16bit(mode) ? offset : WINDOW + offset;
	const struct form *f = insn->form;
	struct kvm_regs *r = &s->regs;
	uint64_t value;
	int i;

	rand_fill(s->window, sizeof(s->window));
	rand_fill(s->stack, sizeof(s->stack));
	rand_fill(r, offsetof(struct kvm_regs, rip));
	rand_fill(s->fpu.xmm, sizeof(s->fpu.xmm));
	rand_fill(s->fpu.fpr, sizeof(s->fpu.fpr));
	s->fpu.fcw = 0x37f;
	s->fpu.mxcsr = 0x1f80;
	for (i = 0; i < 8; i++) {
		/* As MMX registers are kept. */
		memset(s->fpu.fpr[i] + 8, 0xff, 2);
		memset(s->fpu.fpr[i] + 10, 0, 6);
	}
	if (!is_64bit(mode))
		for (i = 0; i < 16; i++)
			*regs_gpr(r, i) = i < 8 ? (uint32_t)*regs_gpr(r, i) : 0;
	r->rip = GUEST_CODE;
	r->rflags = 2 | (rand_u64() & 0x8d5);
	r->rsp = GUEST_STACK_TOP - 0x80;
	if (f->flags & STR) {
		r->rcx = rand_below(5);
		r->rdx = PORT;
		r->rsi = at;
		r->rdi = at + rand_below(64) - 32;
		if (rand_below(2))
			r->rflags |= FL_DF;
		if (rand_below(2)) {
			memset(s->window + offset - 64, r->rax, 128);
			memset(&r->rax, r->rax, 8);
		}
	}
	if (f->flags & BIT)
		for (i = 0; i < 16; i++)
			*regs_gpr(r, i) = rand_below(2000) - 1000;
	if (!is_64bit(mode))
		for (i = 0; i < 8; i++)
			*regs_gpr(r, i) = (uint32_t)*regs_gpr(r, i);
	if (!(f->flags & (STR | NOMOD)))
		r->rbx = at;
	if (insn->stack)
		r->rsp = at + 64;
	if (rand_below(2)) {
		/* Small numbers, for divisions above all. */
		r->rdx = 0;
		r->rax &= 0xff;
	}
	if (f->flags & CMPX && rand_below(2)) {
		memcpy(&r->rax, s->window + offset, insn->size);
		memcpy(&r->rdx, s->window + offset + 4, 4);
	}
	value = f->flags & JUMP ? LANDING : random_selector(mode);
	if (f->flags & (JUMP | SREG))
		memcpy(s->window + offset, &value, 8);
}

static void get_state(struct test_vcpu *vcpu, struct state *s)
{
	vcpu_get_regs(vcpu, &s->regs);
	vcpu_get_sregs(vcpu, &s->sregs);
	TEST_EQ(0, ioctl(vcpu->fd, KVM_GET_FPU, &s->fpu), "KVM_GET_FPU");
	s->exception = *vm_exception(vcpu->vm);
	vm_read(vcpu->vm, GUEST_STACK_TOP - sizeof(s->stack), s->stack, sizeof(s->stack));
}

static void port_exit(struct test_vcpu *vcpu, uint64_t *ports)
{
	struct kvm_run *run = vcpu->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	unsigned int i;

	for (i = 0; i < run->io.size * run->io.count; i++) {
		*ports = *ports * 31 + run->io.port + 1;
		if (run->io.direction == KVM_EXIT_IO_OUT)
			*ports += data[i];
		else
			data[i] = *ports >> 3;
	}
}

/*
 * KVM_SET_FPU alone does not do it where the CPU has XSAVE: registers that the header calls
 * initial stay so.
 */
static void set_fpu(struct test_vcpu *vcpu, const struct kvm_fpu *fpu)
{
	struct kvm_xsave xsave;
	uint8_t *area = (uint8_t *)&xsave;
	uint64_t header;

	TEST_EQ(0, ioctl(vcpu->fd, KVM_GET_XSAVE, &xsave), "KVM_GET_XSAVE");
	memset(area, 0, 416);
	memcpy(area, &fpu->fcw, 2);
	memcpy(area + 24, &fpu->mxcsr, 4);
	memcpy(area + 32, fpu->fpr, sizeof(fpu->fpr));
	memcpy(area + 160, fpu->xmm, sizeof(fpu->xmm));
	memcpy(&header, area + 512, 8);
	header |= 3;
	memcpy(area + 512, &header, 8);
	TEST_EQ(0, ioctl(vcpu->fd, KVM_SET_XSAVE, &xsave), "KVM_SET_XSAVE");
}

/*
 * Run @insn from @in to its HLT; what came out is in @out. Device accesses are served from
 * out->window.
 */
static void run_one(struct test_vcpu *vcpu, const struct insn *insn, const struct state *in,
		    struct state *out)
{
	struct kvm_run *run = vcpu->run;
	struct test_vm *vm = vcpu->vm;
	uint8_t code[0x41];

	memset(code, 0xf4, sizeof(code));
	memcpy(code, insn->bytes, insn->len);
	vm_load_bytes(vm, code, sizeof(code));
	memset(vm_exception(vm), 0, sizeof(*vm_exception(vm)));
	vm_write(vm, GUEST_STACK_TOP - sizeof(in->stack), in->stack, sizeof(in->stack));
	vcpu_set_sregs(vcpu, &in->sregs);
	vcpu_set_regs(vcpu, &in->regs);
	set_fpu(vcpu, &in->fpu);
	out->ports = 0;
	memcpy(out->window, in->window, WINDOW_SIZE);
	for (;;) {
		uint64_t at;

		vcpu_run(vcpu);
		out->exit = run->exit_reason;
		if (run->exit_reason == KVM_EXIT_IO) {
			port_exit(vcpu, &out->ports);
			continue;
		}
		if (run->exit_reason != KVM_EXIT_MMIO)
			break;
		at = run->mmio.phys_addr - WINDOW;
		TEST_CHECK(run->mmio.len <= 8 && at <= WINDOW_SIZE - run->mmio.len,
			   "%s: MMIO at %#llx", insn->form->name, run->mmio.phys_addr);
		if (run->mmio.is_write)
			memcpy(out->window + at, run->mmio.data, run->mmio.len);
		else
			memcpy(run->mmio.data, out->window + at, run->mmio.len);
	}
	get_state(vcpu, out);
}

/* What else is in a null segment register is nobody's business. */
static bool same_segment(const struct kvm_segment *a, const struct kvm_segment *b)
{
	return a->selector == b->selector && a->unusable == b->unusable &&
	       (a->unusable || !memcmp(a, b, sizeof(*a)));
}

/*
 * Where stock KVM's emulator is not the processor: MOV of a segment register with REX.W stores
 * eight bytes; a backward REP INS gets other data; outside ring 0 a data segment can be loaded
 * whose DPL forbids it. And in ring 3 what it does not know is #UD.
 */
static bool stock_differs(const struct insn *insn, enum test_mode mode, const struct state *in,
			  const struct state *mem, const struct state *dev)
{
	const struct form *f = insn->form;

	if (test_device_is_minikvm())
		return false;
	return (f->op[0] == 0x8c && insn->size == 8) ||
	       ((f->op[0] & 0xfe) == 0x6c && in->regs.rflags & FL_DF) ||
	       (mode == MODE_LONG_R3 && f->flags & SREG) ||
	       (mode == MODE_LONG_R3 && dev->exception.vector == VECTOR_UD &&
		mem->exception.vector != VECTOR_UD);
}

static const char *difference(struct state *a, struct state *b, enum test_mode mode)
{
	uint64_t mask = is_64bit(mode) ? ~0ull : 0xffffffff;
	int i;

	if (memcmp(&a->exception, &b->exception, sizeof(a->exception)))
		return "exception";
	for (i = 0; i < (is_64bit(mode) ? 16 : 8); i++)
		if ((*regs_gpr(&a->regs, i) ^ *regs_gpr(&b->regs, i)) & mask)
			return "register";
	if (a->regs.rip != b->regs.rip)
		return "RIP";
	if (a->regs.rflags != b->regs.rflags)
		return "RFLAGS";
	if (memcmp(a->window, b->window, WINDOW_SIZE))
		return "memory";
	if (memcmp(a->stack, b->stack, sizeof(a->stack)))
		return "stack";
	if (!same_segment(&a->sregs.es, &b->sregs.es) ||
	    !same_segment(&a->sregs.fs, &b->sregs.fs) ||
	    !same_segment(&a->sregs.gs, &b->sregs.gs))
		return "segment register";
	if (memcmp(a->fpu.xmm, b->fpu.xmm, sizeof(a->fpu.xmm)))
		return "XMM register";
	if (memcmp(a->fpu.fpr, b->fpu.fpr, sizeof(a->fpu.fpr)) || a->fpu.ftwx != b->fpu.ftwx)
		return "MMX register";
	return a->ports != b->ports ? "ports" : NULL;
}

static void print_difference(const char *what, const struct insn *insn, struct state *in,
			     struct state *mem, struct state *dev)
{
	char hex[64] = "";
	unsigned int i;

	for (i = 0; i < insn->len; i++)
		sprintf(hex + 3 * i, "%02x ", insn->bytes[i]);
	printf("# %s: %s(%s): %s\n", what, hex, insn->form->name, insn->stack ? "stack" : "");
	for (i = 0; i < 16; i++)
		if (*regs_gpr(&mem->regs, i) != *regs_gpr(&dev->regs, i))
			printf("#  register %u: %#lx, on memory %#lx, on a device %#lx\n", i,
			       *regs_gpr(&in->regs, i), *regs_gpr(&mem->regs, i),
			       *regs_gpr(&dev->regs, i));
	for (i = 0; i < WINDOW_SIZE; i++)
		if (mem->window[i] != dev->window[i])
			printf("#  byte %#x: %#x, on memory %#x, on a device %#x\n", i,
			       in->window[i], mem->window[i], dev->window[i]);
	printf("#  RFLAGS %#llx, %#llx, %#llx; RIP %#llx, %#llx\n", in->regs.rflags,
	       mem->regs.rflags, dev->regs.rflags, mem->regs.rip, dev->regs.rip);
	if (mem->exception.count || dev->exception.count)
		printf("#  exception %ld (%#lx) at %#lx, %ld (%#lx) at %#lx\n",
		       (long)mem->exception.vector, mem->exception.error, mem->exception.rip,
		       (long)dev->exception.vector, dev->exception.error, dev->exception.rip);
	fflush(stdout);
}

static struct test_vcpu *new_vcpu(enum test_mode mode, bool device, struct state *in)
{
	struct test_vm *vm = vm_create();
	struct test_vcpu *vcpu;

	if (!device)
		vm_add_memory(vm, 1, WINDOW, WINDOW_SIZE);
	vcpu = vm_add_vcpu(vm, 0);
	vcpu_set_supported_cpuid(vcpu);
	vcpu_set_mode(vcpu, mode);
	vcpu_get_sregs(vcpu, &in->sregs);
	return vcpu;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void run_mode(struct __test_metadata *_metadata, enum test_mode mode)
{
	bool refused[ARRAY_SIZE(forms)] = {}, done[ARRAY_SIZE(forms)] = {};
	unsigned int i, offset, cases = 0, bad = 0, given_up = 0, stock = 0;
	unsigned int covered = 0;
	static struct state in, mem, dev;
	struct test_vcpu *on_mem = new_vcpu(mode, false, &in);
	struct test_vcpu *on_dev = new_vcpu(mode, true, &in);
	double start = now();
	struct insn insn;
	const char *what;

	if (is_16bit(mode)) {
		/* Further than a selector or a limit of 64 KByte reaches. */
		in.sregs.ds.base = WINDOW;
		in.sregs.es.base = WINDOW;
	}
	for (i = 0; bad < 10 && now() - start < SECONDS; i++) {
		const struct form *f = &forms[i % ARRAY_SIZE(forms)];
		struct state *s = &in;

		if (i >= 8 * ARRAY_SIZE(forms))
			break;
		if (!possible(f, mode))
			continue;
		offset = rand_below(3) ? 0x400 + rand_below(0x1800) : 0x1000 - rand_below(16);
		if (f->flags & ALIGNED && rand_below(4))
			offset &= ~15u;
		make_insn(&insn, f, mode, offset);
		if (insn.stack && is_16bit(mode))
			continue;
		make_state(s, &insn, mode, offset);
		memcpy(vm_hva(on_mem->vm, WINDOW, WINDOW_SIZE), in.window, WINDOW_SIZE);
		run_one(on_mem, &insn, &in, &mem);
		vm_read(on_mem->vm, WINDOW, mem.window, WINDOW_SIZE);
		run_one(on_dev, &insn, &in, &dev);
		TEST_EQ(KVM_EXIT_HLT, mem.exit, "%s on memory", f->name);
		cases++;
		if (stock_differs(&insn, mode, &in, &mem, &dev)) {
			stock++;
			continue;
		}
		if (dev.exit != KVM_EXIT_HLT) {
			refused[f - forms] = true;
			given_up++;
			vm_destroy(on_dev->vm);
			on_dev = new_vcpu(mode, true, &dev);
			continue;
		}
		done[f - forms] = true;
		what = difference(&mem, &dev, mode);
		if (what) {
			print_difference(what, &insn, &in, &mem, &dev);
			bad++;
		}
	}
	for (i = 0; i < ARRAY_SIZE(forms); i++) {
		covered += done[i];
		if (refused[i] && getenv("VERBOSE"))
			printf("# given up: %s\n", forms[i].name);
	}
	printf("# %s: %u cases, %u of %zu forms completed, %u given up, %u of stock KVM's own, %u differ\n",
	       test_mode_name(mode), cases, covered, ARRAY_SIZE(forms), given_up, stock, bad);
	fflush(stdout);
	EXPECT_EQ(0, bad);
	if (test_device_is_minikvm())
		EXPECT_EQ(0, given_up);
}

#define MODE_TEST(name, mode)						\
TEST(name)								\
{									\
	run_mode(_metadata, mode);					\
}

MODE_TEST(real, MODE_REAL)
MODE_TEST(prot16, MODE_PROT16)
MODE_TEST(prot32, MODE_PROT32)
MODE_TEST(paging32, MODE_PAGING32)
MODE_TEST(pae, MODE_PAE)
MODE_TEST(long_mode, MODE_LONG)
MODE_TEST(compat, MODE_COMPAT)
MODE_TEST(ring3, MODE_LONG_R3)

TEST_HARNESS_MAIN
