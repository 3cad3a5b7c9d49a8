/* SPDX-License-Identifier: GPL-2.0 */
#ifndef MKVM_X86_ARCH_TYPES_H
#define MKVM_X86_ARCH_TYPES_H

/*
 * What x86 adds to a VM and to a vCPU. virt/arch.h includes this file to learn the
 * size of both; nothing in virt/ looks inside.
 */

#include <linux/kvm.h>
#include <linux/kvm_types.h>
#include <linux/spinlock_types.h>
#include <linux/types.h>
#include <asm/fpu/types.h>

#include "../../virt/run.h"
#include "audit.h"
#include "emulate.h"

struct mkvm_msr_filter;
struct mkvm_vcpu;
struct svm_vcpu;
struct vmx_vcpu;

/* Size of the exit counters: SVM has exit codes up to 0xa7, and some from 0x400 on. */
#define MKVM_ARCH_NR_EXITS		176
/* The run struct, the page for port I/O data, the ring of coalesced writes. */
#define MKVM_ARCH_VCPU_MMAP_PAGES	3
#define MKVM_PIO_PAGE_OFFSET		1
#define MKVM_COALESCED_PAGE_OFFSET	2

/**
 * enum mkvm_reg - index into mkvm_vcpu_arch.regs
 *
 * The general registers stand in the order of their encoding in instructions and
 * exit information (SDM, "Exit Qualification for Control-Register Accesses"), so
 * that a decoded number is an index. Entry code saves and loads all but RSP, and RAX on AMD.
 * Of RSP, and from MKVM_REG_RIP on, the vendor's control block holds the value
 * while the guest runs; see regs.h for how it is cached.
 */
enum mkvm_reg {
	MKVM_REG_RAX,
	MKVM_REG_RCX,
	MKVM_REG_RDX,
	MKVM_REG_RBX,
	MKVM_REG_RSP,
	MKVM_REG_RBP,
	MKVM_REG_RSI,
	MKVM_REG_RDI,
	MKVM_REG_R8,
	MKVM_REG_R9,
	MKVM_REG_R10,
	MKVM_REG_R11,
	MKVM_REG_R12,
	MKVM_REG_R13,
	MKVM_REG_R14,
	MKVM_REG_R15,
	MKVM_NR_GPRS,
	MKVM_REG_RIP = MKVM_NR_GPRS,
	MKVM_REG_RFLAGS,
	MKVM_REG_CR3,
	MKVM_REG_CS_AR,		/* access rights in the VMCS's format; only read */
	MKVM_REG_SS_AR,		/* likewise; DPL is the CPL */
	MKVM_REG_BLOCKED,	/* MKVM_BLOCKED_*: what holds events back */
	MKVM_NR_REGS
};

/*
 * State beside the registers that common code keeps; numbers go on from enum mkvm_reg, since the
 * same two words say what is up to date and what the control block has to be given.
 */
enum mkvm_state {
	MKVM_STATE_PDPTRS = MKVM_NR_REGS,	/* pdptrs[] */
	MKVM_STATE_CRS,				/* cr0, cr4, efer */
	MKVM_STATE_CR8,
	MKVM_STATE_DR7,				/* eff_dr7 */
	MKVM_STATE_TSC_OFFSET,
	MKVM_STATE_WINDOWS,			/* windows */
	MKVM_STATE_EXCEPTIONS,			/* whether #BP exits: debug.control */
};

/*
 * Segment registers; the first six in the order of their encoding. Of the descriptor tables'
 * registers only base and limit count.
 */
enum mkvm_seg {
	MKVM_SEG_ES,
	MKVM_SEG_CS,
	MKVM_SEG_SS,
	MKVM_SEG_DS,
	MKVM_SEG_FS,
	MKVM_SEG_GS,
	MKVM_SEG_LDTR,
	MKVM_SEG_TR,
	MKVM_SEG_GDTR,
	MKVM_SEG_IDTR,
	MKVM_NR_SEGS
};

/* Kinds of events that can be injected at VM entry. */
enum mkvm_event_type {
	MKVM_EVENT_NONE,
	MKVM_EVENT_EXTINT,	/* external interrupt */
	MKVM_EVENT_NMI,
	MKVM_EVENT_EXCEPTION,	/* hardware exception */
	MKVM_EVENT_SOFT_INT,	/* INT n */
	MKVM_EVENT_ICEBP,	/* INT1 */
	MKVM_EVENT_SOFT_EXC,	/* INT3, INTO */
};

/**
 * struct mkvm_event - the event to deliver at the next VM entry
 * @type: MKVM_EVENT_NONE when there is none
 * @vector: 0 to 255
 * @has_error_code: deliver @error_code
 * @error_code: as the handler finds it on its stack
 * @insn_len: soft events: length of the instruction
 */
struct mkvm_event {
	u8 type;
	u8 vector;
	bool has_error_code;
	u8 insn_len;
	u32 error_code;
};

/**
 * struct mkvm_debug - KVM_SET_GUEST_DEBUG: the guest is debugged from outside
 * @control: KVM_GUESTDBG_* bits, 0 when it is not
 * @db: the debugger's DR0 to DR3
 * @dr7: its DR7
 * @bp_len: length of the INT3 that was reported last, should it be the guest's own
 *
 * See debug.c.
 */
struct mkvm_debug {
	u32 control;
	u64 db[4];
	u64 dr7;
	u8 bp_len;
};

/**
 * struct mkvm_pio - port I/O that userspace carries out
 * @rip: where the instruction is, to notice that userspace moved the vCPU
 * @count: elements in the data page
 * @port: port number
 * @size: bytes of one element: 1, 2, 4
 * @addr_size: INS: 2, 4 or 8, the part of RDI and RCX that is used
 * @rep: INS: RCX counts down
 *
 * What completion uses comes from here, never from the shared page.
 */
struct mkvm_pio {
	unsigned long rip;
	u32 count;
	u16 port;
	u8 size;
	u8 addr_size;
	bool rep;
};

/* A level of a page walk for each of 5-level paging. */
#define MKVM_MAX_LEVELS		5
#define MKVM_NR_FETCHES		8

/**
 * struct mkvm_fetch - an instruction that was read, and all that its bytes depend on
 * @rip: where it is
 * @cr3: the tables that led there
 * @cr0: the mode
 * @cr4: likewise
 * @efer: likewise
 * @cs_base: segment; does not count in 64-bit mode
 * @cs_ar: its access rights: code size
 * @slots_generation: of the memory slots behind the user addresses
 * @entry: the page-table entries on the way, in the process
 * @value: what they held
 * @code: the bytes, in the process
 * @bytes: what they were
 * @nr_entries: of @entry
 * @insn: the instruction; its length is 0 when nothing is kept here
 *
 * See fetch.c.
 */
struct mkvm_fetch {
	u64 rip;
	u64 cr3;
	u64 cr0;
	u64 cr4;
	u64 efer;
	u64 cs_base;
	u64 cs_ar;
	u64 slots_generation;
	const u64 __user *entry[MKVM_MAX_LEVELS];
	u64 value[MKVM_MAX_LEVELS];
	const u64 __user *code;
	u64 bytes[2];
	unsigned int nr_entries;
	struct x86_insn insn;
};

/*
 * Accesses of one instruction that are userspace's, of 8 bytes at most: 32 bytes, not aligned, across a
 * page boundary.
 */
#define MKVM_MMIO_ACCESSES	6

/**
 * struct mkvm_access - one access to a device
 * @addr: guest-physical address, or port
 * @value: what is written, or was read, zero-extended
 * @len: bytes, 1 to 8
 * @pio: a port
 */
struct mkvm_access {
	u64 addr;
	u64 value;
	u8 len;
	bool pio;
};

/**
 * struct mkvm_mmio - an instruction that is executed here, and its accesses to devices
 * @gpa: the address that is not memory
 * @one_access: it is that of the only operand
 * @hole: a guest frame in which there was no memory; see fault.c
 * @hole_generation: mkvm.slots_generation when it was looked for
 * @rip: where the vCPU was when userspace was asked
 * @insn: the instruction: one that is kept (mkvm_vcpu_arch.fetch), or @fetched
 * @fetched: see there
 * @cpu: the vCPU when the instruction began: the mode it was decoded for
 * @emul: likewise
 * @fault: what the guest gets instead
 * @reads: what userspace has given, in the order of the instruction; the one behind is what it
 *	is asked for
 * @writes: what it has not heard of yet
 * @nr_reads: how many
 * @pos: how many the instruction has used, this time
 * @nr_writes: how many
 * @cur_write: that userspace is doing
 *
 * What completion uses comes from here, but for the data of a read. See mmio.c.
 */
struct mkvm_mmio {
	gpa_t gpa;
	bool one_access;
	gfn_t hole;
	u64 hole_generation;
	unsigned long rip;
	const struct x86_insn *insn;
	struct x86_insn fetched;
	struct x86_cpu cpu;
	struct x86_emul emul;
	struct x86_fault fault;
	struct mkvm_access reads[MKVM_MMIO_ACCESSES];
	struct mkvm_access writes[MKVM_MMIO_ACCESSES];
	u8 nr_reads;
	u8 pos;
	u8 nr_writes;
	u8 cur_write;
};

/* As in KVM: banks of the machine-check architecture, of four registers each. */
#define MKVM_MCE_BANKS	32

/**
 * struct mkvm_msrs - MSRs that hold what was written, see msr_table in msr.c
 * @misc_enable: IA32_MISC_ENABLE
 * @bios_sign:	IA32_BIOS_SIGN_ID, the microcode's revision
 * @smi_count:	MSR_SMI_COUNT
 * @feat_ctl:	IA32_FEATURE_CONTROL
 * @platform_info: MSR_PLATFORM_INFO
 * @arch_capabilities: IA32_ARCH_CAPABILITIES
 * @misc_features: MISC_FEATURES_ENABLES; not 0: CPUID faults above CPL 0
 * @power_ctl:	IA32_POWER_CTL
 * @mcg_cap:	IA32_MCG_CAP, from KVM_X86_SETUP_MCE
 * @mcg_status:	IA32_MCG_STATUS
 * @mcg_ctl:	IA32_MCG_CTL
 * @mcg_ext_ctl: IA32_MCG_EXT_CTL
 * @mce_bank:	IA32_MCi_CTL, _STATUS, _ADDR, _MISC
 * @hwcr:	HWCR
 * @osvw_length: OSVW_ID_LENGTH
 * @osvw_status: OSVW_STATUS
 * @de_cfg:	DE_CFG
 */
struct mkvm_msrs {
	u64 misc_enable;
	u64 bios_sign;
	u64 smi_count;
	u64 feat_ctl;
	u64 platform_info;
	u64 arch_capabilities;
	u64 misc_features;
	u64 power_ctl;
	u64 mcg_cap;
	u64 mcg_status;
	u64 mcg_ctl;
	u64 mcg_ext_ctl;
	u64 mce_bank[4 * MKVM_MCE_BANKS];
	u64 hwcr;
	u64 osvw_length;
	u64 osvw_status;
	u64 de_cfg;
};

/**
 * struct mkvm_vcpu_arch - the x86 part of a vCPU
 *
 * All members belong to the thread that holds the vCPU's mutex.
 *
 * @regs:	see enum mkvm_reg
 * @regs_avail:	bits of the registers (and enum mkvm_state) that are up to date here
 * @regs_dirty:	bits of those that must be written to the control block before entry
 * @pdptrs:	PAE paging: the four entries in use, where the CPU has registers for them
 * @cr0:	as the guest sees it
 * @cr2:	not switched by VMX
 * @cr4:	as the guest sees it
 * @cr8:	task priority
 * @efer:	as the guest sees it
 * @xcr0:	valid while cr4.OSXSAVE
 * @pkru:	the guest's; up to date while CR4 and XCR0 permit its use
 * @host_pkru:	the thread's, while the guest's is loaded
 * @db:		DR0 to DR3
 * @dr6:	bits that are fixed read as such
 * @dr7:	likewise
 * @eff_db:	breakpoints in effect: the guest's, or those of a debugger
 * @eff_dr7:	likewise
 * @debug:	the debugger's wishes
 * @apic_base:	IA32_APIC_BASE; the APIC itself is userspace's
 * @msr:	MSRs that are kept
 * @mtrr:	memory type range registers: kept, without effect (EPT says write-back)
 * @tsc_offset:	guest TSC less host TSC
 * @tsc_adjust:	IA32_TSC_ADJUST
 * @tsc_khz:	rate of the guest's TSC, that of the host within a tolerance
 * @event:	to inject at the next entry
 * @nmi_pending: NMIs that wait behind it, at most 2
 * @irq_pending: an interrupt from userspace waits, too
 * @irq_vector:	its vector
 * @irq_window_wanted: userspace wants to hear when the guest can take an interrupt
 * @windows:	MKVM_WINDOW_* that the hardware is asked to report
 * @fpu:	x87, SSE, AVX state while the host's is loaded
 * @serial:	unlike that of any other vCPU, dead ones included
 * @has_run:	the guest was entered: CPUID is fixed
 * @cpuid:	what KVM_SET_CPUID2 gave, or NULL
 * @cpuid_nent:	entries in it
 * @maxphyaddr:	from it, or the default of 36 bits
 * @cr4_allowed: CR4 bits that it permits
 * @efer_allowed: EFER bits that it permits
 * @xcr0_allowed: XCR0 bits that it permits
 * @spare_tables: zeroed pages for second-level tables, so that none is allocated under a lock
 * @nr_spare_tables: how many
 * @complete:	what finishes the instruction when userspace comes back, or NULL; called without
 *		vm->srcu
 * @fetch:	instructions that were read before
 * @pio_data:	the page for port I/O data
 * @pio:	what was asked of userspace
 * @mmio:	likewise
 * @msr_exit_rip: where the vCPU was when userspace was asked about an MSR
 * @audit:	of the audit build
 * @vmx:	Intel
 * @svm:	AMD
 */
struct mkvm_vcpu_arch {
	unsigned long regs[MKVM_NR_REGS];
	u32 regs_avail;
	u32 regs_dirty;

	u64 pdptrs[4];
	u64 cr0;
	u64 cr2;
	u64 cr4;
	u64 cr8;
	u64 efer;
	u64 xcr0;
	u32 pkru;
	u32 host_pkru;
	u64 db[4];
	u64 dr6;
	u64 dr7;
	u64 eff_db[4];
	u64 eff_dr7;
	struct mkvm_debug debug;

	u64 apic_base;
	struct mkvm_msrs msr;
	struct {
		u64 deftype;
		u64 fixed[11];
		u64 var[16];
	} mtrr;
	u64 tsc_offset;
	u64 tsc_adjust;
	u32 tsc_khz;

	struct mkvm_event event;
	u8 nmi_pending;
	bool irq_pending;
	u8 irq_vector;
	bool irq_window_wanted;
	u8 windows;

	struct fpu_guest fpu;

	u64 serial;
	bool has_run;
	struct kvm_cpuid_entry2 *cpuid;
	unsigned int cpuid_nent;
	u8 maxphyaddr;
	u64 cr4_allowed;
	u64 efer_allowed;
	u64 xcr0_allowed;

	u64 *spare_tables[4];
	unsigned int nr_spare_tables;

	mkvm_run_t (*complete)(struct mkvm_vcpu *vcpu);
	struct mkvm_fetch fetch[MKVM_NR_FETCHES];
	void *pio_data;
	struct mkvm_pio pio;
	struct mkvm_mmio mmio;
	unsigned long msr_exit_rip;
	struct mkvm_audit_vcpu audit;

	union {
		struct vmx_vcpu *vmx;
		struct svm_vcpu *svm;
	};
};

/**
 * struct mkvm_vm_tsc - what the vCPUs' TSCs have in common, see tsc.c
 * @lock:	guards all members but @khz
 * @khz:	rate of vCPUs to come. Lock: none, one word
 * @last_ns:	host time of userspace's last write to a TSC
 * @last_write:	the value written
 * @last_offset: the offset that came of it
 * @last_khz:	rate of the vCPU that was written to
 * @base_offset: offset of the first of the writes that counted as one
 */
struct mkvm_vm_tsc {
	spinlock_t lock;
	u32 khz;
	u64 last_ns;
	u64 last_write;
	u64 last_offset;
	u32 last_khz;
	u64 base_offset;
};

/**
 * struct mkvm_arch - the x86 part of a VM
 * @tdp_root:	top table of the second-level paging structures
 * @boot_cpu_id: the vCPU that is the bootstrap processor. Lock: vm->lock; constant once there is
 *	a vCPU
 * @max_vcpu_ids: vCPU numbers are below it; 0: not chosen yet. Lock: as @boot_cpu_id
 * @tsc:	keeps the vCPUs' TSCs together
 * @msr_filter:	MSRs that the guest may use, or NULL. Read under RCU, replaced under vm->lock
 * @user_space_msr: KVM_MSR_EXIT_REASON_* that go to userspace. Lock: none, one word
 * @hide_platform_info: the guest cannot read MSR_PLATFORM_INFO. Lock: none
 * @disabled_quirks: KVM_X86_QUIRK_* that userspace has turned off. Lock: none, one word
 * @exit_on_emulation_error: KVM_CAP_EXIT_ON_EMULATION_FAILURE is on. Likewise
 * @triple_fault_event: KVM_CAP_X86_TRIPLE_FAULT_EVENT is on. Likewise
 * @dumped:	the state of a vCPU was printed once already
 * @audit:	of the audit build. Lock: vm->mmu_lock
 */
struct mkvm_arch {
	u64 *tdp_root;
	u32 boot_cpu_id;
	u32 max_vcpu_ids;
	struct mkvm_vm_tsc tsc;
	struct mkvm_msr_filter __rcu *msr_filter;
	u32 user_space_msr;
	bool hide_platform_info;
	u64 disabled_quirks;
	bool exit_on_emulation_error;
	bool triple_fault_event;
	unsigned long dumped;
	struct mkvm_audit_vm audit;
};

#endif
