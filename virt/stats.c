// SPDX-License-Identifier: GPL-2.0
/*
 * What can be seen from outside without tracing:
 *
 *   /sys/kernel/debug/minikvm/<pid>-<fd of the VM>/vcpu<id>/exits   by exit reason
 *   /sys/kernel/debug/minikvm/<pid>-<fd of the VM>/vcpu<id>/stat    everything else
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

static int mkvm_stat_show(struct seq_file *m, void *unused)
{
	const struct mkvm_vcpu *vcpu = m->private;
	const struct mkvm_vcpu_stat *stat = &vcpu->stat;

	seq_printf(m, "exits %llu\n", READ_ONCE(stat->exits));
	seq_printf(m, "fast_reentries %llu\n", READ_ONCE(stat->fast_reentries));
	seq_printf(m, "user_exits %llu\n", READ_ONCE(stat->user_exits));
	seq_printf(m, "signal_exits %llu\n", READ_ONCE(stat->signal_exits));
	seq_printf(m, "page_faults %llu\n", READ_ONCE(stat->page_faults));
	seq_printf(m, "fault_retries %llu\n", READ_ONCE(stat->fault_retries));
	seq_printf(m, "tlb_flushes %llu\n", READ_ONCE(stat->tlb_flushes));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(mkvm_stat);

/** mkvm_debugfs_init() - create the module's directory; failure is not an error */
void mkvm_debugfs_init(void)
{
	mkvm_debugfs_root = debugfs_create_dir("minikvm", NULL);
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
