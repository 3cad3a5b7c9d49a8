// SPDX-License-Identifier: GPL-2.0
/*
 * What this CPU's SVM can do (CPUID function 0x8000000a).
 */
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/msr-index.h>

#include "../mmu/tdp.h"
#include "svm.h"

struct svm_config svm_config __ro_after_init;

/**
 * svm_check_caps() - look at the features, refuse where one is missing
 *
 * Return: 0, or EOPNOTSUPP with a line that says what is missing.
 */
int __init svm_check_caps(void)
{
	if (!boot_cpu_has(X86_FEATURE_NPT)) {
		pr_err("this CPU has SVM but no nested paging (NPT), and minikvm has no shadow paging: use a CPU of 2007 or later\n");
		return -EOPNOTSUPP;
	}
	svm_config.nr_asids = cpuid_ebx(0x8000000a);
	if (svm_config.nr_asids < 2) {
		pr_err("this CPU reports no address space identifiers for guests (CPUID 0x8000000a EBX is %u): not usable\n",
		       svm_config.nr_asids);
		return -EOPNOTSUPP;
	}
	svm_config.nrips = boot_cpu_has(X86_FEATURE_NRIPS);

	npt_setup();
	mkvm_caps.tdp = &npt_format;
	mkvm_caps.amd = true;
	mkvm_caps.rdtscp = boot_cpu_has(X86_FEATURE_RDTSCP);
	mkvm_caps.invpcid = boot_cpu_has(X86_FEATURE_INVPCID);
	return 0;
}
