// SPDX-License-Identifier: GPL-2.0
/*
 * Every ioctl number of <linux/kvm.h>, on every type of file, with arguments that are missing, cut
 * off, misaligned, or full of zeroes or ones: what each call answers, one line a case.
 *
 *   ioctl_test			TAP: the answers do not depend on what came before, and numbers that
 *				nobody knows get the errno that their file has for it
 *   ioctl_test --write FILE	the answers of the device
 *   ioctl_test --compare FILE	whether the device answers as in FILE, but for the differences that
 *				this file explains; boots/ioctl_diff.sh does it with stock KVM's
 *   ioctl_test --differences	these, as a table for Documentation/api.rst
 */
#include "machine.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/* --- The ioctls -------------------------------------------------------------------------- */

/* Files, and what has happened to them. */
enum where { DEV, VM_EMPTY, VM_USED, VCPU_NEW, VCPU_RUN, NR_WHERE };

static const char * const where_names[] = { "device", "empty-vm", "vm", "vcpu", "vcpu-run" };
static const char * const unknown_errno[] = { "EINVAL", "ENOTTY", "ENOTTY", "EINVAL", "EINVAL" };

#define D	(1 << DEV)
#define V	(1 << VM_EMPTY | 1 << VM_USED)
#define C	(1 << VCPU_NEW | 1 << VCPU_RUN)
#define ANY	0

struct row {
	const char *name;
	unsigned long request;
	unsigned int known;	/* the files on which KVM of x86 knows it */
	const char *lacks;	/* minikvm does not: why */
};

/* Why minikvm lacks an ioctl. */
#define IRQCHIP		"interrupt controllers and timers are userspace's"
#define EVENTFDS	"no eventfd is raised or taken by the kernel"
#define DIRTY		"no log of dirty pages"
#define SHADOW		"no shadow page tables whose number could be bounded"
#define CLOCK		"no paravirtual clock"
#define MCES		"guests have no machine-check banks"
#define SMM		"no system-management mode"
#define NESTED		"no nested virtualization"
#define HYPERV		"no interface of Hyper-V's"
#define XEN		"no interface of Xen's"
#define ENCRYPTION	"no encrypted guests"
#define PMU		"guests have no performance counters"
#define ATTRIBUTES	"the device has no attributes"
#define STATS		"counters are in debugfs only"

#define ROW(name, known, lacks)	{ #name, name, known, lacks }
/* Of a structure that <linux/kvm.h> does not have here. */
#define OTHER(name, dir, nr)	{ #name, dir(KVMIO, nr, char[48]), ANY, NULL }

static const struct row rows[] = {
	ROW(KVM_GET_API_VERSION, D, NULL),
	ROW(KVM_CREATE_VM, D, NULL),
	ROW(KVM_CHECK_EXTENSION, D | V, NULL),
	ROW(KVM_GET_VCPU_MMAP_SIZE, D, NULL),
	ROW(KVM_GET_MSR_INDEX_LIST, D, NULL),
	ROW(KVM_GET_SUPPORTED_CPUID, D, NULL),
	ROW(KVM_GET_EMULATED_CPUID, D, NULL),
	ROW(KVM_TRACE_ENABLE, D, NULL),
	ROW(KVM_TRACE_PAUSE, D, NULL),
	ROW(KVM_TRACE_DISABLE, D, NULL),
	ROW(KVM_GET_MSR_FEATURE_INDEX_LIST, D, NULL),
	ROW(KVM_X86_GET_MCE_CAP_SUPPORTED, D, MCES),
	ROW(KVM_GET_SUPPORTED_HV_CPUID, D | C, HYPERV),
	ROW(KVM_GET_MSRS, D, NULL),
	ROW(KVM_GET_DEVICE_ATTR, D, ATTRIBUTES),
	ROW(KVM_HAS_DEVICE_ATTR, D, ATTRIBUTES),

	ROW(KVM_CREATE_VCPU, V, NULL),
	ROW(KVM_SET_USER_MEMORY_REGION, V, NULL),
	ROW(KVM_SET_TSS_ADDR, V, NULL),
	ROW(KVM_SET_IDENTITY_MAP_ADDR, V, NULL),
	ROW(KVM_SET_BOOT_CPU_ID, V, NULL),
	ROW(KVM_ENABLE_CAP, V | C, NULL),
	ROW(KVM_GET_DIRTY_LOG, V, DIRTY),
	ROW(KVM_CLEAR_DIRTY_LOG, V, DIRTY),
	ROW(KVM_RESET_DIRTY_RINGS, V, DIRTY),
	ROW(KVM_SET_NR_MMU_PAGES, V, SHADOW),
	ROW(KVM_GET_NR_MMU_PAGES, V, SHADOW),
	ROW(KVM_CREATE_IRQCHIP, V, IRQCHIP),
	ROW(KVM_IRQ_LINE, V, IRQCHIP),
	ROW(KVM_IRQ_LINE_STATUS, V, IRQCHIP),
	ROW(KVM_GET_IRQCHIP, V, IRQCHIP),
	ROW(KVM_SET_IRQCHIP, V, IRQCHIP),
	ROW(KVM_CREATE_PIT, V, IRQCHIP),
	ROW(KVM_CREATE_PIT2, V, IRQCHIP),
	ROW(KVM_GET_PIT, V, IRQCHIP),
	ROW(KVM_SET_PIT, V, IRQCHIP),
	ROW(KVM_GET_PIT2, V, IRQCHIP),
	ROW(KVM_SET_PIT2, V, IRQCHIP),
	ROW(KVM_REINJECT_CONTROL, V, IRQCHIP),
	ROW(KVM_SET_GSI_ROUTING, V, NULL),
	ROW(KVM_SIGNAL_MSI, V, IRQCHIP),
	ROW(KVM_IRQFD, V, EVENTFDS),
	ROW(KVM_IOEVENTFD, V, EVENTFDS),
	ROW(KVM_SET_CLOCK, V, CLOCK),
	ROW(KVM_GET_CLOCK, V, CLOCK),
	ROW(KVM_SET_TSC_KHZ, V | C, NULL),
	ROW(KVM_GET_TSC_KHZ, V | C, NULL),
	ROW(KVM_CREATE_DEVICE, V, "no device in the kernel"),
	ROW(KVM_REGISTER_COALESCED_MMIO, V, NULL),
	ROW(KVM_UNREGISTER_COALESCED_MMIO, V, NULL),
	ROW(KVM_SET_PMU_EVENT_FILTER, V, PMU),
	ROW(KVM_X86_SET_MSR_FILTER, V, NULL),
	ROW(KVM_MEMORY_ENCRYPT_OP, V, ENCRYPTION),
	ROW(KVM_MEMORY_ENCRYPT_REG_REGION, V, ENCRYPTION),
	ROW(KVM_MEMORY_ENCRYPT_UNREG_REGION, V, ENCRYPTION),
	ROW(KVM_HYPERV_EVENTFD, V, HYPERV),
	ROW(KVM_XEN_HVM_CONFIG, V, XEN),
	ROW(KVM_XEN_HVM_GET_ATTR, V, XEN),
	ROW(KVM_XEN_HVM_SET_ATTR, V, XEN),
	ROW(KVM_XEN_HVM_EVTCHN_SEND, V, XEN),
	ROW(KVM_GET_STATS_FD, V | C, STATS),

	ROW(KVM_RUN, C, NULL),
	ROW(KVM_GET_REGS, C, NULL),
	ROW(KVM_SET_REGS, C, NULL),
	ROW(KVM_GET_SREGS, C, NULL),
	ROW(KVM_SET_SREGS, C, NULL),
	ROW(KVM_GET_SREGS2, C, NULL),
	ROW(KVM_SET_SREGS2, C, NULL),
	ROW(KVM_TRANSLATE, C, NULL),
	ROW(KVM_GET_MSRS, C, NULL),
	ROW(KVM_SET_MSRS, C, NULL),
	ROW(KVM_SET_CPUID, C, NULL),
	ROW(KVM_SET_CPUID2, C, NULL),
	ROW(KVM_GET_CPUID2, C, NULL),
	ROW(KVM_SET_SIGNAL_MASK, C, NULL),
	ROW(KVM_GET_FPU, C, NULL),
	ROW(KVM_SET_FPU, C, NULL),
	ROW(KVM_GET_XSAVE, C, NULL),
	ROW(KVM_GET_XSAVE2, C, NULL),
	ROW(KVM_SET_XSAVE, C, NULL),
	ROW(KVM_GET_XCRS, C, NULL),
	ROW(KVM_SET_XCRS, C, NULL),
	ROW(KVM_GET_DEBUGREGS, C, NULL),
	ROW(KVM_SET_DEBUGREGS, C, NULL),
	ROW(KVM_GET_MP_STATE, C, NULL),
	ROW(KVM_SET_MP_STATE, C, NULL),
	ROW(KVM_HAS_DEVICE_ATTR, C, NULL),
	ROW(KVM_GET_DEVICE_ATTR, C, NULL),
	ROW(KVM_SET_DEVICE_ATTR, C, NULL),
	ROW(KVM_INTERRUPT, C, NULL),
	ROW(KVM_NMI, C, NULL),
	ROW(KVM_GET_VCPU_EVENTS, C, NULL),
	ROW(KVM_SET_VCPU_EVENTS, C, NULL),
	ROW(KVM_GET_LAPIC, C, IRQCHIP),
	ROW(KVM_SET_LAPIC, C, IRQCHIP),
	ROW(KVM_TPR_ACCESS_REPORTING, C, IRQCHIP),
	ROW(KVM_SET_VAPIC_ADDR, C, IRQCHIP),
	ROW(KVM_SET_GUEST_DEBUG, C, NULL),
	ROW(KVM_X86_SETUP_MCE, C, MCES),
	ROW(KVM_X86_SET_MCE, C, MCES),
	ROW(KVM_KVMCLOCK_CTRL, C, CLOCK),
	ROW(KVM_SMI, C, SMM),
	ROW(KVM_GET_NESTED_STATE, C, NESTED),
	ROW(KVM_SET_NESTED_STATE, C, NESTED),
	ROW(KVM_XEN_VCPU_GET_ATTR, C, XEN),
	ROW(KVM_XEN_VCPU_SET_ATTR, C, XEN),

	/* KVM of other architectures, or of former times. */
	ROW(KVM_S390_ENABLE_SIE, ANY, NULL),
	ROW(KVM_SET_MEMORY_REGION, ANY, NULL),
	ROW(KVM_SET_MEMORY_ALIAS, ANY, NULL),
	ROW(KVM_S390_UCAS_MAP, ANY, NULL),
	ROW(KVM_S390_UCAS_UNMAP, ANY, NULL),
	ROW(KVM_S390_VCPU_FAULT, ANY, NULL),
	ROW(KVM_ASSIGN_PCI_DEVICE, ANY, NULL),
	ROW(KVM_ASSIGN_IRQ, ANY, NULL),
	ROW(KVM_ASSIGN_DEV_IRQ, ANY, NULL),
	ROW(KVM_DEASSIGN_PCI_DEVICE, ANY, NULL),
	ROW(KVM_DEASSIGN_DEV_IRQ, ANY, NULL),
	ROW(KVM_ASSIGN_SET_MSIX_NR, ANY, NULL),
	ROW(KVM_ASSIGN_SET_MSIX_ENTRY, ANY, NULL),
	ROW(KVM_ASSIGN_SET_INTX_MASK, ANY, NULL),
	ROW(KVM_DEBUG_GUEST, ANY, NULL),
	ROW(KVM_DIRTY_TLB, ANY, NULL),
	ROW(KVM_GET_ONE_REG, ANY, NULL),
	ROW(KVM_SET_ONE_REG, ANY, NULL),
	ROW(KVM_GET_REG_LIST, ANY, NULL),
	ROW(KVM_PPC_GET_PVINFO, ANY, NULL),
	ROW(KVM_PPC_GET_SMMU_INFO, ANY, NULL),
	ROW(KVM_PPC_ALLOCATE_HTAB, ANY, NULL),
	OTHER(KVM_CREATE_SPAPR_TCE, _IOW, 0xa8),
	OTHER(KVM_CREATE_SPAPR_TCE_64, _IOW, 0xa8),
	OTHER(KVM_ALLOCATE_RMA, _IOR, 0xa9),
	OTHER(KVM_PPC_GET_HTAB_FD, _IOW, 0xaa),
	OTHER(KVM_PPC_RTAS_DEFINE_TOKEN, _IOW, 0xac),
	ROW(KVM_PPC_RESIZE_HPT_PREPARE, ANY, NULL),
	ROW(KVM_PPC_RESIZE_HPT_COMMIT, ANY, NULL),
	OTHER(KVM_PPC_CONFIGURE_V3_MMU, _IOW, 0xaf),
	OTHER(KVM_PPC_GET_RMMU_INFO, _IOW, 0xb0),
	OTHER(KVM_PPC_GET_CPU_CHAR, _IOR, 0xb1),
	ROW(KVM_PPC_SVM_OFF, ANY, NULL),
	ROW(KVM_ARM_SET_DEVICE_ADDR, ANY, NULL),
	OTHER(KVM_ARM_VCPU_INIT, _IOW, 0xae),
	OTHER(KVM_ARM_PREFERRED_TARGET, _IOR, 0xaf),
	ROW(KVM_ARM_VCPU_FINALIZE, ANY, NULL),
	OTHER(KVM_ARM_MTE_COPY_TAGS, _IOR, 0xb4),
	ROW(KVM_S390_INTERRUPT, ANY, NULL),
	ROW(KVM_S390_STORE_STATUS, ANY, NULL),
	ROW(KVM_S390_SET_INITIAL_PSW, ANY, NULL),
	ROW(KVM_S390_INITIAL_RESET, ANY, NULL),
	ROW(KVM_S390_NORMAL_RESET, ANY, NULL),
	ROW(KVM_S390_CLEAR_RESET, ANY, NULL),
	ROW(KVM_S390_MEM_OP, ANY, NULL),
	ROW(KVM_S390_GET_SKEYS, ANY, NULL),
	ROW(KVM_S390_SET_SKEYS, ANY, NULL),
	ROW(KVM_S390_IRQ, ANY, NULL),
	ROW(KVM_S390_SET_IRQ_STATE, ANY, NULL),
	ROW(KVM_S390_GET_IRQ_STATE, ANY, NULL),
	ROW(KVM_S390_GET_CMMA_BITS, ANY, NULL),
	ROW(KVM_S390_SET_CMMA_BITS, ANY, NULL),
	ROW(KVM_S390_PV_COMMAND, ANY, NULL),
	ROW(KVM_S390_PV_CPU_COMMAND, ANY, NULL),
	ROW(KVM_S390_ZPCI_OP, ANY, NULL),

	/* Not KVM's at all. */
	{ "number-0xff", _IO(KVMIO, 0xff), ANY, NULL },
	{ "number-0xff-huge", _IOWR(KVMIO, 0xff, char[0x3fff]), ANY, NULL },
	{ "terminal", 0x5401, ANY, NULL },
	{ "other-type", _IO(0xaf, 0x80), ANY, NULL },
	{ "number-0", 0, ANY, NULL },
};

/* Answers that differ although both know the ioctl. */
static const struct difference {
	const char *name;
	const char *argument;
	const char *kvm;
	const char *minikvm;
	const char *reason;
} differences[] = {
	{ "KVM_CHECK_EXTENSION", "null", "positive", "0", "number 0 is ``KVM_CAP_IRQCHIP``" },
	{ "KVM_SET_BOOT_CPU_ID", NULL, "0", "EINVAL",
	  "a number that no vCPU can have; KVM refuses it since Linux 6.11" },
	{ "KVM_SET_TSC_KHZ", NULL, "0", "EINVAL",
	  "a rate that is not the host's, where the CPU could scale its TSC" },
};

/* --- The arguments ------------------------------------------------------------------------ */

/* At fixed addresses: some ioctls take the argument as a number. */
#define BUFFER		0x10000000ul
#define BUFFER_SIZE	0x10000ul
#define CLEARED		0x5000ul
#define BUFFER_END	(BUFFER + BUFFER_SIZE)	/* nothing can be read from here on */

enum argument { NONE, UNMAPPED, KERNEL, LAST_BYTES, SHORT, ENDING, ZEROES, MISALIGNED, ONES, NR_ARGS };

static const char * const argument_names[] = {
	"null", "unmapped", "kernel-half", "last-bytes", "cut-off", "count-1-ending", "zeroes",
	"misaligned", "ones",
};

/* Prepare an argument. */
static unsigned long argument(unsigned long request, enum argument kind)
{
	size_t size = _IOC_SIZE(request);

	memset((void *)BUFFER, kind == ONES ? 0xff : 0, CLEARED);
	memset((void *)(BUFFER_END - CLEARED), 0, CLEARED);
	switch (kind) {
	case UNMAPPED:
		return BUFFER_END;
	case KERNEL:
		return 0xffff888000000000;
	case LAST_BYTES:
		return -3ul;
	case SHORT:
		return BUFFER_END - size / 2;
	case ENDING:
		/* What has a variable number of elements has one, which is not there. */
		if (size >= 4 && size <= CLEARED)
			memset((void *)(BUFFER_END - size), 1, 1);
		return BUFFER_END - size;
	case ZEROES:
	case ONES:
		return BUFFER;
	case MISALIGNED:
		return BUFFER + 1;
	default:
		return 0;
	}
}

/* --- Running them ---------------------------------------------------------------------------- */

GUEST(guest_hlt, "1: hlt; jmp 1b");

/* Make a file on which nothing was done yet. */
static int open_at(struct machine *m, enum where where)
{
	const char *step;

	*m = (struct machine){ .dev = -1, .vm = -1, .vcpu = -1 };
	if (where == DEV || where == VM_EMPTY) {
		m->dev = open(test_device(), O_RDWR | O_CLOEXEC);
		TEST_CHECK(m->dev >= 0, "%s", test_device());
		if (where == DEV)
			return m->dev;
		m->vm = ioctl(m->dev, KVM_CREATE_VM, 0);
		TEST_CHECK(m->vm >= 0, "KVM_CREATE_VM");
		return m->vm;
	}
	step = machine_init(m);
	TEST_CHECK(!step, "%s", step);
	GUEST_LOAD(m, guest_hlt);
	if (where == VCPU_RUN)
		TEST_CHECK(!machine_run(m), "the first run");
	return where == VM_USED ? m->vm : m->vcpu;
}

static bool makes_fd(unsigned long request)
{
	return request == KVM_CREATE_VM || request == KVM_CREATE_VCPU ||
	       request == KVM_GET_STATS_FD;
}

/* One call; the answer in a word. */
static const char *answer(int fd, unsigned long request, enum argument kind)
{
	long ret = xioctl(fd, request, argument(request, kind));

	if (ret < 0)
		return strerrorname_np(-ret);
	if (!makes_fd(request))
		return ret ? "positive" : "0";
	close(ret);
	return "fd";
}

/* The files that know a number, by all its rows. */
static unsigned int known_to(unsigned long request)
{
	unsigned int known = 0, i;

	for (i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].request == request)
			known |= rows[i].known;
	return known;
}

typedef void (*take_fn)(const struct row *row, enum where where, enum argument kind,
			const char *answer, void *arg);

/* All cases. A file that knows the ioctl is fresh for it, the others are @other's. */
static void run_row(const struct row *row, enum where where, int other, take_fn take, void *arg)
{
	bool known = row->known & 1 << where;
	struct machine m;
	int kind, fd;

	/* Another row's. */
	if (!known && known_to(row->request) & 1 << where)
		return;
	fd = known ? open_at(&m, where) : other;
	for (kind = NONE; kind < NR_ARGS; kind++) {
		/* Where nobody looks at the argument two will do. */
		if (!known && kind != NONE && kind != ZEROES)
			continue;
		take(row, where, kind, answer(fd, row->request, kind), arg);
	}
	if (known)
		machine_destroy(&m);
}

static void run_all(take_fn take, void *arg)
{
	struct machine other;
	unsigned int i;
	int where, fd;

	for (where = 0; where < NR_WHERE; where++) {
		fd = open_at(&other, where);
		for (i = 0; i < ARRAY_LEN(rows); i++)
			run_row(&rows[i], where, fd, take, arg);
		machine_destroy(&other);
	}
}

#define LINE_MAX_SIZE	120

static void case_line(char line[LINE_MAX_SIZE], const struct row *row, enum where where,
		      enum argument kind)
{
	snprintf(line, LINE_MAX_SIZE, "%s %s %s", where_names[where], row->name,
		 argument_names[kind]);
}

/* --- What is done with the answers -------------------------------------------------------------- */

static void write_answer(const struct row *row, enum where where, enum argument kind,
			 const char *answer, void *arg)
{
	char line[LINE_MAX_SIZE];

	case_line(line, row, where, kind);
	fprintf(arg, "%s: %s\n", line, answer);
}

struct comparison {
	FILE *file;
	bool exact;
	unsigned int cases, allowed, wrong;
};

static bool is_allowed(const struct row *row, enum where where, enum argument kind,
		       const char *want, const char *got)
{
	unsigned int i;

	if (row->lacks && !strcmp(got, unknown_errno[where]))
		return true;
	for (i = 0; i < ARRAY_LEN(differences); i++) {
		const struct difference *d = &differences[i];

		if (!strcmp(d->name, row->name) && !strcmp(d->kvm, want) &&
		    !strcmp(d->minikvm, got) &&
		    (!d->argument || !strcmp(d->argument, argument_names[kind])))
			return true;
	}
	return false;
}

static void compare_answer(const struct row *row, enum where where, enum argument kind,
			   const char *answer, void *arg)
{
	char line[LINE_MAX_SIZE], want[LINE_MAX_SIZE + 40] = "", *value;
	struct comparison *c = arg;

	c->cases++;
	case_line(line, row, where, kind);
	if (fgets(want, sizeof(want), c->file))
		want[strcspn(want, "\n")] = 0;
	value = strstr(want, ": ");
	if (!value || strncmp(want, line, value - want) || line[value - want]) {
		printf("# %s: there is another line: \"%s\"\n", line, want);
		c->wrong++;
		return;
	}
	value += 2;
	if (!strcmp(value, answer))
		return;
	if (!c->exact && is_allowed(row, where, kind, value, answer)) {
		c->allowed++;
		return;
	}
	printf("# %s: %s, not %s\n", line, answer, value);
	c->wrong++;
}

static bool compare(FILE *file, bool exact)
{
	struct comparison c = { .file = file, .exact = exact };

	run_all(compare_answer, &c);
	printf("# %u cases, %u as expected, %u other than KVM's for a reason, %u wrong\n", c.cases,
	       c.cases - c.allowed - c.wrong, c.allowed, c.wrong);
	return !c.wrong;
}

struct unknown {
	unsigned int cases, wrong;
};

static void check_unknown(const struct row *row, enum where where, enum argument kind,
			  const char *answer, void *arg)
{
	struct unknown *u = arg;

	if (row->known & 1 << where)
		return;
	u->cases++;
	if (!strcmp(answer, unknown_errno[where]))
		return;
	printf("# %s on %s: %s, not %s\n", row->name, where_names[where], answer,
	       unknown_errno[where]);
	u->wrong++;
}

/* The table of Documentation/api.rst. */
static void print_differences(void)
{
	unsigned int i;

	printf(".. list-table::\n   :header-rows: 1\n   :widths: 40 60\n\n");
	printf("   * - ioctl\n     - difference\n");
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		if (!rows[i].lacks)
			continue;
		printf("   * - ``%s``%s\n     - %s\n", rows[i].name,
		       known_to(rows[i].request) == rows[i].known ? "" : " of the device",
		       rows[i].lacks);
	}
	for (i = 0; i < ARRAY_LEN(differences); i++)
		printf("   * - ``%s``\n     - ``%s`` where KVM says %s: %s\n",
		       differences[i].name, differences[i].minikvm, differences[i].kvm,
		       differences[i].reason);
}

static int failures, number;

static void result(bool ok, const char *name)
{
	printf("%sok %d %s\n", ok ? "" : "not ", ++number, name);
	failures += !ok;
}

static int run_tests(void)
{
	struct unknown u = { 0 };
	FILE *file = tmpfile();

	TEST_CHECK(file, "tmpfile");
	printf("TAP version 13\n1..2\n");
	run_all(check_unknown, &u);
	printf("# %u cases\n", u.cases);
	result(!u.wrong, "unknown numbers");
	run_all(write_answer, file);
	rewind(file);
	result(compare(file, true), "the same answers twice");
	fclose(file);
	return failures ? 1 : 0;
}

static void usage(void)
{
	fprintf(stderr, "usage: ioctl_test [--write FILE | --compare FILE | --differences]\n");
	exit(2);
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	FILE *file;
	int ret = 0;

	if (!strcmp(mode, "--differences") && argc == 2) {
		print_differences();
		return 0;
	}
	if (mmap((void *)BUFFER, BUFFER_SIZE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != (void *)BUFFER ||
	    mmap((void *)BUFFER_END, TEST_PAGE, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != (void *)BUFFER_END)
		TEST_FAIL("no memory at the fixed addresses");
	if (argc == 1)
		return run_tests();
	if (argc != 3 || (strcmp(mode, "--write") && strcmp(mode, "--compare")))
		usage();
	file = fopen(argv[2], strcmp(mode, "--write") ? "r" : "w");
	TEST_CHECK(file, "%s", argv[2]);
	if (!strcmp(mode, "--write"))
		run_all(write_answer, file);
	else
		ret = !compare(file, false);
	fclose(file);
	return ret;
}
