// SPDX-License-Identifier: GPL-2.0
/*
 * What can be seen from outside without tracing:
 *
 *   /sys/kernel/debug/minikvm/<pid>-<fd of the VM>/vcpu<id>/exits   by exit reason
 *   /sys/kernel/debug/minikvm/<pid>-<fd of the VM>/vcpu<id>/stat    everything else
 *   /sys/kernel/debug/minikvm/total                                 sums over VMs that are gone
 *
 * Each line is "NAME COUNT". Counters are written without a lock by the vCPU's
 * thread, so a line may be one exit old.
 */
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/seq_file.h>

#include "minikvm.h"

static struct dentry *mkvm_debugfs_root;

static int mkvm_exits_show(struct seq_file *m, void *unused)
{
	struct mkvm_vcpu *vcpu = m->private;
	unsigned int i;

	for (i = 0; i < MKVM_ARCH_NR_EXITS; i++) {
		const char *name = mkvm_arch_exit_name(i);
		u64 count = READ_ONCE(vcpu->stat.exit_reason[i]);

		if (name)
			seq_printf(m, "%s %llu\n", name, count);
		else if (count)
			seq_printf(m, "unknown_%u %llu\n", i, count);
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(mkvm_exits);

/* The lines of "stat" and "total". */
static const struct {
	const char *name;
	size_t offset;	/* of an u64 in struct mkvm_vcpu_stat */
} mkvm_counters[] = {
	{ "exits", offsetof(struct mkvm_vcpu_stat, exits) },
	{ "fast_reentries", offsetof(struct mkvm_vcpu_stat, fast_reentries) },
	{ "user_exits", offsetof(struct mkvm_vcpu_stat, user_exits) },
	{ "signal_exits", offsetof(struct mkvm_vcpu_stat, signal_exits) },
	{ "page_faults", offsetof(struct mkvm_vcpu_stat, page_faults) },
	{ "fault_retries", offsetof(struct mkvm_vcpu_stat, fault_retries) },
	{ "tlb_flushes", offsetof(struct mkvm_vcpu_stat, tlb_flushes) },
};

/* Of VMs that are gone, since the module was loaded. */
static atomic64_t mkvm_total[ARRAY_SIZE(mkvm_counters)];
static atomic64_t mkvm_total_vms, mkvm_total_vcpus;

static u64 mkvm_counter(const struct mkvm_vcpu_stat *stat, unsigned int i)
{
	return READ_ONCE(*(const u64 *)((const char *)stat + mkvm_counters[i].offset));
}

static int mkvm_stat_show(struct seq_file *m, void *unused)
{
	const struct mkvm_vcpu *vcpu = m->private;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(mkvm_counters); i++)
		seq_printf(m, "%s %llu\n", mkvm_counters[i].name, mkvm_counter(&vcpu->stat, i));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(mkvm_stat);

static int mkvm_total_show(struct seq_file *m, void *unused)
{
	unsigned int i;

	seq_printf(m, "vms %lld\n", atomic64_read(&mkvm_total_vms));
	seq_printf(m, "vcpus %lld\n", atomic64_read(&mkvm_total_vcpus));
	for (i = 0; i < ARRAY_SIZE(mkvm_counters); i++)
		seq_printf(m, "%s %lld\n", mkvm_counters[i].name, atomic64_read(&mkvm_total[i]));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(mkvm_total);

/**
 * mkvm_stats_vm_gone() - add the counters of a VM to those of all VMs before it
 * @vm: a VM that nobody uses any more
 */
void mkvm_stats_vm_gone(struct mkvm *vm)
{
	struct mkvm_vcpu *vcpu;
	unsigned int i, n;

	mkvm_for_each_vcpu(n, vcpu, vm)
		for (i = 0; i < ARRAY_SIZE(mkvm_counters); i++)
			atomic64_add(mkvm_counter(&vcpu->stat, i), &mkvm_total[i]);
	atomic64_add(vm->nr_vcpus, &mkvm_total_vcpus);
	atomic64_inc(&mkvm_total_vms);
}

/** mkvm_debugfs_init() - create the module's directory; failure is not an error */
void mkvm_debugfs_init(void)
{
	mkvm_debugfs_root = debugfs_create_dir("minikvm", NULL);
	debugfs_create_file("total", 0444, mkvm_debugfs_root, NULL, &mkvm_total_fops);
	mkvm_audit_debugfs(mkvm_debugfs_root);
}

/** mkvm_debugfs_exit() - remove the module's directory */
void mkvm_debugfs_exit(void)
{
	debugfs_remove_recursive(mkvm_debugfs_root);
}

/**
 * mkvm_debugfs_add_vm() - create a VM's directory
 * @vm: the VM
 * @fd: its file descriptor, for the name only
 */
void mkvm_debugfs_add_vm(struct mkvm *vm, int fd)
{
	static atomic_t suffix;
	struct dentry *old;
	char name[48];

	snprintf(name, sizeof(name), "%d-%d", task_pid_nr(current), fd);
	/* A VM outlives its descriptor while a vCPU is open, the name does not. */
	old = debugfs_lookup(name, mkvm_debugfs_root);
	if (old) {
		dput(old);
		snprintf(name, sizeof(name), "%d-%d.%d", task_pid_nr(current), fd,
			 atomic_inc_return(&suffix));
	}
	vm->debugfs = debugfs_create_dir(name, mkvm_debugfs_root);
}

/**
 * mkvm_debugfs_add_vcpu() - create a vCPU's directory and files
 * @vcpu: the vCPU; debugfs_remove of the VM's directory waits for readers of it
 */
void mkvm_debugfs_add_vcpu(struct mkvm_vcpu *vcpu)
{
	struct dentry *dir;
	char name[16];

	snprintf(name, sizeof(name), "vcpu%d", vcpu->id);
	dir = debugfs_create_dir(name, vcpu->vm->debugfs);
	debugfs_create_file("exits", 0444, dir, vcpu, &mkvm_exits_fops);
	debugfs_create_file("stat", 0444, dir, vcpu, &mkvm_stat_fops);
}

/** mkvm_debugfs_remove_vm() - remove a VM's directory; no reader is left after it
 * @vm: the VM */
void mkvm_debugfs_remove_vm(struct mkvm *vm)
{
	debugfs_remove_recursive(vm->debugfs);
}
