/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Runs one instruction on the CPU of this machine, in user mode, with chosen
 * registers and, through the LDT, chosen segments and code sizes.
 *
 * A breakpoint in native_run() enters the signal handler, which puts the
 * instruction's registers into the signal frame; the return from the handler
 * loads them all at once. The instruction is the last thing on its page, and
 * nothing is mapped behind: so it always ends in another signal, whose frame
 * tells how far it came and why not further.
 *
 * FS is the C library's and stays out of it.
 */
#ifndef MINIKVM_UNIT_NATIVE_H
#define MINIKVM_UNIT_NATIVE_H

#include <asm/ldt.h>
#include <asm/prctl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "../../arch/x86/decode.h"

#define NATIVE_CODE	0x20000000ul	/* one page */
#define NATIVE_CODE_END	(NATIVE_CODE + 4096)

#define TRAP_DB	1
#define TRAP_BP	3
#define TRAP_UD	6
#define TRAP_SS	12
#define TRAP_GP	13
#define TRAP_PF	14

/**
 * struct native_state - registers before and after
 * @gpr: in the order of enum x86_gpr
 * @rip: offset in CS
 * @sel: selectors in the order of enum x86_seg; ES, DS and GS are loaded only
 *	outside 64-bit mode
 * @trap: after: vector of the exception that ended it
 * @error_code: after
 * @cr2: after, with TRAP_PF
 */
struct native_state {
	u64 gpr[16];
	u64 rip;
	u16 sel[6];
	u32 trap;
	u32 error_code;
	u64 cr2;
};

static struct native_state *native_state;
static greg_t native_saved[NGREG];
static bool native_running;

static const int native_greg[16] = {
	REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
	REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
};

/* REG_CSGSFS holds CS, GS, FS and SS from the lowest word up. */
#define NATIVE_CS(csgsfs)	((csgsfs) & 0xffff)

__attribute__((no_sanitize("address", "undefined")))
static void native_handler(int sig, siginfo_t *info, void *ucontext)
{
	greg_t *g = ((ucontext_t *)ucontext)->uc_mcontext.gregs;
	struct native_state *s = native_state;
	unsigned int i;

	if (!s)
		_exit(99);	/* a crash of the test itself */

	if (!native_running) {
		for (i = 0; i < NGREG; i++)
			native_saved[i] = g[i];
		for (i = 0; i < 16; i++)
			g[native_greg[i]] = s->gpr[i];
		g[REG_RIP] = s->rip;
		g[REG_CSGSFS] &= 0x0000ffffffff0000;
		g[REG_CSGSFS] |= s->sel[X86_SEG_CS];
		g[REG_CSGSFS] |= (greg_t)s->sel[X86_SEG_SS] << 48;
		native_running = true;
		return;
	}

	for (i = 0; i < 16; i++)
		s->gpr[i] = g[native_greg[i]];
	s->rip = g[REG_RIP];
	s->trap = g[REG_TRAPNO];
	s->error_code = g[REG_ERR];
	s->cr2 = g[REG_CR2];
	for (i = 0; i < NGREG; i++)
		g[i] = native_saved[i];
	native_running = false;
}

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
	if (mmap((void *)NATIVE_CODE, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) !=
	    (void *)NATIVE_CODE)
		return -1;
	return 0;
}

/*
 * Run the @n instruction bytes at @bytes. s->rip is set here, for a CS whose
 * base is @cs_base.
 */
static void native_run(const u8 *bytes, unsigned int n, u32 cs_base,
		       struct native_state *s)
{
	memcpy((u8 *)NATIVE_CODE_END - n, bytes, n);
	s->rip = NATIVE_CODE_END - n - cs_base;
	native_state = s;
	asm volatile("int3" : : : "memory");
	native_state = NULL;
}

/* The same with ES, DS and GS loaded; GS is put back. */
static void native_run_segments(const u8 *bytes, unsigned int n, u32 cs_base,
				struct native_state *s)
{
	u16 gs;

	memcpy((u8 *)NATIVE_CODE_END - n, bytes, n);
	s->rip = NATIVE_CODE_END - n - cs_base;
	native_state = s;
	asm volatile("mov %%gs, %w[gs]\n\t"
		     "mov %w[new_es], %%es\n\t"
		     "mov %w[new_ds], %%ds\n\t"
		     "mov %w[new_gs], %%gs\n\t"
		     "int3\n\t"
		     "mov %w[gs], %%gs\n\t"
		     "mov %w[zero], %%ds\n\t"
		     "mov %w[zero], %%es"
		     : [gs] "=&r"(gs)
		     : [new_es] "r"(s->sel[X86_SEG_ES]),
		       [new_ds] "r"(s->sel[X86_SEG_DS]),
		       [new_gs] "r"(s->sel[X86_SEG_GS]), [zero] "r"(0)
		     : "memory");
	native_state = NULL;
}

#endif /* MINIKVM_UNIT_NATIVE_H */
