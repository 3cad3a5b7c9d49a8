// SPDX-License-Identifier: GPL-2.0
/*
 * Interrupts, NMIs and exceptions that userspace gives, what holds them back, and
 * that each is delivered once, whatever gets in between.
 *
 * Intel's manual volume 3, "Interrupt and Exception Handling", and "Event Delivery" of VMX; AMD's
 * volume 2, "Exceptions and Interrupts" and "Event Injection"; Linux, "The Definitive KVM API
 * Documentation".
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>

#include "kselftest_harness.h"
#include "lib/log.h"
#include "lib/vendor.h"
#include "lib/vm.h"

#define ARRAY_LEN(a)	(sizeof(a) / sizeof((a)[0]))

#define RFLAGS_TF	(1ull << 8)
#define RFLAGS_IF	(1ull << 9)
#define RFLAGS_OF	(1ull << 11)
#define RFLAGS_RF	(1ull << 16)
#define RFLAGS_AC	(1ull << 18)
#define CR0_AM		(1ull << 18)

#define BYTES(...) ((struct guest_code){ (const uint8_t[]){ __VA_ARGS__ },		\
					 sizeof((const uint8_t[]){ __VA_ARGS__ }) })

/* The same bytes in every mode. */
#define NOPS	BYTES(0x90, 0x90, 0x90, 0xf4)

static long event_ioctl(struct test_vcpu *vcpu, unsigned long nr, const void *arg)
{
	return ioctl(vcpu->fd, nr, arg) ? -errno : 0;
}

static void give_irq(struct test_vcpu *vcpu, uint32_t vector)
{
	struct kvm_interrupt irq = { vector };

	TEST_EQ(0, event_ioctl(vcpu, KVM_INTERRUPT, &irq), "KVM_INTERRUPT(%u)", vector);
}

static void give_nmi(struct test_vcpu *vcpu)
{
	TEST_EQ(0, event_ioctl(vcpu, KVM_NMI, NULL), "KVM_NMI");
}

static void get_events(struct test_vcpu *vcpu, struct kvm_vcpu_events *events)
{
	memset(events, 0xff, sizeof(*events));
	TEST_EQ(0, event_ioctl(vcpu, KVM_GET_VCPU_EVENTS, events), "KVM_GET_VCPU_EVENTS");
}

static void set_events(struct test_vcpu *vcpu, const struct kvm_vcpu_events *events)
{
	TEST_EQ(0, event_ioctl(vcpu, KVM_SET_VCPU_EVENTS, events), "KVM_SET_VCPU_EVENTS");
}

/* Run to an event, which has to be @want, at @at in the guest. */
static struct test_event expect_event(struct test_vcpu *vcpu, int want, uint64_t at, int line)
{
	struct test_event event;
	int got = vcpu_run_to_event(vcpu, &event);

	if (got != want || event.rip != at) {
		vcpu_dump(vcpu);
		test_die(__FILE__, line, "want event %d at %#lx, got %d at %#lx", want,
			 (long)at, got, (long)event.rip);
	}
	return event;
}

#define EXPECT_EVENT(vcpu, want, at) expect_event(vcpu, want, at, __LINE__)

/* The guest reaches its own HLT without another event. */
#define EXPECT_NO_EVENT(vcpu) do {						\
	struct test_event __event;						\
										\
	TEST_EQ(NO_EVENT, vcpu_run_to_event(vcpu, &__event), "an event too many");	\
} while (0)

static void set_shadow(struct test_vcpu *vcpu, int shadow)
{
	struct kvm_vcpu_events events;

	get_events(vcpu, &events);
	events.interrupt.shadow = shadow;
	set_events(vcpu, &events);
}

/* --- Interrupts ------------------------------------------------------------------------- */

TEST(interrupt_in_every_mode)
{
	static const int vectors[] = { 255, 32, 0x80, 33 };
	struct test_event event;
	unsigned int i;
	int mode;

	for (mode = 0; mode < MODE_NUM; mode++) {
		struct test_vcpu *vcpu = vm_with_log(mode, NOPS);

		for (i = 0; i < ARRAY_LEN(vectors); i++) {
			vcpu_set_log_mode(vcpu, mode);
			vcpu_set_rflags(vcpu, RFLAGS_IF);
			give_irq(vcpu, vectors[i]);
			event = EXPECT_EVENT(vcpu, vectors[i], GUEST_CODE);
			TEST_EQ(RFLAGS_IF | 2, event.rflags & ~RFLAGS_RF, "RFLAGS, %s",
				test_mode_name(mode));
			EXPECT_EQ(0, vcpu->run->if_flag);
			EXPECT_EQ(0, vcpu->run->ready_for_interrupt_injection);
			if (mode == MODE_LONG_R3)
				continue;	/* HLT is #GP there */
			EXPECT_NO_EVENT(vcpu);
			EXPECT_EQ(1, vcpu->run->if_flag);
			EXPECT_EQ(1, vcpu->run->ready_for_interrupt_injection);
			EXPECT_EQ(GUEST_CODE + 4, vcpu_rip(vcpu));
		}
		vm_destroy(vcpu->vm);
	}
}

/* Every vector, 0 to 31 included: an interrupt has no error code. */
TEST(interrupt_every_vector)
{
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, NOPS);
	int vector;

	for (vector = 32; vector < 256; vector++) {
		vcpu_set_log_mode(vcpu, MODE_LONG);
		vcpu_set_rflags(vcpu, RFLAGS_IF);
		give_irq(vcpu, vector);
		EXPECT_EVENT(vcpu, vector, GUEST_CODE);
		EXPECT_NO_EVENT(vcpu);
	}
	vm_destroy(vcpu->vm);
}

TEST(interrupt_vector_too_large)
{
	static const uint32_t vectors[] = { 256, 0x120, 0x80000000, ~0u };
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, NOPS);
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(vectors); i++) {
		struct kvm_interrupt irq = { vectors[i] };

		EXPECT_EQ(-EINVAL, event_ioctl(vcpu, KVM_INTERRUPT, &irq));
	}
	EXPECT_EQ(-EFAULT, event_ioctl(vcpu, KVM_INTERRUPT, (void *)16));
	vcpu_set_rflags(vcpu, RFLAGS_IF);
	EXPECT_NO_EVENT(vcpu);
	vm_destroy(vcpu->vm);
}

/* A second one takes the place of one that was not delivered yet. */
TEST(interrupt_replaced)
{
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, NOPS);

	vcpu_set_rflags(vcpu, RFLAGS_IF);
	give_irq(vcpu, 0x40);
	give_irq(vcpu, 0x41);
	EXPECT_EVENT(vcpu, 0x41, GUEST_CODE);
	EXPECT_NO_EVENT(vcpu);
	vm_destroy(vcpu->vm);
}

#define STI_NOPS	BYTES(0x90, 0xfb, 0x90, 0x90, 0xf4)

/*
 * Given too early it waits. (Stock KVM gives it to the hardware as it is: a VMM has to look at
 * ready_for_interrupt_injection first.)
 */
TEST(interrupt_waits)
{
	static const int modes[] = { MODE_REAL, MODE_PROT32, MODE_LONG };
	unsigned int i;

	if (!test_device_is_minikvm())
		SKIP(return, "minikvm only");
	for (i = 0; i < ARRAY_LEN(modes); i++) {
		struct test_vcpu *vcpu = vm_with_log(modes[i], STI_NOPS);

		give_irq(vcpu, 0x50);
		/* Behind the instruction that follows STI. */
		EXPECT_EVENT(vcpu, 0x50, GUEST_CODE + 3);
		EXPECT_NO_EVENT(vcpu);
		vm_destroy(vcpu->vm);
	}
}

TEST(interrupt_waits_for_shadow)
{
	static const int shadows[] = { KVM_X86_SHADOW_INT_STI, KVM_X86_SHADOW_INT_MOV_SS };
	struct test_vcpu *vcpu;
	unsigned int i;

	if (!test_device_is_minikvm())
		SKIP(return, "minikvm only");
	vcpu = vm_with_log(MODE_LONG, NOPS);
	for (i = 0; i < ARRAY_LEN(shadows); i++) {
		vcpu_set_log_mode(vcpu, MODE_LONG);
		vcpu_set_rflags(vcpu, RFLAGS_IF);
		set_shadow(vcpu, shadows[i]);
		give_irq(vcpu, 0x50);
		EXPECT_EVENT(vcpu, 0x50, GUEST_CODE + 1);
		EXPECT_NO_EVENT(vcpu);
	}
	vm_destroy(vcpu->vm);
}

/* IF goes away after the interrupt was given, between two runs: it waits again. */
TEST(interrupt_waits_again)
{
	struct test_vcpu *vcpu;

	if (!test_device_is_minikvm())
		SKIP(return, "minikvm only");
	vcpu = vm_with_log(MODE_LONG, STI_NOPS);
	vcpu_set_rflags(vcpu, RFLAGS_IF);
	give_irq(vcpu, 0x50);
	vcpu_set_rflags(vcpu, 0);
	EXPECT_EVENT(vcpu, 0x50, GUEST_CODE + 3);
	vm_destroy(vcpu->vm);
}

/* --- The window --------------------------------------------------------------------------- */

TEST(window)
{
	static const int modes[] = { MODE_REAL, MODE_PROT32, MODE_PAE, MODE_LONG };
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(modes); i++) {
		struct test_vcpu *vcpu = vm_with_log(modes[i], STI_NOPS);

		vcpu->run->request_interrupt_window = 1;
		vcpu_run_expect(vcpu, KVM_EXIT_IRQ_WINDOW_OPEN);
		EXPECT_EQ(GUEST_CODE + 3, vcpu_rip(vcpu));
		EXPECT_EQ(1, vcpu->run->if_flag);
		EXPECT_EQ(1, vcpu->run->ready_for_interrupt_injection);
		/* Again and again as long as it is open. */
		vcpu_run_expect(vcpu, KVM_EXIT_IRQ_WINDOW_OPEN);
		EXPECT_EQ(GUEST_CODE + 3, vcpu_rip(vcpu));
		give_irq(vcpu, 0x50);
		vcpu->run->request_interrupt_window = 0;
		EXPECT_EVENT(vcpu, 0x50, GUEST_CODE + 3);
		EXPECT_NO_EVENT(vcpu);
		vm_destroy(vcpu->vm);
	}
}

/* It opens after the handler of the interrupt that was given. */
TEST(window_after_interrupt)
{
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, NOPS);

	vcpu_set_rflags(vcpu, RFLAGS_IF);
	give_irq(vcpu, 0x50);
	vcpu->run->request_interrupt_window = 1;
	EXPECT_EVENT(vcpu, 0x50, GUEST_CODE);
	EXPECT_EQ(0, vcpu->run->ready_for_interrupt_injection);
	vcpu_run_expect(vcpu, KVM_EXIT_IRQ_WINDOW_OPEN);
	EXPECT_EQ(GUEST_CODE, vcpu_rip(vcpu));
	vcpu->run->request_interrupt_window = 0;
	EXPECT_NO_EVENT(vcpu);
	vm_destroy(vcpu->vm);
}

TEST(window_after_shadow)
{
	static const int shadows[] = { KVM_X86_SHADOW_INT_STI, KVM_X86_SHADOW_INT_MOV_SS };
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, NOPS);
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(shadows); i++) {
		vcpu_set_log_mode(vcpu, MODE_LONG);
		vcpu_set_rflags(vcpu, RFLAGS_IF);
		set_shadow(vcpu, shadows[i]);
		vcpu->run->request_interrupt_window = 1;
		vcpu_run_expect(vcpu, KVM_EXIT_IRQ_WINDOW_OPEN);
		EXPECT_EQ(GUEST_CODE + 1, vcpu_rip(vcpu));
		vcpu->run->request_interrupt_window = 0;
	}
	vm_destroy(vcpu->vm);
}

/* MOV SS by the guest: a window that is asked for opens behind the instruction that follows. */
TEST(window_after_mov_ss)
{
	/* mov %ss, %eax; out %al, $0x80; mov %eax, %ss; nop; nop; hlt */
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, BYTES(0x8c, 0xd0, 0xfb, 0x90, 0x8e, 0xd0,
							      0x0f, 0xa2, 0x90, 0xf4));

	vcpu->run->request_interrupt_window = 1;
	vcpu_run_expect(vcpu, KVM_EXIT_IRQ_WINDOW_OPEN);
	EXPECT_EQ(GUEST_CODE + 4, vcpu_rip(vcpu));
	give_irq(vcpu, 0x50);
	EXPECT_EVENT(vcpu, 0x50, GUEST_CODE + 4);
	vcpu->run->request_interrupt_window = 0;
	EXPECT_NO_EVENT(vcpu);
	vm_destroy(vcpu->vm);
}

/* Without IF there is none, and the guest runs on. */
TEST(window_never)
{
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, NOPS);

	vcpu->run->request_interrupt_window = 1;
	EXPECT_NO_EVENT(vcpu);
	EXPECT_EQ(0, vcpu->run->if_flag);
	EXPECT_EQ(0, vcpu->run->ready_for_interrupt_injection);
	vm_destroy(vcpu->vm);
}

TEST(interrupt_bitmap)
{
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, NOPS);
	struct kvm_sregs s;
	int i;

	vcpu_set_rflags(vcpu, RFLAGS_IF);
	vcpu_get_sregs(vcpu, &s);
	for (i = 0; i < 4; i++)
		EXPECT_EQ(0, s.interrupt_bitmap[i]);
	/* None in what is set: the one that waits stays. */
	give_irq(vcpu, 0xc3);
	vcpu_set_sregs(vcpu, &s);
	vcpu_get_sregs(vcpu, &s);
	for (i = 0; i < 4; i++)
		EXPECT_EQ(i == 3 ? 1ull << 3 : 0, s.interrupt_bitmap[i]);
	/* The lowest. */
	s.interrupt_bitmap[1] = 5ull << 7;
	vcpu_set_sregs(vcpu, &s);
	vcpu_get_sregs(vcpu, &s);
	for (i = 0; i < 4; i++)
		EXPECT_EQ(i == 1 ? 1ull << 7 : 0, s.interrupt_bitmap[i]);
	EXPECT_EVENT(vcpu, 64 + 7, GUEST_CODE);
	vcpu_get_sregs(vcpu, &s);
	for (i = 0; i < 4; i++)
		EXPECT_EQ(0, s.interrupt_bitmap[i]);
	EXPECT_NO_EVENT(vcpu);
	vm_destroy(vcpu->vm);
}

/* --- NMIs ----------------------------------------------------------------------------------- */

TEST(nmi_in_every_mode)
{
	struct kvm_vcpu_events events;
	struct test_event event;
	int mode, interrupts;

	for (mode = 0; mode < MODE_NUM; mode++) {
		for (interrupts = 0; interrupts < 2; interrupts++) {
			struct test_vcpu *vcpu = vm_with_log(mode, NOPS);
			uint64_t rflags = interrupts ? RFLAGS_IF : 0;

			vcpu_set_rflags(vcpu, rflags);
			give_nmi(vcpu);
			event = EXPECT_EVENT(vcpu, VECTOR_NMI, GUEST_CODE);
			TEST_EQ(rflags | 2, event.rflags & ~RFLAGS_RF, "RFLAGS, %s",
				test_mode_name(mode));
			get_events(vcpu, &events);
			EXPECT_EQ(1, events.nmi.masked);
			EXPECT_EQ(0, events.nmi.injected);
			EXPECT_EQ(0, events.nmi.pending);
			if (mode != MODE_LONG_R3) {
				EXPECT_NO_EVENT(vcpu);
				get_events(vcpu, &events);
				EXPECT_EQ(0, events.nmi.masked);
			}
			vm_destroy(vcpu->vm);
		}
	}
}

/* One in progress and one waiting; the others are lost. */
TEST(nmi_many)
{
	static const int modes[] = { MODE_REAL, MODE_PROT32, MODE_LONG };
	struct test_event event;
	unsigned int m;
	int i;

	for (m = 0; m < ARRAY_LEN(modes); m++) {
		struct test_vcpu *vcpu = vm_with_log(modes[m], NOPS);

		for (i = 0; i < 5; i++)
			give_nmi(vcpu);
		EXPECT_EVENT(vcpu, VECTOR_NMI, GUEST_CODE);
		/* Right after IRET, before an instruction. */
		event = EXPECT_EVENT(vcpu, VECTOR_NMI, GUEST_CODE);
		EXPECT_EQ(0, event.rflags & RFLAGS_TF);
		for (i = 0; i < 3; i++)
			give_nmi(vcpu);
		event = EXPECT_EVENT(vcpu, VECTOR_NMI, GUEST_CODE);
		EXPECT_EQ(0, event.rflags & RFLAGS_TF);
		EXPECT_NO_EVENT(vcpu);
		vm_destroy(vcpu->vm);
	}
}

/* After its IRET the guest steps itself: nothing of that is lost, nothing is added. */
TEST(nmi_guest_steps)
{
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, NOPS);
	struct test_event event;
	uint64_t *frame;
	struct kvm_regs regs;

	give_nmi(vcpu);
	EXPECT_EVENT(vcpu, VECTOR_NMI, GUEST_CODE);
	give_nmi(vcpu);
	/* RBX, RAX, vector, error code, RIP, CS, RFLAGS */
	vcpu_get_regs(vcpu, &regs);
	frame = vm_hva(vcpu->vm, regs.rsp, 56);
	frame[6] |= RFLAGS_TF;
	event = EXPECT_EVENT(vcpu, VECTOR_NMI, GUEST_CODE);
	SKIP_IF_STOCK(!(event.rflags & RFLAGS_TF) && test_vendor()->amd,
		      "the TF that IRET loads is lost with KVM's step");
	EXPECT_EQ(RFLAGS_TF, event.rflags & RFLAGS_TF);
	if (!test_vendor()->amd)
		SKIP(return, "Bochs: RFLAGS.TF of a VM entry traps too early");
	event = EXPECT_EVENT(vcpu, VECTOR_DB, GUEST_CODE + 1);
	EXPECT_EQ(RFLAGS_TF, event.rflags & RFLAGS_TF);
	event = EXPECT_EVENT(vcpu, VECTOR_DB, GUEST_CODE + 2);
	EXPECT_EQ(RFLAGS_TF, event.rflags & RFLAGS_TF);
	vm_destroy(vcpu->vm);
}

/*
 * In Bochs an NMI that waits comes late once a debugger has stepped a guest in the same boot, with stock
 * KVM too; not in a fresh one.
 */
#define SKIP_IF_LATE(late) do {							\
	if (!test_vendor()->amd && (late))					\
		SKIP(_exit(255), "Bochs: the NMI comes late");			\
} while (0)

/* In a shadow it waits for one instruction, IF or not; TF is not seen. */
TEST(nmi_in_shadow)
{
	static const int shadows[] = { KVM_X86_SHADOW_INT_STI, KVM_X86_SHADOW_INT_MOV_SS };
	struct test_event event;
	int interrupts;
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(shadows); i++) {
		for (interrupts = 0; interrupts < 2; interrupts++) {
			struct test_vcpu *vcpu;

			/* VM entry refuses STI's with IF clear. */
			if (!interrupts && shadows[i] == KVM_X86_SHADOW_INT_STI)
				continue;
			vcpu = vm_with_log(MODE_LONG, NOPS);
			vcpu_set_rflags(vcpu, interrupts ? RFLAGS_IF : 0);
			set_shadow(vcpu, shadows[i]);
			give_nmi(vcpu);
			vcpu_run_to_event(vcpu, &event);
			SKIP_IF_LATE(event.rip != GUEST_CODE + 1);
			EXPECT_EQ(VECTOR_NMI, event.vector);
			EXPECT_EQ(GUEST_CODE + 1, event.rip);
			TEST_EQ(interrupts ? RFLAGS_IF : 0, event.rflags & (RFLAGS_IF | RFLAGS_TF),
				"shadow %d", shadows[i]);
			EXPECT_NO_EVENT(vcpu);
			vm_destroy(vcpu->vm);
		}
	}
}

/* The same where the instruction is PUSHF, which shows the flags. */
TEST(nmi_in_shadow_pushf)
{
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, BYTES(0x9c, 0x90, 0xf4));
	struct test_event event;
	uint64_t *pushed = vm_hva(vcpu->vm, GUEST_STACK_TOP - 8, 8);

	set_shadow(vcpu, KVM_X86_SHADOW_INT_MOV_SS);
	give_nmi(vcpu);
	vcpu_run_to_event(vcpu, &event);
	SKIP_IF_LATE(event.rip != GUEST_CODE + 1);
	EXPECT_EQ(VECTOR_NMI, event.vector);
	EXPECT_EQ(GUEST_CODE + 1, event.rip);
	EXPECT_EQ(0, event.rflags & RFLAGS_TF);
	/* SVM has no window for NMIs, and a step is seen by PUSHF; KVM steps, too. */
	if (!test_vendor()->amd)
		EXPECT_EQ(2, *pushed);
	EXPECT_NO_EVENT(vcpu);
	vm_destroy(vcpu->vm);
}

/* The guest steps itself over MOV SS: #DB waits for the end of the shadow. */
TEST(step_in_shadow)
{
	/*
	 * mov %ss, %eax; mov %eax, %ss; pushf; orl $0x100, (%rsp); popf; mov %eax, %ss; nop; nop; hlt
	 * (Once before, so that nothing exits with TF set, which Bochs gets wrong.)
	 */
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, BYTES(
		0x8c, 0xd0, 0x8e, 0xd0, 0x9c, 0x81, 0x0c, 0x24, 0x00, 0x01, 0x00, 0x00, 0x9d,
		0x8e, 0xd0, 0x90, 0x90, 0xf4));
	struct test_event event;

	event = EXPECT_EVENT(vcpu, VECTOR_DB, GUEST_CODE + 16);
	EXPECT_EQ(RFLAGS_TF, event.rflags & RFLAGS_TF);
	vm_destroy(vcpu->vm);
}

/*
 * The step to an NMI, with an address in DR0 that matches but is not enabled: CPUs may tell of
 * it, and nothing of that is the guest's.
 */
TEST(nmi_in_shadow_disabled_breakpoint)
{
	/* mov %rax, %dr0; mov %rbx, %dr7; nop; hlt; nop; hlt */
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, BYTES(0x0f, 0x23, 0xc0, 0x0f, 0x23, 0xfb,
							      0x90, 0xf4, 0x90, 0x90, 0xf4));
	struct test_event event;
	struct kvm_regs regs;

	vcpu_get_regs(vcpu, &regs);
	regs.rax = GUEST_CODE + 9;
	/* Another one is enabled, so that the addresses are in the CPU. */
	regs.rbx = 0x400 | 2 << 6;
	vcpu_set_regs(vcpu, &regs);
	EXPECT_NO_EVENT(vcpu);
	set_shadow(vcpu, KVM_X86_SHADOW_INT_MOV_SS);
	give_nmi(vcpu);
	vcpu_run_to_event(vcpu, &event);
	SKIP_IF_LATE(event.rip != GUEST_CODE + 9);
	SKIP_IF_STOCK(event.rip != GUEST_CODE + 9 && test_vendor()->amd,
		      "#DB of KVM's step reaches the guest when an address matches");
	EXPECT_EQ(VECTOR_NMI, event.vector);
	EXPECT_EQ(GUEST_CODE + 9, event.rip);
	EXPECT_NO_EVENT(vcpu);
	vm_destroy(vcpu->vm);
}

/* An event that is to be delivered first; the NMI comes before the first instruction of its handler. */
TEST(nmi_behind_exception)
{
	static const int modes[] = { MODE_REAL, MODE_PROT32, MODE_LONG };
	struct kvm_vcpu_events events;
	struct test_event event;
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(modes); i++) {
		struct test_vcpu *vcpu = vm_with_log(modes[i], NOPS);

		get_events(vcpu, &events);
		events.exception.injected = 1;
		events.exception.nr = VECTOR_UD;
		set_events(vcpu, &events);
		give_nmi(vcpu);
		vcpu_run_to_event(vcpu, &event);
		SKIP_IF_LATE(event.vector == VECTOR_UD);
		EXPECT_EQ(VECTOR_NMI, event.vector);
		EXPECT_EQ(log_handler(modes[i], VECTOR_UD), event.rip);
		EXPECT_EQ(0, event.rflags & RFLAGS_TF);
		event = EXPECT_EVENT(vcpu, VECTOR_UD, GUEST_CODE);
		EXPECT_EQ(0, event.rflags & RFLAGS_TF);
		EXPECT_NO_EVENT(vcpu);
		vm_destroy(vcpu->vm);
	}
}

/* Both are delivered, once each; the NMI first, says the manual. */
TEST(nmi_and_interrupt)
{
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, NOPS);
	struct test_event event;
	int first, second;

	vcpu_set_rflags(vcpu, RFLAGS_IF);
	give_irq(vcpu, 0x50);
	give_nmi(vcpu);
	first = vcpu_run_to_event(vcpu, &event);
	if (test_device_is_minikvm()) {
		EXPECT_EQ(VECTOR_NMI, first);
		EXPECT_EQ(GUEST_CODE, event.rip);
	}
	second = vcpu_run_to_event(vcpu, &event);
	EXPECT_EQ(VECTOR_NMI + 0x50, first + second);
	EXPECT_NO_EVENT(vcpu);
	vm_destroy(vcpu->vm);
}

/* What IRET needs that has gone away in the meantime. */
static void forget(struct test_vm *vm, uint64_t gpa)
{
	void *hva = vm_hva(vm, gpa & ~0xfffull, TEST_PAGE);

	TEST_CHECK(mprotect(hva, TEST_PAGE, PROT_NONE) == 0, "mprotect");
	TEST_CHECK(mprotect(hva, TEST_PAGE, PROT_READ | PROT_WRITE) == 0, "mprotect");
}

/*
 * A second-level fault in the middle of the IRET of an NMI's handler: NMIs are
 * blocked until it is complete.
 */
TEST(nmi_iret_second_level_fault)
{
	static const uint64_t pages[] = {
		GUEST_STACK_TOP - 1, GUEST_GDT, GUEST_CODE, GUEST_PT, GUEST_PD, GUEST_PDPT,
		GUEST_PML4, LOG_HANDLERS64, LOG_HANDLERS64 + 0x1000,
	};
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, NOPS);
	struct kvm_vcpu_events events;
	unsigned int i, waiting;

	for (waiting = 0; waiting < 2; waiting++) {
		for (i = 0; i < ARRAY_LEN(pages); i++) {
			vcpu_set_log_mode(vcpu, MODE_LONG);
			give_nmi(vcpu);
			EXPECT_EVENT(vcpu, VECTOR_NMI, GUEST_CODE);
			get_events(vcpu, &events);
			EXPECT_EQ(1, events.nmi.masked);
			forget(vcpu->vm, pages[i]);
			if (waiting) {
				give_nmi(vcpu);
				EXPECT_EVENT(vcpu, VECTOR_NMI, GUEST_CODE);
			}
			EXPECT_NO_EVENT(vcpu);
			get_events(vcpu, &events);
			TEST_EQ(0, events.nmi.masked, "page %#lx", (long)pages[i]);
			EXPECT_EQ(0, events.nmi.pending);
		}
	}
	vm_destroy(vcpu->vm);
}

/*
 * IRET that faults: NMIs are unblocked, and one that waits comes before the first instruction
 * of the fault's handler. What that has on its stack does not show a flag that is not the guest's.
 */
static void iret_faults(struct __test_metadata *_metadata, int vector)
{
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, NOPS);
	struct kvm_vcpu_events events;
	struct test_event event;
	struct kvm_regs regs;
	uint64_t *frame, iret;

	give_nmi(vcpu);
	EXPECT_EVENT(vcpu, VECTOR_NMI, GUEST_CODE);
	vcpu_get_regs(vcpu, &regs);
	frame = vm_hva(vcpu->vm, regs.rsp, 56);
	/* POP RBX; POP RAX; ADD $16, RSP; IRETQ */
	iret = regs.rip + 1 + 1 + 4;
	if (vector == VECTOR_GP) {
		frame[5] = 0x800;		/* past the GDT */
	} else {
		/* Another stack, gone before IRET: #PF at IRET, and its handler has IST 1. */
		uint64_t ist = GUEST_STACK0_TOP;

		vm_write(vcpu->vm, GUEST_TSS + 0x24, &ist, sizeof(ist));
		*(uint8_t *)vm_hva(vcpu->vm, GUEST_IDT + VECTOR_PF * 16 + 4, 1) = 1;
		*(uint8_t *)vm_hva(vcpu->vm, GUEST_IDT + VECTOR_NMI * 16 + 4, 1) = 0;
		regs.rip = iret;
		regs.rsp = 0x7f000;
		vcpu_set_regs(vcpu, &regs);
		*vm_pte(vcpu->vm, 0x7f000) &= ~1ull;
	}
	give_nmi(vcpu);
	TEST_CHECK(vcpu_run_to_event(vcpu, &event) >= 0, "no event");
	SKIP_IF_STOCK(event.vector == vector && test_vendor()->amd,
		      "an NMI that waits for an IRET that faults comes late");
	EXPECT_EQ(VECTOR_NMI, event.vector);
	EXPECT_EQ(log_handler(MODE_LONG, vector), event.rip);
	EXPECT_EQ(0, event.rflags & RFLAGS_TF);
	EXPECT_EQ(vector, vcpu_run_to_event(vcpu, &event));
	EXPECT_EQ(vector == VECTOR_GP ? 0x800 : 0, event.error);
	EXPECT_EQ(iret, event.rip);
	EXPECT_EQ(0, event.rflags & RFLAGS_TF);
	if (vector == VECTOR_PF)
		EXPECT_EQ(0x7f000, event.cr2 & ~0xfffull);
	get_events(vcpu, &events);
	EXPECT_EQ(0, events.nmi.masked);
	/* When it is mended IRET runs again. */
	frame[5] = SEL_CODE64;
	*vm_pte(vcpu->vm, 0x7f000) |= 1;
	if (vector == VECTOR_GP)
		EXPECT_NO_EVENT(vcpu);
	vm_destroy(vcpu->vm);
}

TEST(nmi_iret_general_protection)
{
	iret_faults(_metadata, VECTOR_GP);
}

TEST(nmi_iret_page_fault)
{
	iret_faults(_metadata, VECTOR_PF);
}

/* No NMI waits: the fault alone. */
TEST(nmi_iret_faults_alone)
{
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, NOPS);
	struct kvm_vcpu_events events;
	struct test_event event;
	struct kvm_regs regs;
	uint64_t *frame;

	give_nmi(vcpu);
	EXPECT_EVENT(vcpu, VECTOR_NMI, GUEST_CODE);
	vcpu_get_regs(vcpu, &regs);
	frame = vm_hva(vcpu->vm, regs.rsp, 56);
	frame[5] = 0x800;
	EXPECT_EQ(VECTOR_GP, vcpu_run_to_event(vcpu, &event));
	EXPECT_EQ(0, event.rflags & RFLAGS_TF);
	get_events(vcpu, &events);
	EXPECT_EQ(0, events.nmi.masked);
	frame[5] = SEL_CODE64;
	EXPECT_NO_EVENT(vcpu);
	vm_destroy(vcpu->vm);
}

/* What waits for the end of a shadow, where the instruction in it exits or faults. */
TEST(nmi_in_shadow_of_exits)
{
	static const uint8_t cpuid[] = { 0x0f, 0xa2, 0x90, 0xf4 };
	static const uint8_t out[] = { 0xe6, 0x80, 0x90, 0xf4 };
	static const uint8_t ud2[] = { 0x0f, 0x0b, 0xf4 };
	static const uint8_t load[] = { 0x8b, 0x07, 0xf4 };	/* mov (%rdi), %eax */
	static const struct {
		const char *name;
		struct guest_code code;
		int vector;
	} rows[] = {
		{ "CPUID", { cpuid, sizeof(cpuid) }, NO_EVENT },
		{ "OUT", { out, sizeof(out) }, NO_EVENT },
		{ "UD2", { ud2, sizeof(ud2) }, VECTOR_UD },
		{ "#PF", { load, sizeof(load) }, VECTOR_PF },
	};
	unsigned int i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct test_vcpu *vcpu = vm_with_log(MODE_LONG, rows[i].code);
		uint64_t nmi_rip = rows[i].vector == NO_EVENT ? GUEST_CODE + 2 :
				   log_handler(MODE_LONG, rows[i].vector);
		struct test_event event;
		struct kvm_regs regs;

		vcpu_get_regs(vcpu, &regs);
		regs.rdi = 0x7f000;
		vcpu_set_regs(vcpu, &regs);
		*vm_pte(vcpu->vm, 0x7f000) &= ~1ull;
		set_shadow(vcpu, KVM_X86_SHADOW_INT_MOV_SS);
		give_nmi(vcpu);
		vcpu_run(vcpu);
		if (vcpu->run->exit_reason == KVM_EXIT_IO) {
			vcpu_get_regs(vcpu, &regs);
			EXPECT_EQ(0, regs.rflags & RFLAGS_TF);
			vcpu_run(vcpu);
		}
		vcpu_expect(vcpu, KVM_EXIT_HLT);
		vcpu_event(vcpu, 0, &event);
		SKIP_IF_STOCK(test_vendor()->amd &&
			      (event.vector != VECTOR_NMI || event.rip != nmi_rip),
			      "%s in a shadow with an NMI: event %d", rows[i].name,
			      (int)event.vector);
		TEST_EQ(VECTOR_NMI, event.vector, "%s", rows[i].name);
		TEST_EQ(nmi_rip, event.rip, "%s", rows[i].name);
		TEST_EQ(0, event.rflags & RFLAGS_TF, "%s", rows[i].name);
		TEST_EQ(rows[i].vector, vcpu_run_to_event(vcpu, &event), "%s", rows[i].name);
		if (rows[i].vector != NO_EVENT) {
			TEST_EQ(GUEST_CODE, event.rip, "%s", rows[i].name);
			TEST_EQ(0, event.rflags & RFLAGS_TF, "%s", rows[i].name);
		}
		vm_destroy(vcpu->vm);
	}
}

/* --- KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS ---------------------------------------------- */

#define FLAGS	(KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW |	\
		 KVM_VCPUEVENT_VALID_SMM)

TEST(events_of_new_vcpu)
{
	struct test_vcpu *vcpu = vm_add_vcpu(vm_create_bare(), 0);
	struct kvm_vcpu_events events, want = { .flags = FLAGS };

	get_events(vcpu, &events);
	EXPECT_EQ(0, memcmp(&want, &events, sizeof(want)));
	EXPECT_EQ(FLAGS, events.flags);
	set_events(vcpu, &events);
	get_events(vcpu, &events);
	EXPECT_EQ(0, memcmp(&want, &events, sizeof(want)));
	vm_destroy(vcpu->vm);
}

/* Each field comes back. */
TEST(events_fields)
{
	static const struct {
		const char *name;
		struct kvm_vcpu_events events;
	} rows[] = {
		{ "exception", { .exception = { 1, VECTOR_UD } } },
		{ "error code", { .exception = { 1, VECTOR_GP, 1, .error_code = 0x123 } } },
		{ "interrupt", { .interrupt = { .injected = 1, .nr = 0x77 } } },
		{ "interrupt 0xff", { .interrupt = { .injected = 1, .nr = 0xff } } },
		{ "NMI", { .nmi = { .injected = 1 } } },
		{ "NMI pending", { .nmi = { .pending = 1 } } },
		{ "NMI masked", { .nmi = { .masked = 1 } } },
		{ "NMI pending, masked", { .nmi = { .pending = 1, .masked = 1 } } },
	};
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, NOPS);
	struct kvm_vcpu_events events, want, none;
	unsigned int i;

	get_events(vcpu, &none);
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		want = rows[i].events;
		want.flags = FLAGS;
		set_events(vcpu, &want);
		get_events(vcpu, &events);
		/* The NMI that is injected may be told as one that blocks others. */
		if (want.nmi.injected)
			events.nmi.masked = 0;
		if (want.nmi.pending && !events.nmi.pending && !test_device_is_minikvm())
			continue;
		if (memcmp(&want, &events, sizeof(want))) {
			TH_LOG("row %s", rows[i].name);
			EXPECT_EQ(want.exception.nr, events.exception.nr);
			EXPECT_EQ(want.exception.injected, events.exception.injected);
			EXPECT_EQ(want.exception.has_error_code, events.exception.has_error_code);
			EXPECT_EQ(want.exception.error_code, events.exception.error_code);
			EXPECT_EQ(want.interrupt.injected, events.interrupt.injected);
			EXPECT_EQ(want.interrupt.nr, events.interrupt.nr);
			EXPECT_EQ(want.nmi.pending, events.nmi.pending);
			EXPECT_EQ(want.nmi.masked, events.nmi.masked);
			EXPECT_EQ(want.nmi.injected, events.nmi.injected);
		}
		set_events(vcpu, &none);
		get_events(vcpu, &events);
		EXPECT_EQ(0, memcmp(&none, &events, sizeof(none)));
	}
	vm_destroy(vcpu->vm);
}

TEST(events_shadow)
{
	static const int shadows[] = { KVM_X86_SHADOW_INT_STI, KVM_X86_SHADOW_INT_MOV_SS };
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, NOPS);
	struct kvm_vcpu_events events;
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(shadows); i++) {
		set_shadow(vcpu, shadows[i]);
		get_events(vcpu, &events);
		/* AMD has one for both. */
		EXPECT_NE(0, events.interrupt.shadow);
		if (!test_vendor()->amd)
			EXPECT_EQ(shadows[i], events.interrupt.shadow);
		/* Without the flag it stays. */
		events.flags &= ~KVM_VCPUEVENT_VALID_SHADOW;
		events.interrupt.shadow = 0;
		set_events(vcpu, &events);
		get_events(vcpu, &events);
		EXPECT_NE(0, events.interrupt.shadow);
		set_shadow(vcpu, 0);
		get_events(vcpu, &events);
		EXPECT_EQ(0, events.interrupt.shadow);
	}
	vm_destroy(vcpu->vm);
}

TEST(events_refused)
{
	static const struct {
		const char *name;
		struct kvm_vcpu_events events;
		bool minikvm;
	} rows[] = {
		{ "flag 5", { .flags = 1 << 6 } },
		{ "flag 31", { .flags = 1u << 31 } },
		{ "payload", { .flags = KVM_VCPUEVENT_VALID_PAYLOAD } },
		{ "triple fault", { .flags = KVM_VCPUEVENT_VALID_TRIPLE_FAULT } },
		{ "exception 32", { .exception = { 1, 32 } } },
		{ "exception 255", { .exception = { 1, 255 } } },
		{ "exception NMI", { .exception = { 1, VECTOR_NMI } } },
		{ "SMM", { .flags = KVM_VCPUEVENT_VALID_SMM, .smi = { .smm = 1 } }, true },
		{ "SMI", { .flags = KVM_VCPUEVENT_VALID_SMM, .smi = { .pending = 1 } }, true },
	};
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, NOPS);
	struct kvm_vcpu_events before, after, bad;
	unsigned int i;

	get_events(vcpu, &before);
	before.exception.injected = 1;
	before.exception.nr = VECTOR_GP;
	before.exception.has_error_code = 1;
	before.exception.error_code = 0x88;
	set_events(vcpu, &before);
	get_events(vcpu, &before);
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		if (rows[i].minikvm && !test_device_is_minikvm())
			continue;
		bad = rows[i].events;
		bad.nmi.masked = 1;
		TEST_EQ(-EINVAL, event_ioctl(vcpu, KVM_SET_VCPU_EVENTS, &bad), "%s", rows[i].name);
		get_events(vcpu, &after);
		/* Stock KVM looks at the last flag when all is done. */
		if (!test_device_is_minikvm())
			set_events(vcpu, &before);
		else
			TEST_EQ(0, memcmp(&before, &after, sizeof(before)), "changed by %s", rows[i].name);
	}
	EXPECT_EQ(-EFAULT, event_ioctl(vcpu, KVM_SET_VCPU_EVENTS, (void *)16));
	EXPECT_EQ(-EFAULT, event_ioctl(vcpu, KVM_GET_VCPU_EVENTS, (void *)16));
	vm_destroy(vcpu->vm);
}

/* All of @from's state that matters here into another vCPU of the same VM. */
static struct test_vcpu *move(struct test_vcpu *from)
{
	struct test_vcpu *to = vm_add_vcpu(from->vm, 1);
	struct kvm_vcpu_events events;
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	vcpu_set_supported_cpuid(to);
	vcpu_get_sregs(from, &sregs);
	vcpu_get_regs(from, &regs);
	get_events(from, &events);
	sregs.apic_base &= ~0x100ull;
	vcpu_set_sregs(to, &sregs);
	vcpu_set_regs(to, &regs);
	set_events(to, &events);
	return to;
}

TEST(move_interrupt)
{
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, NOPS), *to;

	vcpu_set_rflags(vcpu, RFLAGS_IF);
	give_irq(vcpu, 0x50);
	to = move(vcpu);
	EXPECT_EVENT(to, 0x50, GUEST_CODE);
	EXPECT_NO_EVENT(to);
	vm_destroy(vcpu->vm);
}

TEST(move_nmi_masked)
{
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, NOPS), *to;
	struct kvm_vcpu_events events;

	give_nmi(vcpu);
	give_nmi(vcpu);
	EXPECT_EVENT(vcpu, VECTOR_NMI, GUEST_CODE);
	to = move(vcpu);
	get_events(to, &events);
	EXPECT_EQ(1, events.nmi.masked);
	give_nmi(to);		/* lost */
	EXPECT_EVENT(to, VECTOR_NMI, GUEST_CODE);
	EXPECT_NO_EVENT(to);
	vm_destroy(vcpu->vm);
}

TEST(move_exception)
{
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, NOPS), *to;
	struct kvm_vcpu_events events;
	struct test_event event;

	get_events(vcpu, &events);
	events.exception.injected = 1;
	events.exception.nr = VECTOR_GP;
	events.exception.has_error_code = 1;
	events.exception.error_code = 0x5a8;
	set_events(vcpu, &events);
	to = move(vcpu);
	event = EXPECT_EVENT(to, VECTOR_GP, GUEST_CODE);
	EXPECT_EQ(0x5a8, event.error);
	EXPECT_NO_EVENT(to);
	vm_destroy(vcpu->vm);
}

TEST(move_shadow)
{
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, NOPS), *to;

	vcpu_set_rflags(vcpu, RFLAGS_IF);
	set_shadow(vcpu, KVM_X86_SHADOW_INT_MOV_SS);
	to = move(vcpu);
	to->run->request_interrupt_window = 1;
	vcpu_run_expect(to, KVM_EXIT_IRQ_WINDOW_OPEN);
	EXPECT_EQ(GUEST_CODE + 1, vcpu_rip(to));
	vm_destroy(vcpu->vm);
}

/* --- Delivery that is interrupted ----------------------------------------------------------- */

enum give { INSTRUCTION, GIVE_NMI, GIVE_IRQ, GIVE_EXCEPTION };

/* An event; @code is up to it. */
struct source {
	const char *name;
	enum give give;
	struct guest_code code;
	int vector;
	int64_t error;
	unsigned int offset;		/* of the RIP that is pushed */
	bool not_long, not_real;
	bool fault;			/* comes again when the handler goes back */
};

/* Long enough for every mode's literal to be a constant. */
#define SOURCE(...) { __VA_ARGS__ }

static const uint8_t code_nop[] = { 0x90, 0x90, 0xf4 };
static const uint8_t code_ud2[] = { 0x0f, 0x0b, 0xf4 };
static const uint8_t code_int80[] = { 0xcd, 0x80, 0xf4 };
static const uint8_t code_int3[] = { 0xcc, 0x90, 0xf4 };
static const uint8_t code_cd03[] = { 0xcd, 0x03, 0xf4 };
static const uint8_t code_into[] = { 0xce, 0x90, 0xf4 };
static const uint8_t code_int1[] = { 0xf1, 0x90, 0xf4 };
static const uint8_t code_gp[] = { 0xb8, 0x00, 0x08, 0x00, 0x00, 0x8e, 0xd8, 0xf4 };
static const uint8_t code_pf[] = { 0x8b, 0x07, 0xf4 };

#define GUEST_CODE_OF(a)	{ a, sizeof(a) }

static const struct source sources[] = {
	{ "NMI", GIVE_NMI, GUEST_CODE_OF(code_nop), VECTOR_NMI, EXC_NO_ERROR },
	{ "interrupt", GIVE_IRQ, GUEST_CODE_OF(code_nop), 0x50, EXC_NO_ERROR },
	{ "#UD given", GIVE_EXCEPTION, GUEST_CODE_OF(code_nop), VECTOR_UD, EXC_NO_ERROR },
	{ "#GP given", GIVE_EXCEPTION, GUEST_CODE_OF(code_nop), VECTOR_GP, 0x98,
	  .not_real = true },
	{ "ud2", INSTRUCTION, GUEST_CODE_OF(code_ud2), VECTOR_UD, EXC_NO_ERROR, .fault = true },
	{ "int $0x80", INSTRUCTION, GUEST_CODE_OF(code_int80), 0x80, EXC_NO_ERROR, 2 },
	{ "int3", INSTRUCTION, GUEST_CODE_OF(code_int3), VECTOR_BP, EXC_NO_ERROR, 1 },
	{ "int $3", INSTRUCTION, GUEST_CODE_OF(code_cd03), VECTOR_BP, EXC_NO_ERROR, 2 },
	{ "into", INSTRUCTION, GUEST_CODE_OF(code_into), VECTOR_OF, EXC_NO_ERROR, 1,
	  .not_long = true },
	{ "int1", INSTRUCTION, GUEST_CODE_OF(code_int1), VECTOR_DB, EXC_NO_ERROR, 1 },
	{ "#GP", INSTRUCTION, GUEST_CODE_OF(code_gp), VECTOR_GP, 0x800, 5, .not_real = true,
	  .fault = true },
	{ "#PF", INSTRUCTION, GUEST_CODE_OF(code_pf), VECTOR_PF, 0, .not_real = true,
	  .fault = true },
};

static void prepare_source(struct test_vcpu *vcpu, const struct source *s)
{
	struct kvm_vcpu_events events;
	struct kvm_regs regs;

	vm_load(vcpu->vm, s->code);
	vcpu_get_regs(vcpu, &regs);
	regs.rflags |= RFLAGS_IF | RFLAGS_OF;
	regs.rdi = 0x7f123;
	vcpu_set_regs(vcpu, &regs);
	switch (s->give) {
	case GIVE_NMI:
		give_nmi(vcpu);
		break;
	case GIVE_IRQ:
		give_irq(vcpu, s->vector);
		break;
	case GIVE_EXCEPTION:
		get_events(vcpu, &events);
		events.exception.injected = 1;
		events.exception.nr = s->vector;
		events.exception.has_error_code = s->error != EXC_NO_ERROR;
		events.exception.error_code = s->error;
		set_events(vcpu, &events);
		break;
	case INSTRUCTION:
		break;
	}
}

/* Once in order, then with pages gone that the delivery needs: one, or all. */
static void check_interrupted_delivery(enum test_mode mode, const struct source *s)
{
	const uint64_t pages[] = {
		mode == MODE_REAL ? 0 : GUEST_IDT, GUEST_GDT, GUEST_TSS, GUEST_STACK_TOP - 1,
		GUEST_STACK0_TOP - 1, log_handler(mode, s->vector), LOG_COUNT,
		GUEST_PT, GUEST_PD, GUEST_PDPT, GUEST_PML4, GUEST_PD32, GUEST_PT32,
	};
	unsigned int i, j, nr = ARRAY_LEN(pages);
	struct test_vcpu *vcpu = NULL;
	struct test_event event;
	uint64_t pf = mode == MODE_LONG_R3 ? 4 : 0;

	/* Without paging nothing keeps RDI from being memory. */
	if (s->vector == VECTOR_PF && (mode == MODE_PROT32 || mode == MODE_PROT16))
		return;
	for (i = 0; i < nr + 2; i++) {
		bool first = !vcpu;

		if (!vcpu)
			vcpu = vm_with_log(mode, NOPS);
		else
			vcpu_set_log_mode(vcpu, mode);
		*vm_pte(vcpu->vm, 0x7f000) &= ~1ull;
		*vm_pte32(vcpu->vm, 0x7f000) &= ~1u;
		prepare_source(vcpu, s);
		/* The first run has all pages to fetch. */
		for (j = 0; j < nr && !first; j++)
			if (j == i - 1 || i > nr)
				forget(vcpu->vm, pages[j]);
		TEST_EQ(s->vector, vcpu_run_to_event(vcpu, &event), "%s in %s, page %u", s->name,
			test_mode_name(mode), i);
		TEST_EQ(1, log_count(vcpu->vm), "%s in %s, page %u: events", s->name,
			test_mode_name(mode), i);
		TEST_EQ(s->error + (s->vector == VECTOR_PF ? pf : 0), event.error,
			"%s in %s, page %u: error code", s->name, test_mode_name(mode), i);
		TEST_EQ(GUEST_CODE + s->offset, event.rip, "%s in %s, page %u: RIP", s->name,
			test_mode_name(mode), i);
		TEST_EQ(RFLAGS_IF | RFLAGS_OF | 2, event.rflags & ~RFLAGS_RF,
			"%s in %s, page %u: RFLAGS", s->name, test_mode_name(mode), i);
		/* Not once more. HLT is not for ring 3. */
		if (!s->fault && mode != MODE_LONG_R3)
			TEST_EQ(NO_EVENT, vcpu_run_to_event(vcpu, &event), "%s in %s, page %u",
				s->name, test_mode_name(mode), i);
		if (s->fault || mode == MODE_LONG_R3) {
			/* NMIs are blocked for ever. */
			vm_destroy(vcpu->vm);
			vcpu = NULL;
			if (!i)
				i = nr;
		}
	}
	if (vcpu)
		vm_destroy(vcpu->vm);
}

static void check_sources(enum test_mode mode)
{
	bool is_long = mode == MODE_LONG || mode == MODE_COMPAT || mode == MODE_LONG_R3;
	unsigned int i;

	for (i = 0; i < ARRAY_LEN(sources); i++) {
		const struct source *s = &sources[i];

		if ((is_long && s->not_long && mode != MODE_COMPAT) ||
		    (mode == MODE_REAL && s->not_real))
			continue;
		check_interrupted_delivery(mode, s);
	}
}

TEST(delivery_real_mode)
{
	check_sources(MODE_REAL);
}

TEST(delivery_protected_mode)
{
	check_sources(MODE_PROT32);
}

TEST(delivery_32bit_paging)
{
	check_sources(MODE_PAGING32);
}

TEST(delivery_pae)
{
	check_sources(MODE_PAE);
}

TEST(delivery_long_mode)
{
	check_sources(MODE_LONG);
}

TEST(delivery_compatibility_mode)
{
	check_sources(MODE_COMPAT);
}

TEST(delivery_ring3)
{
	check_sources(MODE_LONG_R3);
}

/* --- Double and triple faults --------------------------------------------------------------- */

/* What the gate of the first exception does to its delivery. */
enum gate { GATE_NOT_PRESENT, GATE_NULL_SELECTOR, GATE_PAGE_FAULT };

/* The gate of @vector in 64-bit mode leads to another exception. */
static int break_gate(struct test_vm *vm, int vector, enum gate how)
{
	uint8_t *gate = vm_hva(vm, GUEST_IDT + vector * 16, 16);
	uint64_t ist = 0x7f800;

	switch (how) {
	case GATE_NOT_PRESENT:
		gate[5] &= ~0x80;
		return VECTOR_NP;
	case GATE_NULL_SELECTOR:
		gate[2] = gate[3] = 0;
		return VECTOR_GP;
	default:
		gate[4] = 1;		/* a stack that is not mapped */
		vm_write(vm, GUEST_TSS + 0x24, &ist, sizeof(ist));
		*vm_pte(vm, 0x7f000) &= ~1ull;
		return VECTOR_PF;
	}
}

static const struct {
	const char *name;
	int vector;
	enum { BENIGN, CONTRIBUTORY, PAGE_FAULT } class;
	bool error;
} firsts[] = {
	{ "#DE", VECTOR_DE, CONTRIBUTORY },
	{ "#UD", VECTOR_UD, BENIGN },
	{ "#NM", VECTOR_NM, BENIGN },
	{ "#TS", VECTOR_TS, CONTRIBUTORY, true },
	{ "#NP", VECTOR_NP, CONTRIBUTORY, true },
	{ "#SS", VECTOR_SS, CONTRIBUTORY, true },
	{ "#GP", VECTOR_GP, CONTRIBUTORY, true },
	{ "#PF", VECTOR_PF, PAGE_FAULT, true },
	{ "#MF", VECTOR_MF, BENIGN },
	{ "#AC", VECTOR_AC, BENIGN, true },
	{ "#XM", VECTOR_XM, BENIGN },
};

/* SDM volume 3, "Conditions for Generating a Double Fault". */
TEST(double_fault_table)
{
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, NOPS);
	struct kvm_vcpu_events events;
	struct test_event event;
	bool wrong = false;
	unsigned int i;
	int how, got;

	for (i = 0; i < ARRAY_LEN(firsts); i++) {
		for (how = GATE_NOT_PRESENT; how <= GATE_PAGE_FAULT; how++) {
			bool df = firsts[i].class == PAGE_FAULT ||
				  (firsts[i].class == CONTRIBUTORY && how != GATE_PAGE_FAULT);
			int second, want;

			/* With its own gate broken the second becomes the third. */
			if (firsts[i].vector == (how == GATE_NOT_PRESENT ? VECTOR_NP :
						 how == GATE_NULL_SELECTOR ? VECTOR_GP : VECTOR_PF) &&
			    firsts[i].class != PAGE_FAULT && !df)
				continue;
			vcpu_set_log_mode(vcpu, MODE_LONG);
			second = break_gate(vcpu->vm, firsts[i].vector, how);
			want = df ? VECTOR_DF : second;
			get_events(vcpu, &events);
			events.exception.injected = 1;
			events.exception.nr = firsts[i].vector;
			events.exception.has_error_code = firsts[i].error;
			events.exception.error_code = 0;
			set_events(vcpu, &events);
			got = vcpu_run_to_event(vcpu, &event);
			if (df && got == second && test_cpu_is_tcg()) {
				wrong = true;
				continue;
			}
			TEST_EQ(want, got, "%s, then %d", firsts[i].name, second);
			EXPECT_EQ(1, log_count(vcpu->vm));
			if (df)
				EXPECT_EQ(0, event.error);
		}
	}
	vm_destroy(vcpu->vm);
	SKIP_IF_TCG(wrong, "no double fault with an event that VMRUN injects");
}

/* The same with exceptions of the guest's own, which may exit on the way. */
TEST(double_fault_of_instructions)
{
	static const uint8_t de[] = { 0xf6, 0xf1, 0xf4 };	/* div %cl */
	static const struct {
		const char *name;
		struct guest_code code;
		int vector;
		bool contributory;
	} rows[] = {
		{ "#DE", GUEST_CODE_OF(de), VECTOR_DE, true },
		{ "#UD", GUEST_CODE_OF(code_ud2), VECTOR_UD, false },
		{ "#DB", GUEST_CODE_OF(code_int1), VECTOR_DB, false },
	};
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, NOPS);
	struct test_event event;
	unsigned int i;
	int how;

	/* Second-level faults first: TCG forgets of an event that is injected again. */
	give_nmi(vcpu);
	EXPECT_EVENT(vcpu, VECTOR_NMI, GUEST_CODE);
	EXPECT_NO_EVENT(vcpu);
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		for (how = GATE_NOT_PRESENT; how <= GATE_PAGE_FAULT; how++) {
			int second, want;

			vcpu_set_log_mode(vcpu, MODE_LONG);
			vm_load(vcpu->vm, rows[i].code);
			second = break_gate(vcpu->vm, rows[i].vector, how);
			want = rows[i].contributory && how != GATE_PAGE_FAULT ? VECTOR_DF : second;
			TEST_EQ(want, vcpu_run_to_event(vcpu, &event), "%s, then %d", rows[i].name,
				second);
			EXPECT_EQ(1, log_count(vcpu->vm));
		}
	}
	vm_destroy(vcpu->vm);
}

/* A fault on the way to #DF's handler shuts down. */
TEST(triple_fault)
{
	struct test_vcpu *vcpu;
	struct kvm_vcpu_events events;
	int how;

	for (how = GATE_NOT_PRESENT; how <= GATE_PAGE_FAULT; how++) {
		vcpu = vm_with_log(MODE_LONG, NOPS);
		break_gate(vcpu->vm, VECTOR_DF, how);
		get_events(vcpu, &events);
		events.exception.injected = 1;
		events.exception.nr = VECTOR_DF;
		events.exception.has_error_code = 1;
		set_events(vcpu, &events);
		vcpu_run(vcpu);
		SKIP_IF_TCG(vcpu->run->exit_reason == KVM_EXIT_HLT,
			    "no double fault with an event that VMRUN injects");
		vcpu_expect(vcpu, KVM_EXIT_SHUTDOWN);
		vm_destroy(vcpu->vm);
	}
}

static int enable_cap(struct test_vm *vm, uint32_t cap, uint64_t arg)
{
	struct kvm_enable_cap enable = { .cap = cap, .args[0] = arg };

	return ioctl(vm->fd, KVM_ENABLE_CAP, &enable) ? -errno : 0;
}

TEST(triple_fault_event)
{
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, NOPS);
	struct kvm_vcpu_events events;

	if (!test_has_cap(vcpu->vm->fd, KVM_CAP_X86_TRIPLE_FAULT_EVENT))
		SKIP(return, "KVM_CAP_X86_TRIPLE_FAULT_EVENT missing");
	EXPECT_EQ(0, enable_cap(vcpu->vm, KVM_CAP_X86_TRIPLE_FAULT_EVENT, 1));
	get_events(vcpu, &events);
	EXPECT_EQ(FLAGS | KVM_VCPUEVENT_VALID_TRIPLE_FAULT, events.flags);
	EXPECT_EQ(0, events.triple_fault.pending);
	events.triple_fault.pending = 1;
	set_events(vcpu, &events);
	get_events(vcpu, &events);
	EXPECT_EQ(1, events.triple_fault.pending);
	vcpu_run_expect(vcpu, KVM_EXIT_SHUTDOWN);
	get_events(vcpu, &events);
	EXPECT_EQ(0, events.triple_fault.pending);
	/* Taken back. */
	events.triple_fault.pending = 1;
	set_events(vcpu, &events);
	events.triple_fault.pending = 0;
	set_events(vcpu, &events);
	EXPECT_NO_EVENT(vcpu);
	/* Off again. */
	EXPECT_EQ(0, enable_cap(vcpu->vm, KVM_CAP_X86_TRIPLE_FAULT_EVENT, 0));
	get_events(vcpu, &events);
	EXPECT_EQ(FLAGS, events.flags);
	vm_destroy(vcpu->vm);
}

/* --- Without end ------------------------------------------------------------------------------ */

static void no_action(int sig)
{
}

/* Whatever the guest does, KVM_RUN ends; 0 or -EINTR. */
static int run_bounded(struct test_vcpu *vcpu)
{
	struct sigaction action = { .sa_handler = no_action };
	struct itimerval timer = { .it_value.tv_usec = 300000 }, off = {};
	int ret;

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	vcpu->run->exit_reason = ~0u;
	ret = __vcpu_run(vcpu) ? -errno : 0;
	setitimer(ITIMER_REAL, &off, NULL);
	errno = 0;
	return ret;
}

/* A data breakpoint on the stack to which #DB is delivered. */
TEST(db_loop)
{
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG_R3, BYTES(0xf1, 0x90));
	struct kvm_debugregs dr = {
		.db[0] = GUEST_STACK0_TOP - 8, .dr7 = 0x400 | 2 | 0xbull << 16,
	};
	int ret;

	if (test_cpu_is_tcg())
		SKIP(return, "TCG ends QEMU: a breakpoint in the delivery of an event");
	if (!test_has_cap(vcpu->vm->dev, KVM_CAP_DEBUGREGS))
		SKIP(return, "KVM_CAP_DEBUGREGS missing");
	TEST_EQ(0, event_ioctl(vcpu, KVM_SET_DEBUGREGS, &dr), "KVM_SET_DEBUGREGS");
	vcpu_set_rflags(vcpu, RFLAGS_IF);
	ret = run_bounded(vcpu);
	EXPECT_EQ(true, ret == 0 || ret == -EINTR);
	vm_destroy(vcpu->vm);
}

/* The same by the guest's own MOV DR, in ring 0. */
TEST(db_loop_ring0)
{
	/* mov %rax, %dr0; mov %rbx, %dr7; int1 */
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG, BYTES(0x0f, 0x23, 0xc0, 0x0f, 0x23, 0xfb,
							      0xf1, 0x90, 0xf4));
	struct kvm_regs regs;
	int ret;

	if (test_cpu_is_tcg())
		SKIP(return, "TCG ends QEMU: a breakpoint in the delivery of an event");
	vcpu_get_regs(vcpu, &regs);
	regs.rax = GUEST_STACK_TOP - 16;
	regs.rbx = 0x400 | 2 | 0xbull << 16;
	regs.rflags |= RFLAGS_IF;
	vcpu_set_regs(vcpu, &regs);
	ret = run_bounded(vcpu);
	EXPECT_EQ(true, ret == 0 || ret == -EINTR);
	vm_destroy(vcpu->vm);
}

/* #AC, whose handler runs on a stack that is not aligned, in ring 3 again. */
TEST(ac_loop)
{
	struct test_vcpu *vcpu = vm_with_log(MODE_LONG_R3, BYTES(0x8b, 0x44, 0x24, 0x01, 0xeb, 0xfa));
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	uint64_t *gate = vm_hva(vcpu->vm, GUEST_IDT + VECTOR_AC * 16, 16);
	int ret;

	vcpu_get_sregs(vcpu, &sregs);
	sregs.cr0 |= CR0_AM;
	vcpu_set_sregs(vcpu, &sregs);
	vcpu_get_regs(vcpu, &regs);
	regs.rflags |= RFLAGS_AC | RFLAGS_IF;
	regs.rsp -= 3;
	vcpu_set_regs(vcpu, &regs);
	/* A conforming segment would keep ring 3; in long mode delivery aligns the stack. */
	gate[0] &= ~(0x80ull << 40);
	ret = run_bounded(vcpu);
	EXPECT_EQ(true, ret == 0 || ret == -EINTR);
	vm_destroy(vcpu->vm);
}

/* Tables where there is no memory: an end of some kind, in bounded time. */
TEST(tables_without_memory)
{
	static const struct {
		const char *name;
		bool idt, gdt, stack;
	} rows[] = {
		{ "IDT", true }, { "GDT", .gdt = true }, { "stack", .stack = true },
		{ "all", true, true, true },
	};
	static const int modes[] = { MODE_REAL, MODE_PROT32, MODE_LONG };
	unsigned int i, m, e;

	for (m = 0; m < ARRAY_LEN(modes); m++) {
		for (i = 0; i < ARRAY_LEN(rows); i++) {
			for (e = 0; e < ARRAY_LEN(sources); e++) {
				struct test_vcpu *vcpu;
				struct kvm_sregs s;
				struct kvm_regs regs;
				int ret;

				/* Stock KVM may go round and round until the alarm. */
				if (!test_device_is_minikvm() && e > 1)
					continue;
				vcpu = vm_with_log(modes[m], NOPS);
				prepare_source(vcpu, &sources[e]);
				vcpu_get_sregs(vcpu, &s);
				vcpu_get_regs(vcpu, &regs);
				if (rows[i].idt)
					s.idt.base = GUEST_MEM_SIZE + 0x1000;
				if (rows[i].gdt)
					s.gdt.base = GUEST_MEM_SIZE + 0x2000;
				if (rows[i].stack && modes[m] == MODE_REAL)
					s.ss.base = GUEST_MEM_SIZE;
				else if (rows[i].stack)
					regs.rsp = GUEST_MEM_SIZE + 0x4000;
				vcpu_set_sregs(vcpu, &s);
				vcpu_set_regs(vcpu, &regs);
				ret = run_bounded(vcpu);
				TEST_CHECK(ret == 0 || ret == -EINTR, "%s, %s in %s: %d",
					   rows[i].name, sources[e].name,
					   test_mode_name(modes[m]), ret);
				if (test_device_is_minikvm())
					TEST_CHECK(vcpu->run->exit_reason != KVM_EXIT_FAIL_ENTRY,
						   "%s, %s in %s", rows[i].name, sources[e].name,
						   test_mode_name(modes[m]));
				vm_destroy(vcpu->vm);
			}
		}
	}
}

/* --- Task switches ------------------------------------------------------------------------- */

/* JMP to a TSS, and an interrupt through a task gate. Stock KVM carries them out. */
TEST(task_switch)
{
	/* ljmp $0x58, $0 */
	struct test_vcpu *vcpu;
	uint64_t tss = 0x0000890000000067ull | (uint64_t)(GUEST_DATA & 0xffff) << 16 |
		       (uint64_t)(GUEST_DATA >> 16) << 32;
	uint64_t gate = 0x0000e50000580000ull;
	/* What the new task would begin with: a HLT, so that nothing follows where there is no exit. */
	struct {
		uint32_t eip, eflags, eax, ecx, edx, ebx, esp, ebp, esi, edi, es, cs, ss, ds;
	} task = {
		.eflags = 2, .esp = GUEST_STACK_TOP,
		.es = SEL_DATA, .cs = SEL_CODE32, .ss = SEL_DATA, .ds = SEL_DATA,
	};
	struct kvm_regs before, after;
	int i;

	if (!test_device_is_minikvm())
		SKIP(return, "minikvm only");
	for (i = 0; i < 2; i++) {
		vcpu = i ? vm_with_log(MODE_PROT32, BYTES(0xcd, 0x70, 0xf4)) :
			   vm_with_log(MODE_PROT32, BYTES(0xea, 0, 0, 0, 0, 0x58, 0x00, 0xf4));
		vm_write(vcpu->vm, GUEST_GDT + 0x58, &tss, sizeof(tss));
		vm_write(vcpu->vm, GUEST_IDT + 0x70 * 8, &gate, sizeof(gate));
		task.eip = GUEST_CODE + (i ? 2 : 7);
		vm_write(vcpu->vm, GUEST_DATA + 0x20, &task, sizeof(task));
		vcpu_get_regs(vcpu, &before);
		vcpu_run(vcpu);
		SKIP_IF_TCG(vcpu->run->exit_reason == KVM_EXIT_HLT,
			    "a task switch makes no exit");
		vcpu_expect(vcpu, KVM_EXIT_INTERNAL_ERROR);
		EXPECT_EQ(KVM_INTERNAL_ERROR_EMULATION, vcpu->run->internal.suberror);
		vcpu_get_regs(vcpu, &after);
		EXPECT_EQ(0, memcmp(&before, &after, sizeof(before)));
		vm_destroy(vcpu->vm);
	}
}

TEST_HARNESS_MAIN
