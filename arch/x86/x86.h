/* SPDX-License-Identifier: GPL-2.0 */
#ifndef MKVM_X86_X86_H
#define MKVM_X86_X86_H

/*
 * Common x86 code, by file: what vendor code calls once it has decoded an exit, and
 * what the common files call of each other.
 */

#include "ops.h"
#include "regs.h"
#include "emulate.h"

struct gwalk_path;
struct gwalk_result;

/* --- ioctl.c ---------------------------------------------------------------- */
void *mkvm_memdup_user(const void __user *arg, size_t size);

/* --- mce.c ------------------------------------------------------------------ */
long mkvm_get_mce_cap_supported(u64 __user *arg);
long mkvm_setup_mce(struct mkvm_vcpu *vcpu, const u64 *cap);
long mkvm_set_mce(struct mkvm_vcpu *vcpu, const struct kvm_x86_mce *mce);

/* --- cpuid.c ---------------------------------------------------------------- */
extern u64 mkvm_supported_xcr0;
void mkvm_cpuid_init(void);
u32 mkvm_xsave_size(u64 xcr0);
int mkvm_get_supported_cpuid(struct kvm_cpuid2 __user *arg);
int mkvm_get_emulated_cpuid(struct kvm_cpuid2 __user *arg);
int mkvm_set_cpuid(struct mkvm_vcpu *vcpu, struct kvm_cpuid __user *arg);
int mkvm_set_cpuid2(struct mkvm_vcpu *vcpu, struct kvm_cpuid2 __user *arg);
int mkvm_get_cpuid2(struct mkvm_vcpu *vcpu, struct kvm_cpuid2 __user *arg);
void mkvm_cpuid_apply(struct mkvm_vcpu *vcpu);
void mkvm_cpuid_update(struct mkvm_vcpu *vcpu);
const struct kvm_cpuid_entry2 *mkvm_find_cpuid(struct mkvm_vcpu *vcpu, u32 function,
					       u32 index);
bool mkvm_guest_has(struct mkvm_vcpu *vcpu, unsigned int feature);
bool mkvm_guest_is_intel(struct mkvm_vcpu *vcpu);
bool mkvm_guest_is_amd(struct mkvm_vcpu *vcpu);
mkvm_run_t mkvm_handle_cpuid(struct mkvm_vcpu *vcpu);

/* --- msr.c ------------------------------------------------------------------ */
int mkvm_get_msr(struct mkvm_vcpu *vcpu, u32 msr, u64 *data, bool host);
int mkvm_set_msr(struct mkvm_vcpu *vcpu, u32 msr, u64 data, bool host);
mkvm_run_t mkvm_handle_rdmsr(struct mkvm_vcpu *vcpu);
mkvm_run_t mkvm_handle_wrmsr(struct mkvm_vcpu *vcpu);
void mkvm_msr_reset(struct mkvm_vcpu *vcpu);

/* --- msr_ioctl.c -------------------------------------------------------------- */
int mkvm_get_msr_index_list(struct kvm_msr_list __user *arg);
int mkvm_get_msr_feature_index_list(struct kvm_msr_list __user *arg);
long mkvm_get_msr_features(struct kvm_msrs __user *arg);
long mkvm_ioctl_msrs(struct mkvm_vcpu *vcpu, struct kvm_msrs __user *arg, bool set);
int mkvm_msr_enable_cap(struct mkvm *vm, const struct kvm_enable_cap *cap);

/* --- msr_filter.c -------------------------------------------------------------- */

/* What a 32-bit program gives to KVM_X86_SET_MSR_FILTER: a pointer has 4 bytes. */
struct mkvm_compat_msr_range {
	u32 flags;
	u32 nmsrs;
	u32 base;
	u32 bitmap;
};

struct mkvm_compat_msr_filter {
	u32 flags;
	struct mkvm_compat_msr_range ranges[KVM_MSR_FILTER_MAX_RANGES];
};

#define KVM_X86_SET_MSR_FILTER_COMPAT	_IOW(KVMIO, 0xc6, struct mkvm_compat_msr_filter)

int mkvm_set_msr_filter(struct mkvm *vm, const struct kvm_msr_filter __user *arg);
int mkvm_set_msr_filter_compat(struct mkvm *vm,
			       const struct mkvm_compat_msr_filter __user *arg);
void mkvm_msr_filter_destroy(struct mkvm *vm);

/* --- tsc.c ------------------------------------------------------------------- */
void mkvm_tsc_vm_init(struct mkvm *vm);
void mkvm_tsc_reset(struct mkvm_vcpu *vcpu);
long mkvm_get_tsc_khz(struct mkvm_vcpu *vcpu);
int mkvm_set_tsc_khz(struct mkvm_vcpu *vcpu, u32 khz);
long mkvm_vm_get_tsc_khz(struct mkvm *vm);
int mkvm_vm_set_tsc_khz(struct mkvm *vm, u32 khz);
int mkvm_vcpu_device_attr(struct mkvm_vcpu *vcpu, unsigned int ioctl,
			  const struct kvm_device_attr __user *arg);

/* --- cr.c: control and debug registers -------------------------------------- */
bool mkvm_cr0_valid(u64 cr0);
bool mkvm_cr4_valid(struct mkvm_vcpu *vcpu, u64 cr4);
bool mkvm_efer_valid(struct mkvm_vcpu *vcpu, u64 efer);
bool mkvm_xcr0_valid(struct mkvm_vcpu *vcpu, u64 xcr0);
int mkvm_set_cr0(struct mkvm_vcpu *vcpu, u64 cr0);
int mkvm_set_cr3(struct mkvm_vcpu *vcpu, u64 cr3);
int mkvm_set_cr4(struct mkvm_vcpu *vcpu, u64 cr4);
int mkvm_set_efer(struct mkvm_vcpu *vcpu, u64 efer, bool host);
int mkvm_load_pdptrs(struct mkvm_vcpu *vcpu, u64 cr3);
mkvm_run_t mkvm_handle_mov_to_cr(struct mkvm_vcpu *vcpu, unsigned int cr, enum mkvm_reg reg);
mkvm_run_t mkvm_handle_mov_from_cr(struct mkvm_vcpu *vcpu, unsigned int cr,
				   enum mkvm_reg reg);
mkvm_run_t mkvm_handle_clts(struct mkvm_vcpu *vcpu);
mkvm_run_t mkvm_handle_lmsw(struct mkvm_vcpu *vcpu, u16 source);
mkvm_run_t mkvm_handle_lmsw_insn(struct mkvm_vcpu *vcpu, const struct x86_insn *insn);
mkvm_run_t mkvm_handle_smsw_insn(struct mkvm_vcpu *vcpu, const struct x86_insn *insn);
mkvm_run_t mkvm_handle_xsetbv(struct mkvm_vcpu *vcpu);
int mkvm_get_xcrs(struct mkvm_vcpu *vcpu, struct kvm_xcrs *xcrs);
int mkvm_set_xcrs(struct mkvm_vcpu *vcpu, const struct kvm_xcrs *xcrs);
mkvm_run_t mkvm_complete_insn(struct mkvm_vcpu *vcpu, int err);

/* --- debug.c: debug registers, and debugging from outside -------------------- */
#define MKVM_GUESTDBG	(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP |		\
			 KVM_GUESTDBG_USE_SW_BP | KVM_GUESTDBG_USE_HW_BP |		\
			 KVM_GUESTDBG_INJECT_DB | KVM_GUESTDBG_INJECT_BP |		\
			 KVM_GUESTDBG_BLOCKIRQ)
void mkvm_reset_debug(struct mkvm_vcpu *vcpu);
int mkvm_set_dr6(struct mkvm_vcpu *vcpu, u64 val);
int mkvm_set_dr7(struct mkvm_vcpu *vcpu, u64 val);
void mkvm_set_db(struct mkvm_vcpu *vcpu, unsigned int dr, u64 val);
mkvm_run_t mkvm_handle_mov_dr(struct mkvm_vcpu *vcpu, unsigned int dr, enum mkvm_reg reg,
			      bool to_dr);
u64 mkvm_db_causes(struct mkvm_vcpu *vcpu, u64 dr6);
mkvm_run_t mkvm_handle_db(struct mkvm_vcpu *vcpu, u64 dr6_bits);
int mkvm_get_debugregs(struct mkvm_vcpu *vcpu, struct kvm_debugregs *regs);
int mkvm_set_debugregs(struct mkvm_vcpu *vcpu, const struct kvm_debugregs *regs);
mkvm_run_t mkvm_handle_bp(struct mkvm_vcpu *vcpu, unsigned int insn_len);
mkvm_run_t mkvm_report_step(struct mkvm_vcpu *vcpu);
void mkvm_prepare_step(struct mkvm_vcpu *vcpu);
int mkvm_set_guest_debug(struct mkvm_vcpu *vcpu, const struct kvm_guest_debug *dbg);

/* --- event.c ---------------------------------------------------------------- */
void mkvm_queue_exception(struct mkvm_vcpu *vcpu, u8 vector);
void mkvm_queue_machine_check(struct mkvm_vcpu *vcpu);
void mkvm_queue_exception_e(struct mkvm_vcpu *vcpu, u8 vector, u32 error_code);
void mkvm_queue_fault(struct mkvm_vcpu *vcpu, const struct x86_fault *fault);
mkvm_run_t mkvm_inject_ud(struct mkvm_vcpu *vcpu);
mkvm_run_t mkvm_inject_gp(struct mkvm_vcpu *vcpu);
void mkvm_queue_soft_exception(struct mkvm_vcpu *vcpu, u8 vector);
void mkvm_set_irq(struct mkvm_vcpu *vcpu, u8 vector);
int mkvm_pending_irq(struct mkvm_vcpu *vcpu);
bool mkvm_irq_ready(struct mkvm_vcpu *vcpu);
void mkvm_choose_event(struct mkvm_vcpu *vcpu);
mkvm_run_t mkvm_handle_irq_window(struct mkvm_vcpu *vcpu);
mkvm_run_t mkvm_handle_nmi_window(struct mkvm_vcpu *vcpu);
int mkvm_ioctl_interrupt(struct mkvm_vcpu *vcpu, const struct kvm_interrupt *irq);
int mkvm_ioctl_nmi(struct mkvm_vcpu *vcpu);
int mkvm_get_vcpu_events(struct mkvm_vcpu *vcpu, struct kvm_vcpu_events *events);
int mkvm_set_vcpu_events(struct mkvm_vcpu *vcpu, const struct kvm_vcpu_events *events);

/* --- gmem.c: guest-linear memory --------------------------------------------- */
#define MKVM_GVA_READ	0
int mkvm_translate(struct mkvm_vcpu *vcpu, u64 gva, u32 access, struct gwalk_result *res);
int mkvm_translate_path(struct mkvm_vcpu *vcpu, u64 gva, u32 access, struct gwalk_result *res,
			struct gwalk_path *path);
int mkvm_ioctl_translate(struct mkvm_vcpu *vcpu, struct kvm_translation *tr);
int mkvm_read_gva(struct mkvm_vcpu *vcpu, u64 gva, u32 access, void *data,
		  unsigned int len, struct x86_fault *fault);
int mkvm_write_gva(struct mkvm_vcpu *vcpu, u64 gva, const void *data, unsigned int len,
		   struct x86_fault *fault);
void mkvm_x86_cpu(struct mkvm_vcpu *vcpu, struct x86_cpu *cpu);
void mkvm_x86_cpu_init(struct mkvm_vcpu *vcpu, struct x86_cpu *cpu);

/**
 * mkvm_x86_cpu_in_mode() - mkvm_x86_cpu() where the mode is known, from an instruction that is kept
 * @vcpu: the vCPU, loaded, with RIP and RFLAGS cached
 * @cpu: result, after mkvm_x86_cpu_init()
 * @mode: its code size
 */
static inline void mkvm_x86_cpu_in_mode(struct mkvm_vcpu *vcpu, struct x86_cpu *cpu,
					enum x86_mode mode)
{
	const struct mkvm_vcpu_arch *arch = &vcpu->arch;

	cpu->mode = mode;
	cpu->rip = arch->regs[MKVM_REG_RIP];
	cpu->prot = mkvm_is_protmode(vcpu) && !(arch->regs[MKVM_REG_RFLAGS] & X86_EFLAGS_VM);
	cpu->la57 = arch->cr4 & X86_CR4_LA57;
}

/* --- fetch.c: the instruction at RIP ------------------------------------------ */
const struct x86_insn *mkvm_fetch_kept(struct mkvm_vcpu *vcpu);
int mkvm_fetch_insn(struct mkvm_vcpu *vcpu, const struct x86_cpu *cpu,
		    struct x86_insn *insn, u8 bytes[X86_INSN_MAX], unsigned int *nr);

/* --- pio.c ------------------------------------------------------------------- */

/**
 * struct mkvm_pio_exit - a port access, as vendor code decoded it
 * @port: port number
 * @size: 1, 2 or 4 bytes
 * @in: IN or INS
 * @string: INS or OUTS
 * @rep: with a REP prefix
 * @addr_size: string: 2, 4 or 8
 * @seg: OUTS: segment of the memory operand (enum x86_seg); INS uses ES
 */
struct mkvm_pio_exit {
	u16 port;
	u8 size;
	bool in;
	bool string;
	bool rep;
	u8 addr_size;
	u8 seg;
};

mkvm_run_t mkvm_handle_pio(struct mkvm_vcpu *vcpu, const struct mkvm_pio_exit *pio);

/* --- mmio.c ------------------------------------------------------------------ */
mkvm_run_t mkvm_handle_mmio(struct mkvm_vcpu *vcpu, gpa_t gpa, u32 fault);
void mkvm_mmio_init(struct mkvm_vcpu *vcpu);
mkvm_run_t mkvm_emulate_insn(struct mkvm_vcpu *vcpu);

/* --- segment.c --------------------------------------------------------------- */
int mkvm_load_segment(struct mkvm_vcpu *vcpu, enum mkvm_seg seg, u16 selector,
		      struct x86_fault *fault);

/* --- vecreg.c ---------------------------------------------------------------- */
void mkvm_emul_get_vec(void *priv, unsigned int reg, struct x86_vec *val);
void mkvm_emul_set_vec(void *priv, unsigned int reg, const struct x86_vec *val, unsigned int size,
		       bool zero);
u64 mkvm_emul_get_mmx(void *priv, unsigned int reg);
void mkvm_emul_set_mmx(void *priv, unsigned int reg, u64 val);

/* What KVM does in its own way unless it is told not to, and minikvm too. */
#define MKVM_QUIRKS	(KVM_X86_QUIRK_OUT_7E_INC_RIP |			\
			 KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT |		\
			 KVM_X86_QUIRK_FIX_HYPERCALL_INSN |		\
			 KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS)

/** mkvm_has_quirk() - does the VM want KVM's own way?
 * @vm: the VM
 * @quirk: KVM_X86_QUIRK_* */
static inline bool mkvm_has_quirk(const struct mkvm *vm, u64 quirk)
{
	return !(READ_ONCE(vm->arch.disabled_quirks) & quirk);
}

/* --- hypercall.c --------------------------------------------------------------- */
mkvm_run_t mkvm_handle_hypercall(struct mkvm_vcpu *vcpu);
mkvm_run_t mkvm_handle_ud(struct mkvm_vcpu *vcpu);

/* --- mmu/fault.c ----------------------------------------------------------------- */

/* Why the second-level translation failed. */
#define MKVM_FAULT_READ		BIT(0)
#define MKVM_FAULT_WRITE	BIT(1)
#define MKVM_FAULT_FETCH	BIT(2)
/* The address is that of an operand, not of a page table of the guest. */
#define MKVM_FAULT_FINAL	BIT(3)

mkvm_run_t mkvm_handle_page_fault(struct mkvm_vcpu *vcpu, gpa_t gpa, u32 fault);

/* --- fpu.c ------------------------------------------------------------------- */
int mkvm_fpu_create(struct mkvm_vcpu *vcpu);
void mkvm_fpu_destroy(struct mkvm_vcpu *vcpu);
u64 mkvm_host_xcr0(void);
int mkvm_get_fpu(struct mkvm_vcpu *vcpu, struct kvm_fpu *fpu);
int mkvm_set_fpu(struct mkvm_vcpu *vcpu, const struct kvm_fpu *fpu);
long mkvm_get_xsave(struct mkvm_vcpu *vcpu, void __user *arg);
long mkvm_get_xsave2(struct mkvm_vcpu *vcpu, void __user *arg);
long mkvm_set_xsave(struct mkvm_vcpu *vcpu, const void __user *arg);

/* --- run.c ------------------------------------------------------------------- */
mkvm_run_t mkvm_internal_error(struct mkvm_vcpu *vcpu, u32 suberror, unsigned int ndata,
			       const u64 *data);
mkvm_run_t mkvm_fail_entry(struct mkvm_vcpu *vcpu, u64 reason);
mkvm_run_t mkvm_handle_shutdown(struct mkvm_vcpu *vcpu);
mkvm_run_t mkvm_handle_hlt(struct mkvm_vcpu *vcpu);
mkvm_run_t mkvm_handle_skip(struct mkvm_vcpu *vcpu);
mkvm_run_t mkvm_handle_mwait(struct mkvm_vcpu *vcpu);
mkvm_run_t mkvm_handle_task_switch(struct mkvm_vcpu *vcpu);

/* --- sync.c -------------------------------------------------------------------- */
u32 mkvm_sync_fields(void);
int mkvm_sync_load(struct mkvm_vcpu *vcpu, u32 dirty);
void mkvm_sync_store(struct mkvm_vcpu *vcpu, u32 valid);

/* --- extension.c --------------------------------------------------------------- */
int mkvm_extension(unsigned long cap);

/* The two backends; named by arch.c only. */
extern const struct mkvm_x86_ops svm_ops;
extern const struct mkvm_x86_ops vmx_ops;

#endif
