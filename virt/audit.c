// SPDX-License-Identifier: GPL-2.0
/*
 * The audit build's parameters and counters; see audit.h.
 */
#include <linux/atomic.h>
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/string.h>

#include "minikvm.h"

/* --- What is left out, and where to wait ------------------------------------------------- */

enum mkvm_omission mkvm_omission;
unsigned int mkvm_delays[MKVM_NR_DELAYS];

#define MKVM_NAME(name)	[MKVM_OMIT_##name] = #name,
static const char * const mkvm_omission_names[] = {
	[MKVM_OMIT_nothing] = "", MKVM_OMISSIONS(MKVM_NAME)
};
#undef MKVM_NAME

static int mkvm_omit_set(const char *val, const struct kernel_param *kp)
{
	int nr = sysfs_match_string(mkvm_omission_names, val);

	if (nr < 0)
		return nr;
	WRITE_ONCE(mkvm_omission, nr);
	return 0;
}

/* What can be left out, with what is in brackets. */
static int mkvm_omit_get(char *buffer, const struct kernel_param *kp)
{
	enum mkvm_omission now = READ_ONCE(mkvm_omission);
	int i, n = 0;

	for (i = 1; i < MKVM_NR_OMISSIONS; i++)
		n += scnprintf(buffer + n, PAGE_SIZE - n, i == now ? "[%s]\n" : "%s\n",
			       mkvm_omission_names[i]);
	return n;
}

static const struct kernel_param_ops mkvm_omit_ops = {
	.set = mkvm_omit_set,
	.get = mkvm_omit_get,
};

module_param_cb(omit, &mkvm_omit_ops, NULL, 0600);
MODULE_PARM_DESC(omit, "step to leave out, to see that the audit notices");

module_param_named(delay_map, mkvm_delays[MKVM_DELAY_map], uint, 0600);
MODULE_PARM_DESC(delay_map, "microseconds from a fault's page to its mapping");
module_param_named(delay_kick, mkvm_delays[MKVM_DELAY_kick], uint, 0600);
MODULE_PARM_DESC(delay_kick, "microseconds from a request to its kick");
module_param_named(delay_flush, mkvm_delays[MKVM_DELAY_flush], uint, 0600);
MODULE_PARM_DESC(delay_flush, "microseconds from unmapping to the flush");
module_param_named(delay_entry, mkvm_delays[MKVM_DELAY_entry], uint, 0600);
MODULE_PARM_DESC(delay_entry, "microseconds from the requests to the guest");

/* Longer, and other CPUs take this one for dead. */
#define MKVM_LONGEST_DELAY	10000

/**
 * mkvm_audit_wait() - let other CPUs come in between
 * @microseconds: how long, 10 ms at most
 * Context: any.
 */
void mkvm_audit_wait(unsigned int microseconds)
{
	unsigned int left = min_t(unsigned int, microseconds, MKVM_LONGEST_DELAY);

	for (; left > 100; left -= 100)
		udelay(100);
	udelay(left);
}

/* --- What was checked ------------------------------------------------------------------------ */

static struct {
	atomic64_t made;
	atomic64_t failed;
} mkvm_audits[MKVM_NR_AUDITS];

#define MKVM_NAME(name)	[MKVM_AUDIT_##name] = #name,
static const char * const mkvm_audit_names[] = { MKVM_AUDITS(MKVM_NAME) };
#undef MKVM_NAME

/**
 * mkvm_audit_count() - a check was made
 * @what: which
 * @good: its result
 * Context: any. Return: @good.
 */
bool mkvm_audit_count(enum mkvm_audit what, bool good)
{
	atomic64_inc(&mkvm_audits[what].made);
	if (!good)
		atomic64_inc(&mkvm_audits[what].failed);
	return good;
}

static int mkvm_audit_show(struct seq_file *m, void *unused)
{
	unsigned int i;

	for (i = 0; i < MKVM_NR_AUDITS; i++)
		seq_printf(m, "%s %lld %lld\n", mkvm_audit_names[i],
			   atomic64_read(&mkvm_audits[i].made),
			   atomic64_read(&mkvm_audits[i].failed));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(mkvm_audit);

/** mkvm_audit_debugfs() - the file "audit": NAME MADE FAILED for each check
 * @dir: the module's directory */
void mkvm_audit_debugfs(struct dentry *dir)
{
	debugfs_create_file("audit", 0444, dir, NULL, &mkvm_audit_fops);
}
