// SPDX-License-Identifier: GPL-2.0
/*
 * Floating-point and vector registers: the guest's and the process's own do
 * not touch each other, on one CPU and while the thread moves.
 */
#include <cpuid.h>
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "kselftest_harness.h"
#include "lib/code.h"
#include "lib/rand.h"
#include "lib/thread.h"
#include "lib/vendor.h"
#include "lib/vm.h"

#define IN_XMM		(GUEST_DATA + 0x000)
#define IN_ST		(GUEST_DATA + 0x100)
#define IN_MXCSR	(GUEST_DATA + 0x200)
#define IN_FCW		(GUEST_DATA + 0x208)
#define IN_YMM		(GUEST_DATA + 0x400)
#define OUT_FX		(GUEST_DATA + 0x1000)
#define OUT_YMM		(GUEST_DATA + 0x1400)

GUEST_DECLARE(guest_store_fpu);
GUEST_DECLARE(guest_keep_fpu);
GUEST_DECLARE(guest_keep_avx);

/* The image that FXSAVE64 stores. */
struct fxsave {
	uint16_t fcw, fsw;
	uint8_t ftw, reserved;
	uint16_t fop;
	uint64_t fip, fdp;
	uint32_t mxcsr, mxcsr_mask;
	uint8_t st[8][16];
	uint8_t xmm[16][16];
	uint8_t unused[96];
};

/* KVM_RUN with these values in the process's own XMM registers. */
static int run_with_xmm(struct test_vcpu *vcpu, uint8_t xmm[16][16])
{
	long ret = SYS_ioctl;

	asm volatile(
		"movups 0x00(%[x]), %%xmm0\n\t"
		"movups 0x10(%[x]), %%xmm1\n\t"
		"movups 0x20(%[x]), %%xmm2\n\t"
		"movups 0x70(%[x]), %%xmm7\n\t"
		"movups 0x80(%[x]), %%xmm8\n\t"
		"movups 0xf0(%[x]), %%xmm15\n\t"
		"syscall\n\t"
		"movups %%xmm0, 0x00(%[x])\n\t"
		"movups %%xmm1, 0x10(%[x])\n\t"
		"movups %%xmm2, 0x20(%[x])\n\t"
		"movups %%xmm7, 0x70(%[x])\n\t"
		"movups %%xmm8, 0x80(%[x])\n\t"
		"movups %%xmm15, 0xf0(%[x])\n\t"
		: "+a" (ret)
		: "D" ((long)vcpu->fd), "S" ((long)KVM_RUN), "d" (0l),
		  [x] "r" (xmm)
		: "rcx", "r11", "memory", "xmm0", "xmm1", "xmm2", "xmm7",
		  "xmm8", "xmm15");
	return ret;
}

/* The same with YMM registers. */
__attribute__((target("avx")))
static int run_with_ymm(struct test_vcpu *vcpu, uint8_t ymm[16][32])
{
	long ret = SYS_ioctl;

	asm volatile(
		"vmovups 0x000(%[y]), %%ymm0\n\t"
		"vmovups 0x020(%[y]), %%ymm1\n\t"
		"vmovups 0x1e0(%[y]), %%ymm15\n\t"
		"syscall\n\t"
		"vmovups %%ymm0, 0x000(%[y])\n\t"
		"vmovups %%ymm1, 0x020(%[y])\n\t"
		"vmovups %%ymm15, 0x1e0(%[y])\n\t"
		"vzeroupper\n\t"
		: "+a" (ret)
		: "D" ((long)vcpu->fd), "S" ((long)KVM_RUN), "d" (0l),
		  [y] "r" (ymm)
		: "rcx", "r11", "memory", "xmm0", "xmm1", "xmm15");
	return ret;
}

/* Let the thread go on on another CPU, where there is one. */
static void next_cpu(int i)
{
	thread_move(pthread_self(), i % test_cpus());
}

TEST(own_and_guest_sse)
{
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG,
					       GUEST_OF(guest_keep_fpu));
	uint8_t guest_xmm[16][16], own[16][16], before[16][16], st[80];
	uint32_t mxcsr = 0x1f80 | 0x6000;
	uint16_t fcw = 0x0f7f;
	struct fxsave fx;
	int i, r;

	rand_fill(guest_xmm, sizeof(guest_xmm));
	rand_fill(st, sizeof(st));
	for (r = 0; r < 8; r++)
		st[r * 10 + 7] |= 0x80;		/* normal numbers */
	vm_write(vcpu->vm, IN_XMM, guest_xmm, sizeof(guest_xmm));
	vm_write(vcpu->vm, IN_ST, st, sizeof(st));
	vm_write(vcpu->vm, IN_MXCSR, &mxcsr, 4);
	vm_write(vcpu->vm, IN_FCW, &fcw, 2);

	for (i = 0; i < 40; i++) {
		next_cpu(i / 3);
		rand_fill(own, sizeof(own));
		memcpy(before, own, sizeof(own));
		TEST_EQ(0, run_with_xmm(vcpu, own), "KVM_RUN");
		vcpu_expect(vcpu, KVM_EXIT_IO);
		TEST_CHECK(!memcmp(before, own, sizeof(own)),
			   "the process's registers changed in run %d", i);
		if (!i)
			continue;
		vm_read(vcpu->vm, OUT_FX, &fx, sizeof(fx));
		TEST_CHECK(!memcmp(fx.xmm, guest_xmm, sizeof(guest_xmm)),
			   "the guest's XMM registers changed in run %d", i);
		for (r = 0; r < 8; r++)
			TEST_CHECK(!memcmp(fx.st[r], st + r * 10, 10),
				   "ST(%d) changed in run %d", r, i);
		TEST_EQ(mxcsr, fx.mxcsr, "MXCSR in run %d", i);
		TEST_EQ(fcw, fx.fcw, "FCW in run %d", i);
		TEST_EQ(0xff, fx.ftw, "FTW in run %d", i);
	}
	vm_destroy(vcpu->vm);
}

TEST(own_and_guest_avx)
{
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG,
					       GUEST_OF(guest_keep_avx));
	struct kvm_cpuid2 *cpuid = test_supported_cpuid(vcpu->vm->dev);
	struct kvm_cpuid_entry2 *e = test_cpuid_entry(cpuid, 1, 0);
	uint8_t guest_ymm[16][32], own[16][32], before[16][32], seen[16][32];
	int i;

	if (!e || !(e->ecx & 1 << 28) || !(e->ecx & 1 << 26))
		SKIP(return, "the guest has no AVX");
	if (!__builtin_cpu_supports("avx"))
		SKIP(return, "the host has no AVX");
	rand_fill(guest_ymm, sizeof(guest_ymm));
	vm_write(vcpu->vm, IN_YMM, guest_ymm, sizeof(guest_ymm));
	for (i = 0; i < 40; i++) {
		next_cpu(i / 3);
		rand_fill(own, sizeof(own));
		memcpy(before, own, sizeof(own));
		TEST_EQ(0, run_with_ymm(vcpu, own), "KVM_RUN");
		vcpu_expect(vcpu, KVM_EXIT_IO);
		TEST_CHECK(!memcmp(before, own, sizeof(own)),
			   "the process's registers changed in run %d", i);
		if (!i)
			continue;
		vm_read(vcpu->vm, OUT_YMM, seen, sizeof(seen));
		TEST_CHECK(!memcmp(seen, guest_ymm, sizeof(seen)),
			   "the guest's YMM registers changed in run %d", i);
	}
	free(cpuid);
	vm_destroy(vcpu->vm);
}

/* A new vCPU has the state after reset, nothing of whoever ran before. */
TEST(new_vcpu_is_clean)
{
	struct test_vcpu *vcpu;
	static const uint8_t zero[16 * 16];
	struct kvm_fpu fpu;
	struct fxsave fx;
	uint8_t own[16][16];

	rand_fill(own, sizeof(own));
	vcpu = vm_with_guest(MODE_LONG, GUEST_OF(guest_store_fpu));
	ASSERT_EQ(0, ioctl(vcpu->fd, KVM_GET_FPU, &fpu));
	EXPECT_EQ(0x37f, fpu.fcw);
	EXPECT_EQ(0, fpu.fsw);
	EXPECT_EQ(0, fpu.ftwx);
	EXPECT_EQ(0, memcmp(fpu.xmm, zero, sizeof(fpu.xmm)));
	EXPECT_EQ(0, memcmp(fpu.fpr, zero, sizeof(fpu.fpr)));
	ASSERT_EQ(0, run_with_xmm(vcpu, own));
	vcpu_expect(vcpu, KVM_EXIT_HLT);
	vm_read(vcpu->vm, OUT_FX, &fx, sizeof(fx));
	EXPECT_EQ(0x37f, fx.fcw);
	EXPECT_EQ(0, fx.ftw);
	EXPECT_EQ(0x1f80, fx.mxcsr);
	EXPECT_EQ(0, memcmp(fx.xmm, zero, sizeof(fx.xmm)));
	vm_destroy(vcpu->vm);
}

/*
 * KVM_SET_FPU is what the guest has, from its first instruction on. MXCSR is
 * not part of it, in KVM's ABI, whatever the structure has room for.
 */
static void check_set_fpu(struct test_vcpu *vcpu)
{
	struct kvm_fpu set = {}, get;
	struct fxsave fx;
	int r;

	rand_fill(set.xmm, sizeof(set.xmm));
	for (r = 0; r < 8; r++) {
		rand_fill(set.fpr[r], 10);
		set.fpr[r][7] |= 0x80;
	}
	set.fcw = 0x27f;
	set.ftwx = 0xff;
	set.mxcsr = ~0u;
	TEST_EQ(0, ioctl(vcpu->fd, KVM_SET_FPU, &set), "KVM_SET_FPU");
	memset(&get, 0x55, sizeof(get));
	TEST_EQ(0, ioctl(vcpu->fd, KVM_GET_FPU, &get), "KVM_GET_FPU");
	TEST_CHECK(!memcmp(set.xmm, get.xmm, sizeof(set.xmm)), "XMM");
	TEST_CHECK(!memcmp(set.fpr, get.fpr, sizeof(set.fpr)), "ST");
	TEST_EQ(set.fcw, get.fcw, "FCW");
	TEST_EQ(set.ftwx, get.ftwx, "FTW");

	vcpu_set_mode(vcpu, MODE_LONG);
	vm_load(vcpu->vm, GUEST_OF(guest_store_fpu));
	vcpu_run_to_hlt(vcpu);
	vm_read(vcpu->vm, OUT_FX, &fx, sizeof(fx));
	TEST_CHECK(!memcmp(set.xmm, fx.xmm, sizeof(set.xmm)),
		   "XMM in the guest");
	for (r = 0; r < 8; r++)
		TEST_CHECK(!memcmp(set.fpr[r], fx.st[r], 10),
			   "ST(%d) in the guest", r);
	TEST_EQ(set.fcw, fx.fcw, "FCW in the guest");
	TEST_EQ(0xff, fx.ftw, "FTW in the guest");
	TEST_EQ(0x1f80, fx.mxcsr, "MXCSR in the guest");
}

TEST(get_set_fpu)
{
	/* fld1; pcmpeqd %xmm0, %xmm0; hlt: makes the state one in use. */
	static const uint8_t touch[] = { 0xd9, 0xe8, 0x66, 0x0f, 0x76, 0xc0,
					 0xf4 };
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG, (struct guest_code){
					       touch, sizeof(touch) });
	int i;

	vcpu_run_to_hlt(vcpu);
	for (i = 0; i < 4; i++)
		check_set_fpu(vcpu);
	vm_destroy(vcpu->vm);
}

/* Before the first KVM_RUN; stock KVM forgets what is set then. */
TEST(set_fpu_of_new_vcpu)
{
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG,
					       GUEST_OF(guest_store_fpu));

	if (!test_device_is_minikvm())
		SKIP(return, "stock KVM forgets it");
	check_set_fpu(vcpu);
	vm_destroy(vcpu->vm);
}

/* And in the other direction, in the middle of a guest. */
TEST(get_fpu_of_guest)
{
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG,
					       GUEST_OF(guest_keep_fpu));
	uint8_t guest_xmm[16][16];
	uint32_t mxcsr = 0x1f80;
	uint16_t fcw = 0x37f;
	struct kvm_fpu fpu;
	struct fxsave fx;

	rand_fill(guest_xmm, sizeof(guest_xmm));
	vm_write(vcpu->vm, IN_XMM, guest_xmm, sizeof(guest_xmm));
	vm_write(vcpu->vm, IN_MXCSR, &mxcsr, 4);
	vm_write(vcpu->vm, IN_FCW, &fcw, 2);
	vcpu_run_expect(vcpu, KVM_EXIT_IO);
	ASSERT_EQ(0, ioctl(vcpu->fd, KVM_GET_FPU, &fpu));
	EXPECT_EQ(0, memcmp(fpu.xmm, guest_xmm, sizeof(guest_xmm)));
	EXPECT_EQ(0xff, fpu.ftwx);
	fpu.xmm[3][5] ^= 0xff;
	ASSERT_EQ(0, ioctl(vcpu->fd, KVM_SET_FPU, &fpu));
	vcpu_run_expect(vcpu, KVM_EXIT_IO);
	vm_read(vcpu->vm, OUT_FX, &fx, sizeof(fx));
	EXPECT_EQ(0, memcmp(fpu.xmm, fx.xmm, sizeof(fx.xmm)));
	vm_destroy(vcpu->vm);
}

/* Two vCPUs in turn on one thread, each with its own registers. */
TEST(two_vcpus)
{
	struct test_vcpu *vcpu[2];
	uint8_t xmm[2][16][16];
	uint32_t mxcsr = 0x1f80;
	uint16_t fcw = 0x37f;
	struct fxsave fx;
	int i, v;

	for (v = 0; v < 2; v++) {
		vcpu[v] = vm_with_guest(MODE_LONG, GUEST_OF(guest_keep_fpu));
		rand_fill(xmm[v], sizeof(xmm[v]));
		vm_write(vcpu[v]->vm, IN_XMM, xmm[v], sizeof(xmm[v]));
		vm_write(vcpu[v]->vm, IN_MXCSR, &mxcsr, 4);
		vm_write(vcpu[v]->vm, IN_FCW, &fcw, 2);
	}
	for (i = 0; i < 10; i++) {
		for (v = 0; v < 2; v++) {
			vcpu_run_expect(vcpu[v], KVM_EXIT_IO);
			if (!i)
				continue;
			vm_read(vcpu[v]->vm, OUT_FX, &fx, sizeof(fx));
			TEST_CHECK(!memcmp(fx.xmm, xmm[v], sizeof(fx.xmm)),
				   "vCPU %d, run %d", v, i);
		}
	}
}

/* XSETBV: XCR0 has rules, and a guest that breaks them gets #GP. */
TEST(xcr0_rules)
{
	static const uint8_t xsetbv[] = { 0x0f, 0x01, 0xd1 };
	static const uint8_t xgetbv[] = { 0x0f, 0x01, 0xd0 };
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG,
					       GUEST_OF(guest_keep_avx));
	struct kvm_cpuid2 *cpuid = test_supported_cpuid(vcpu->vm->dev);
	struct kvm_cpuid_entry2 *e = test_cpuid_entry(cpuid, 1, 0);
	struct kvm_regs regs = { .rax = 3 };
	struct kvm_sregs s;
	int64_t error;

	if (!e || !(e->ecx & 1 << 26))
		SKIP(return, "no XSAVE");
	vcpu_get_sregs(vcpu, &s);
	s.cr4 |= 1 << 18;
	vcpu_set_sregs(vcpu, &s);
	regs = (struct kvm_regs){ .rax = 3 };
	EXPECT_EQ(-1, vcpu_try(vcpu, xsetbv, 3, &regs, NULL));
	regs = (struct kvm_regs){};
	EXPECT_EQ(-1, vcpu_try(vcpu, xgetbv, 3, &regs, NULL));
	EXPECT_EQ(3, regs.rax);
	EXPECT_EQ(0, regs.rdx);
	/* x87 off; AVX without SSE; a bit nobody has; another XCR. */
	regs = (struct kvm_regs){ .rax = 2 };
	EXPECT_EQ(VECTOR_GP, vcpu_try(vcpu, xsetbv, 3, &regs, &error));
	EXPECT_EQ(0, error);
	regs = (struct kvm_regs){ .rax = 5 };
	EXPECT_EQ(VECTOR_GP, vcpu_try(vcpu, xsetbv, 3, &regs, NULL));
	regs = (struct kvm_regs){ .rax = 3, .rdx = 0x40000000 };
	EXPECT_EQ(VECTOR_GP, vcpu_try(vcpu, xsetbv, 3, &regs, NULL));
	regs = (struct kvm_regs){ .rax = 3, .rcx = 1 };
	EXPECT_EQ(VECTOR_GP, vcpu_try(vcpu, xsetbv, 3, &regs, NULL));
	regs = (struct kvm_regs){};
	EXPECT_EQ(-1, vcpu_try(vcpu, xgetbv, 3, &regs, NULL));
	EXPECT_EQ(3, regs.rax);
	free(cpuid);
	vm_destroy(vcpu->vm);
}

/* Without CR4.OSXSAVE the instruction is not there. */
TEST(xsetbv_without_osxsave)
{
	static const uint8_t xsetbv[] = { 0x0f, 0x01, 0xd1 };
	struct test_vcpu *vcpu = vm_with_guest(MODE_LONG, (struct guest_code){});
	struct kvm_regs regs = { .rax = 3 };
	int vector;

	vector = vcpu_try(vcpu, xsetbv, 3, &regs, NULL);
	SKIP_IF_STOCK(vector < 0 && test_cpu_is_tcg(),
		      "relies on the CPU to check OSXSAVE first, and TCG does not");
	EXPECT_EQ(VECTOR_UD, vector);
	vm_destroy(vcpu->vm);
}

TEST_HARNESS_MAIN
