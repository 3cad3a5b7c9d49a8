// SPDX-License-Identifier: GPL-2.0
/*
 * Requests to vCPUs, and the kick that makes sure they are noticed.
 *
 *   requester                          vCPU's thread (interrupts off)
 *   ---------                          ------------------------------
 *   set bit in vcpu->requests          vcpu->mode = MKVM_IN_GUEST
 *   smp_mb()                           smp_mb()
 *   read vcpu->mode                    read vcpu->requests
 *
 * Each side writes, then reads what the other writes. So either the vCPU sees the
 * request before it enters the guest, or the requester sees MKVM_IN_GUEST and sends
 * an IPI, which ends guest execution. The IPI is waited for: when the function
 * returns, no vCPU runs in the guest with the request unseen.
 */
#include <linux/cpumask.h>
#include <linux/smp.h>

#include "minikvm.h"

/* Arriving is all that it has to do: the interrupt ended guest execution. */
static void mkvm_ack_kick(void *unused)
{
}

/**
 * mkvm_make_all_request() - give every vCPU a request and wait until none can miss it
 * @vm: the VM
 * @req: the request
 *
 * Context: interrupts on; may be called with vm->mmu_lock held. Does not sleep.
 */
void mkvm_make_all_request(struct mkvm *vm, enum mkvm_request req)
{
	struct mkvm_vcpu *vcpu;
	unsigned int i;
	int cpu;

	mkvm_for_each_vcpu(i, vcpu, vm) {
		if (!mkvm_omit(request))
			mkvm_make_request(vcpu, req);
		/* Pairs with the smp_mb() before the last look at the requests. */
		smp_mb();
		if (READ_ONCE(vcpu->mode) != MKVM_IN_GUEST)
			continue;
		mkvm_delay(kick);
		if (mkvm_omit(kick))
			continue;
		/*
		 * The thread may move right now; but it can only do so after it
		 * left the guest, and will look at the requests before the next entry.
		 */
		cpu = READ_ONCE(vcpu->cpu);
		smp_call_function_single(cpu, mkvm_ack_kick, NULL, 1);
	}
}

/**
 * mkvm_flush_remote_tlbs() - no vCPU uses an old second-level translation after this
 * @vm: the VM
 *
 * Call it after entries were removed from the tables and before their pages are
 * released. A vCPU that is not in the guest flushes before its next entry.
 * Context: as mkvm_make_all_request().
 */
void mkvm_flush_remote_tlbs(struct mkvm *vm)
{
	mkvm_make_all_request(vm, MKVM_REQ_TLB_FLUSH);
}
