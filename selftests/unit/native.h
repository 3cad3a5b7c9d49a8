/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Runs one instruction on the CPU of this machine, in user mode, with chosen
 * registers and, through the LDT, chosen segments and code sizes.
 *
 * native_enter() loads everything from a page at a fixed address and jumps to the
 * instruction; behind it stands a jump back, which stores everything. That takes no signal,
 * so it is fast. An exception becomes a signal, whose handler notes it and returns to the
 * same exit, registers as they are. All of this must work with any content of any register:
 * the page and the code that uses it lie below 2 GByte, for absolute addresses.
 *
 * The instruction can also stand at the end of its page with nothing mapped behind: then it
 * ends in a page fault always, which tells where it ended.
 */
#ifndef MINIKVM_UNIT_NATIVE_H
#define MINIKVM_UNIT_NATIVE_H

#include <asm/ldt.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "../../arch/x86/emulate.h"

#define NATIVE_STATE	0x10000000ul	/* one page, and native_enter() in the next */
#define NATIVE_STUB	(NATIVE_STATE + 4096)
#define NATIVE_CODE	0x20000000ul	/* one page */
#define NATIVE_CODE_END	(NATIVE_CODE + 4096)

/*
 * Where jumps can go to: the code page begins with these, 16 bytes each, and each tells
 * that it was reached.
 */
#define NATIVE_PADS	16
#define NATIVE_PAD_SIZE	16

/* native_state.landed */
#define NATIVE_NEXT	NATIVE_PADS	/* behind the instruction */
#define NATIVE_FAULT	(NATIVE_PADS + 1)

/* native_state.flags */
#define NATIVE_FAR	1	/* 16- or 32-bit code: selectors count */
#define NATIVE_AVX	2
#define NATIVE_MMX	4	/* load and store the MMX registers */
#define NATIVE_FSGS	8	/* the kernel lets user mode set FS and GS bases */

#define TRAP_NONE	0xff
#define TRAP_UD		6
#define TRAP_PF		14

/**
 * struct native_state - registers before and after
 * @gpr: in the order of enum x86_gpr
 * @rflags: before: status flags, DF and AC may be set; after: all of it
 * @entry: linear address of the instruction
 * @far_offset: the same as an offset in CS
 * @far_sel: CS
 * @host_rsp: saved
 * @host_fs: saved
 * @host_gs: saved
 * @fs_base: without NATIVE_FAR
 * @gs_base: without NATIVE_FAR
 * @sel: selectors in the order of enum x86_seg; those before count with NATIVE_FAR
 * @landed: after: which exit was taken
 * @flags: NATIVE_*
 * @host_ss: saved
 * @trap: after: vector of the exception, or TRAP_NONE
 * @error_code: after an exception
 * @cr2: after TRAP_PF
 * @rip: after an exception: offset in CS
 * @mmx: MMX registers
 * @vec: YMM registers
 *
 * native_enter() below knows the offsets.
 */
struct native_state {
	u64 gpr[16];
	u64 rflags;
	u64 entry;
	u32 far_offset;
	u16 far_sel;
	u64 host_rsp;
	u64 host_fs;
	u64 host_gs;
	u64 fs_base;
	u64 gs_base;
	u16 sel[6];
	u32 landed;
	u32 flags;
	u32 host_ss;
	u32 trap;
	u32 error_code;
	u64 cr2;
	u64 rip;
	u64 mmx[8];
	struct x86_vec vec[16];
};

#define native	((struct native_state *)NATIVE_STATE)

_Static_assert(offsetof(struct native_state, rflags) == 0x80, "layout");
_Static_assert(offsetof(struct native_state, far_offset) == 0x90, "layout");
_Static_assert(offsetof(struct native_state, gs_base) == 0xb8, "layout");
_Static_assert(offsetof(struct native_state, sel) == 0xc0, "layout");
_Static_assert(offsetof(struct native_state, landed) == 0xcc, "layout");
_Static_assert(offsetof(struct native_state, trap) == 0xd8, "layout");
_Static_assert(offsetof(struct native_state, mmx) == 0xf0, "layout");
_Static_assert(offsetof(struct native_state, vec) == 0x130, "layout");
_Static_assert(sizeof(struct native_state) <= 4096, "one page");

asm(".pushsection .rodata\n\t"
    ".macro gprs op, from_state\n\t"
    ".set off, 0\n\t"
    ".irp reg, rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15\n\t"
    ".if \\from_state\n\t"
    "mov S + off, %\\reg\n\t"
    ".else\n\t"
    "mov %\\reg, S + off\n\t"
    ".endif\n\t"
    ".set off, off + 8\n\t"
    ".endr\n\t"
    ".endm\n\t"

    /* 16 registers, @size bytes apart */
    ".macro regs op, name, nr, offset, size, load\n\t"
    ".set i, 0\n\t"
    ".altmacro\n\t"
    ".rept \\nr\n\t"
    "one_reg \\op, \\name, %i, \\offset, \\size, \\load\n\t"
    ".set i, i + 1\n\t"
    ".endr\n\t"
    ".noaltmacro\n\t"
    ".endm\n\t"
    ".macro one_reg op, name, nr, offset, size, load\n\t"
    ".if \\load\n\t"
    "\\op S + \\offset + \\nr * \\size, %\\name\\nr\n\t"
    ".else\n\t"
    "\\op %\\name\\nr, S + \\offset + \\nr * \\size\n\t"
    ".endif\n\t"
    ".endm\n\t"

    ".set S, 0x10000000\n\t"
    ".balign 16\n"
    "native_stub:\n\t"
    /* Exits, 16 bytes each; native_pad_jump() knows that they come first. */
    ".set k, 0\n\t"
    ".rept 18\n\t"
    ".balign 16\n\t"
    "movb $k, S + 0xcc\n\t"
    "jmp native_leave\n\t"
    ".set k, k + 1\n\t"
    ".endr\n\t"
    ".balign 16\n"
    "native_stub_enter:\n\t"
    "push %rbx\n\t"
    "push %rbp\n\t"
    "push %r12\n\t"
    "push %r13\n\t"
    "push %r14\n\t"
    "push %r15\n\t"
    "mov %rsp, S + 0x98\n\t"
    "mov %ss, S + 0xd4\n\t"
    "testb $8, S + 0xd0\n\t"
    "jz 1f\n\t"
    "rdfsbase %rax\n\t"
    "mov %rax, S + 0xa0\n\t"
    "rdgsbase %rax\n\t"
    "mov %rax, S + 0xa8\n"
    "1:\n\t"
    "testb $2, S + 0xd0\n\t"
    "jz 1f\n\t"
    "regs vmovdqu, ymm, 16, 0x130, 32, 1\n\t"
    "jmp 2f\n"
    "1:\n\t"
    "regs movdqu, xmm, 16, 0x130, 32, 1\n"
    "2:\n\t"
    "testb $4, S + 0xd0\n\t"
    "jz 1f\n\t"
    "regs movq, mm, 8, 0xf0, 8, 1\n"
    "1:\n\t"
    "testb $1, S + 0xd0\n\t"
    "jnz native_far\n\t"
    "testb $8, S + 0xd0\n\t"
    "jz 1f\n\t"
    "mov S + 0xb0, %rax\n\t"
    "wrfsbase %rax\n\t"
    "mov S + 0xb8, %rax\n\t"
    "wrgsbase %rax\n"
    "1:\n\t"
    "pushq S + 0x80\n\t"
    "popfq\n\t"
    "gprs mov, 1\n\t"
    "jmp *S + 0x88\n"

    "native_far:\n\t"
    "testb $8, S + 0xd0\n\t"
    "jz 1f\n\t"
    "mov S + 0xc8, %fs\n"
    "1:\n\t"
    "mov S + 0xca, %gs\n\t"
    "mov S + 0xc0, %es\n\t"
    "mov S + 0xc6, %ds\n\t"
    "pushq S + 0x80\n\t"
    "popfq\n\t"
    "mov S + 0xc4, %ss\n\t"
    "gprs mov, 1\n\t"
    "ljmp *S + 0x90\n"

    "native_leave:\n\t"
    "gprs mov, 0\n\t"
    "mov S + 0x98, %rsp\n\t"
    "pushfq\n\t"
    "popq S + 0x80\n\t"
    "pushq $2\n\t"
    "popfq\n\t"
    "mov %es, S + 0xc0\n\t"
    "mov %ss, S + 0xc4\n\t"
    "mov %ds, S + 0xc6\n\t"
    "mov %fs, S + 0xc8\n\t"
    "mov %gs, S + 0xca\n\t"
    "mov S + 0xd4, %ss\n\t"
    "xor %eax, %eax\n\t"
    "mov %eax, %es\n\t"
    "mov %eax, %ds\n\t"
    "mov %eax, %gs\n\t"
    "testb $8, S + 0xd0\n\t"
    "jz 1f\n\t"
    "mov %eax, %fs\n\t"
    "mov S + 0xa0, %rax\n\t"
    "wrfsbase %rax\n\t"
    "mov S + 0xa8, %rax\n\t"
    "wrgsbase %rax\n"
    "1:\n\t"
    "testb $2, S + 0xd0\n\t"
    "jz 1f\n\t"
    "regs vmovdqu, ymm, 16, 0x130, 32, 0\n\t"
    "vzeroupper\n\t"
    "jmp 2f\n"
    "1:\n\t"
    "regs movdqu, xmm, 16, 0x130, 32, 0\n"
    "2:\n\t"
    "testb $4, S + 0xd0\n\t"
    "jz 1f\n\t"
    "regs movq, mm, 8, 0xf0, 8, 0\n\t"
    "emms\n"
    "1:\n\t"
    "pop %r15\n\t"
    "pop %r14\n\t"
    "pop %r13\n\t"
    "pop %r12\n\t"
    "pop %rbp\n\t"
    "pop %rbx\n\t"
    "ret\n"
    "native_stub_end:\n\t"
    ".popsection");

extern const u8 native_stub[], native_stub_enter[], native_stub_end[];

static volatile bool native_running;
static bool native_has_fsgsbase;
static void (*native_enter)(void);

static inline u16 native_cs64(void)
{
	u16 cs;

	asm("mov %%cs, %0" : "=r"(cs));
	return cs;
}

static inline u16 native_ss64(void)
{
	u16 ss;

	asm("mov %%ss, %0" : "=r"(ss));
	return ss;
}

/* FS may be anything here: no thread-local data, so no sanitizer and no stack protector. */
__attribute__((no_sanitize("address", "undefined"), no_stack_protector))
static void native_handler(int sig, siginfo_t *info, void *ucontext)
{
	greg_t *g = ((ucontext_t *)ucontext)->uc_mcontext.gregs;

	/* The kernel leaves RFLAGS.AC as it was. */
	asm volatile("lea -128(%%rsp), %%rsp\n\t"
		     "pushfq\n\t"
		     "andl $~0x40000, (%%rsp)\n\t"
		     "popfq\n\t"
		     "lea 128(%%rsp), %%rsp" : : : "memory", "cc");
	if (!native_running ||
	    (u64)g[REG_RIP] - NATIVE_STUB < 4096)
		_exit(99);	/* a crash of the test itself */

	native->trap = g[REG_TRAPNO];
	native->error_code = g[REG_ERR];
	native->cr2 = g[REG_CR2];
	native->rip = g[REG_RIP];
	g[REG_RIP] = NATIVE_STUB + NATIVE_FAULT * 16;
	/* CS, GS, FS and SS from the lowest word up. */
	g[REG_CSGSFS] = (g[REG_CSGSFS] & ~0xffffll) | native_cs64();
	native_running = false;
}

static void *native_map(unsigned long addr, unsigned long size, int prot)
{
	void *p = mmap((void *)addr, size, prot,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	return p == (void *)addr ? p : NULL;
}

static int native_init(void)
{
	static const int signals[] = {
		SIGTRAP, SIGSEGV, SIGBUS, SIGILL, SIGFPE,
	};
	struct sigaction sa = {
		.sa_sigaction = native_handler,
		.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER,
	};
	stack_t stack = { .ss_size = 1 << 16 };
	unsigned int i;

	stack.ss_sp = mmap(NULL, stack.ss_size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (stack.ss_sp == MAP_FAILED || sigaltstack(&stack, NULL))
		return -1;
	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if (sigaction(signals[i], &sa, NULL))
			return -1;
	if (!native_map(NATIVE_STATE, 8192, PROT_READ | PROT_WRITE | PROT_EXEC) ||
	    !native_map(NATIVE_CODE, 4096, PROT_READ | PROT_WRITE | PROT_EXEC))
		return -1;
	memcpy((void *)NATIVE_STUB, native_stub, native_stub_end - native_stub);
	native_enter = (void (*)(void))(NATIVE_STUB +
					(native_stub_enter - native_stub));
	native_has_fsgsbase = getauxval(AT_HWCAP2) & 2;
	native->flags = (native_has_fsgsbase ? NATIVE_FSGS : 0) |
			(__builtin_cpu_supports("avx") ? NATIVE_AVX : 0);
	return 0;
}

/* Write a jump to exit @nr; returns its length. */
static unsigned int native_exit_jump(u8 *p, enum x86_mode mode, unsigned int nr)
{
	u32 to = NATIVE_STUB + nr * 16;
	u16 cs = native_cs64();
	u8 *start = p;

	if (mode == X86_MODE_64) {
		*p++ = 0xe9;
		to -= (u32)(unsigned long)p + 4;
		memcpy(p, &to, 4);
		return p + 4 - start;
	}
	if (mode == X86_MODE_16)
		*p++ = 0x66;
	*p++ = 0xea;
	memcpy(p, &to, 4);
	memcpy(p + 4, &cs, 2);
	return p + 6 - start;
}

/* Before the first instruction in @mode. */
static void native_set_mode(enum x86_mode mode)
{
	unsigned int i;

	memset((void *)NATIVE_CODE, 0xcc, 4096);
	for (i = 0; i < NATIVE_PADS; i++)
		native_exit_jump((u8 *)NATIVE_CODE + i * NATIVE_PAD_SIZE, mode, i);
	native->flags &= ~NATIVE_FAR;
	if (mode != X86_MODE_64)
		native->flags |= NATIVE_FAR;
}

/* Linear address that native_run() uses for @n bytes; @last: at the end of the page. */
static u64 native_place(unsigned int n, bool last, unsigned int offset)
{
	return last ? NATIVE_CODE_END - n : NATIVE_CODE + 0x800 + offset % 64;
}

/*
 * Run the @n instruction bytes at @bytes, at linear address @la, which is offset @rip in CS.
 */
static void native_run(const u8 *bytes, unsigned int n, enum x86_mode mode,
		       u64 la, u64 rip, u16 cs)
{
	u8 *p = (u8 *)la;

	memcpy(p, bytes, n);
	if (la + n < NATIVE_CODE_END) {
		p += n;
		p += native_exit_jump(p, mode, NATIVE_NEXT);
		memset(p, 0xcc, 16);
	}
	native->entry = la;
	native->far_offset = rip;
	native->far_sel = cs;
	native->landed = ~0u;
	native->trap = TRAP_NONE;
	native_running = true;
	native_enter();
	native_running = false;
	native->landed &= 0xff;
}

#endif /* MINIKVM_UNIT_NATIVE_H */
