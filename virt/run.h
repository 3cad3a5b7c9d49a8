/* SPDX-License-Identifier: GPL-2.0 */
#ifndef MKVM_VIRT_RUN_H
#define MKVM_VIRT_RUN_H

/**
 * typedef mkvm_run_t - what happens after a piece of exit handling
 * @code: 1 enter the guest again, 0 return to userspace, negative errno
 *
 * A one-member struct, so that a plain integer does not convert: "return 1;" in
 * an exit handler does not compile, and nobody has to remember what it meant.
 *
 * Use only %MKVM_RUN_GUEST, %MKVM_RUN_USER and mkvm_run_error() to make one.
 * When the result is %MKVM_RUN_USER, the run struct says why (exit_reason).
 */
typedef struct {
	int code;
} mkvm_run_t;

/* The exit was handled; the guest may run on. */
#define MKVM_RUN_GUEST	((mkvm_run_t){ .code = 1 })
/* KVM_RUN returns 0; kvm_run->exit_reason and its union are filled in. */
#define MKVM_RUN_USER	((mkvm_run_t){ .code = 0 })

/**
 * mkvm_run_error() - KVM_RUN fails
 * @errno: negative error number that the ioctl returns
 */
static inline mkvm_run_t mkvm_run_error(int errno)
{
	return (mkvm_run_t){ .code = errno };
}

static inline bool mkvm_run_is_guest(mkvm_run_t r)
{
	return r.code > 0;
}

#endif
