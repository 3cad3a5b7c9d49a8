// SPDX-License-Identifier: GPL-2.0
/*
 * Virtualization on and off, on all CPUs: at load and unload, when a CPU comes
 * or goes, across suspend, before a reboot or kexec.
 *
 * CPU hotplug calls mkvm_cpu_online() on each CPU that is up when the state is
 * installed, and on each that comes later; mkvm_cpu_offline() before a CPU
 * leaves and when the state is removed. A suspend takes all CPUs but one down
 * this way; the last one, and any CPU still up at a reboot, is left to the
 * syscore hooks.
 *
 * A panic, an emergency restart and a crash kernel do not pass here: the
 * architecture registers its own hook for them (see arch/x86/host.c).
 */
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/reboot.h>
#include <linux/syscore_ops.h>

#include "minikvm.h"

static enum cpuhp_state mkvm_hp_state;

static int mkvm_cpu_online(unsigned int cpu)
{
	int r = mkvm_arch_cpu_enable();

	if (r)
		pr_err("CPU %u: virtualization could not be enabled (%d)\n", cpu, r);
	return r;
}

/*
 * Runs in the CPU's own hotplug thread: the vCPU threads that were here have been,
 * or will be, migrated by the scheduler. A vCPU that was loaded here before may still
 * have state cached in this CPU; mkvm_arch_cpu_disable() writes it back.
 */
static int mkvm_cpu_offline(unsigned int cpu)
{
	mkvm_arch_cpu_disable();
	return 0;
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

static void mkvm_disable_this_cpu(void *unused)
{
	mkvm_arch_cpu_disable();
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

	r = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "virt/minikvm:online",
			      mkvm_cpu_online, mkvm_cpu_offline);
	if (r < 0)
		return r;
	mkvm_hp_state = r;

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
	cpuhp_remove_state(mkvm_hp_state);
}
