/* SPDX-License-Identifier: GPL-2.0 */
#ifndef MKVM_VIRT_AUDIT_H
#define MKVM_VIRT_AUDIT_H

/*
 * The audit build (make AUDIT=1): bugs that emulators do not show.
 *
 * A flush that is missing cannot be seen on a CPU that caches no translations, nor a race where
 * CPUs run in turn. In an audit build the module therefore
 *
 *   - keeps records of what a real CPU may have cached, and checks them at each VM entry and before
 *     memory is given back (arch/x86/audit.c);
 *   - can leave out single steps of its own on request, to show that the checks notice it;
 *   - can wait where another CPU would have to come in between for a race to show.
 *
 * A check that fails is printed, counted (debugfs: audit), and put right, so that the host lives on.
 * In any other build nothing of this is there. Documentation/testing.rst has the tables.
 */

#include <linux/types.h>

struct dentry;

/* Steps that can be left out: module parameter omit=NAME. */
#define MKVM_OMISSIONS(X)							\
	/* request.c, run.c: requests and kicks */				\
	X(request) X(kick) X(entry_recheck) X(flush)				\
	/* notifier.c, tdp.c: memory that the host takes back */		\
	X(notifier_unmap) X(unmap_flush) X(fault_recheck)			\
	/* regs.h: what the control block has to be given */			\
	X(reg_dirty) X(state_dirty)						\
	/* svm/: tags, and what the CPU may keep of a VMCB; the groups in the CPU's order */ \
	X(asid_move) X(asid_wrap) X(clean_move)					\
	X(clean_intercepts) X(clean_perm_map) X(clean_asid) X(clean_intr)	\
	X(clean_npt) X(clean_cr) X(clean_dr) X(clean_dt) X(clean_seg) X(clean_cr2) \
	/* vmx/: flushes, and the host's state in the VMCS */			\
	X(move_flush) X(invept) X(host_cr3) X(host_cr4) X(host_segs) X(cpu_state)

/* What is checked; lines of the file "audit" in debugfs. */
#define MKVM_AUDITS(X)								\
	X(tag)		/* VM entry: nothing stale is cached under the vCPU's tag */ \
	X(release)	/* memory given back: no vCPU in a guest can still reach it */ \
	X(unmapped)	/* end of an invalidation: nothing of the range is mapped */ \
	X(state)	/* VM entry: the control block holds what common code believes */ \
	X(clean)	/* VM entry: what the CPU may keep of the VMCB has not changed */ \
	X(host)		/* VM entry: the VMCS restores the state of this thread and CPU */

#ifdef MKVM_AUDIT

#define MKVM_NAME(name)	MKVM_OMIT_##name,
enum mkvm_omission { MKVM_OMIT_nothing, MKVM_OMISSIONS(MKVM_NAME) MKVM_NR_OMISSIONS };
#undef MKVM_NAME
#define MKVM_NAME(name)	MKVM_AUDIT_##name,
enum mkvm_audit { MKVM_AUDITS(MKVM_NAME) MKVM_NR_AUDITS };
#undef MKVM_NAME

/* Where a race has its window: module parameters delay_map=MICROSECONDS and so on. */
enum mkvm_delay {
	MKVM_DELAY_map,		/* fault: the page is there, and not installed yet */
	MKVM_DELAY_kick,	/* request made, vCPU not kicked yet */
	MKVM_DELAY_flush,	/* unmapped, not flushed yet */
	MKVM_DELAY_entry,	/* requests handled, guest not entered yet */
	MKVM_NR_DELAYS
};

extern enum mkvm_omission mkvm_omission;
extern unsigned int mkvm_delays[MKVM_NR_DELAYS];

bool mkvm_audit_count(enum mkvm_audit what, bool good);
void mkvm_audit_wait(unsigned int microseconds);
void mkvm_audit_debugfs(struct dentry *dir);

/* Is the step with the number @nr to be left out? */
#define mkvm_omit_nr(nr)	unlikely(READ_ONCE(mkvm_omission) == (nr))
/* Is the step @name to be left out? */
#define mkvm_omit(name)		mkvm_omit_nr(MKVM_OMIT_##name)

/* Wait in the window @name for as long as asked. */
#define mkvm_delay(name)	mkvm_audit_wait(READ_ONCE(mkvm_delays[MKVM_DELAY_##name]))

/*
 * Check @what: @good has to be true. Otherwise the text, of one line, is printed; not for each of
 * many. Evaluates to @good.
 */
#define mkvm_audit(what, good, fmt, ...)						\
({											\
	bool __good = mkvm_audit_count(MKVM_AUDIT_##what, good);			\
											\
	if (!__good)									\
		pr_err_ratelimited("audit: " #what ": " fmt, ##__VA_ARGS__);		\
	__good;										\
})

#else

#define mkvm_omit_nr(nr)		false
#define mkvm_omit(name)			false
#define mkvm_delay(name)		do { } while (0)
#define mkvm_audit(what, good, ...)	do { } while (0)
static inline void mkvm_audit_debugfs(struct dentry *dir) { }

#endif
#endif
