// SPDX-License-Identifier: GPL-2.0
/*
 * Virtualization on and off, on all CPUs: at load and unload, when a CPU comes
 * or goes, across suspend, before a reboot or kexec.
 *
 * CPU hotplug calls mkvm_cpu_online() on each CPU that comes, before the scheduler uses
 * it, and mkvm_cpu_offline() on each that goes, when no thread is left on it. A suspend
 * takes all CPUs but one down this way; the last one, and any CPU still up at a
 * reboot, is left to the syscore hooks.
 *
 * A panic, an emergency restart and a crash kernel do not pass here: the
 * architecture registers its own hook for them (see arch/x86/host.c).
 */
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/reboot.h>
#include <linux/syscore_ops.h>

#include "compat.h"
#include "minikvm.h"

/*
 * A CPU that cannot be enabled does not come up; on kernels where the callback runs with
 * interrupts off and must not fail it does, and a vCPU that gets there cannot enter.
 */
static int mkvm_cpu_online(unsigned int cpu)
{
	int r = mkvm_arch_cpu_enable();

	if (r)
		pr_err("CPU %u: virtualization could not be enabled (%d)\n", cpu, r);
	return MKVM_CPUHP_MAY_FAIL ? r : 0;
}

static int mkvm_cpu_offline(unsigned int cpu)
{
	mkvm_arch_cpu_disable();
	return 0;
}

static void mkvm_enable_this_cpu(void *failed)
{
	int r = mkvm_arch_cpu_enable();

	if (r) {
		pr_err("CPU %d: virtualization could not be enabled (%d)\n",
		       smp_processor_id(), r);
		atomic_set(failed, r);
	}
}

static void mkvm_disable_this_cpu(void *unused)
{
	mkvm_arch_cpu_disable();
}

/* All CPUs that are up, and none comes or goes meanwhile. */
static int mkvm_enable_all_cpus(void)
{
	atomic_t failed = ATOMIC_INIT(0);
	int r;

	cpus_read_lock();
	on_each_cpu(mkvm_enable_this_cpu, &failed, 1);
	r = atomic_read(&failed);
	if (!r)
		r = cpuhp_setup_state_nocalls_cpuslocked(MKVM_CPUHP_STATE, "virt/minikvm",
							 mkvm_cpu_online, mkvm_cpu_offline);
	if (r)
		on_each_cpu(mkvm_disable_this_cpu, NULL, 1);
	cpus_read_unlock();
	return r;
}

static void mkvm_disable_all_cpus(void)
{
	cpus_read_lock();
	cpuhp_remove_state_nocalls_cpuslocked(MKVM_CPUHP_STATE);
	on_each_cpu(mkvm_disable_this_cpu, NULL, 1);
	cpus_read_unlock();
}

/* The last CPU before suspend; interrupts are off. */
static int mkvm_suspend(void)
{
	mkvm_arch_cpu_disable();
	return 0;
}

static void mkvm_resume(void)
{
	int r = mkvm_arch_cpu_enable();

	if (r)
		pr_err("virtualization could not be enabled after resume (%d)\n", r);
}

/*
 * Reboot, power off, kexec. INIT is blocked while a CPU is in VMX operation
 * (SDM, "Restrictions on VMX Operation"), and the next kernel must find the CPUs as
 * they were. A vCPU thread that is still running gets a failed entry, no more.
 */
static void mkvm_shutdown(void)
{
	on_each_cpu(mkvm_disable_this_cpu, NULL, 1);
}

static struct syscore_ops mkvm_syscore_ops = {
	.suspend	= mkvm_suspend,
	.resume		= mkvm_resume,
	.shutdown	= mkvm_shutdown,
};

/* kexec of kernels that do not call the syscore shutdown hook. */
static int mkvm_reboot(struct notifier_block *nb, unsigned long code, void *unused)
{
	mkvm_shutdown();
	return NOTIFY_OK;
}

static struct notifier_block mkvm_reboot_nb = {
	.notifier_call	= mkvm_reboot,
};

/**
 * mkvm_hardware_init() - enable virtualization on all CPUs, now and later
 *
 * Return: 0, or the errno of the first CPU that failed; then none is enabled.
 */
int mkvm_hardware_init(void)
{
	int r;

	r = mkvm_enable_all_cpus();
	if (r)
		return r;

	register_syscore_ops(&mkvm_syscore_ops);
	register_reboot_notifier(&mkvm_reboot_nb);
	/* Have the scheduler look for the notifiers of loaded vCPUs. */
	preempt_notifier_inc();
	return 0;
}

/** mkvm_hardware_exit() - undo mkvm_hardware_init() on every CPU that is up */
void mkvm_hardware_exit(void)
{
	preempt_notifier_dec();
	unregister_reboot_notifier(&mkvm_reboot_nb);
	unregister_syscore_ops(&mkvm_syscore_ops);
	mkvm_disable_all_cpus();
}
