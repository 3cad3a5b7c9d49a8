/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Guest code written at test time. Encodings are those of Intel's manual
 * volume 2; GPRs have the numbers used there (rax 0, rcx 1, rdx 2, rbx 3 ...).
 */
#ifndef SELFTESTS_LIB_CODE_H
#define SELFTESTS_LIB_CODE_H

#include <stddef.h>
#include <stdint.h>

#include "lib/vm.h"

enum gpr { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI,
	   R8, R9, R10, R11, R12, R13, R14, R15 };

struct code_buf {
	uint8_t bytes[GUEST_CODE_MAX - GUEST_CODE];
	size_t size;
};

void code_bytes(struct code_buf *c, const void *bytes, size_t size);
void code_le(struct code_buf *c, uint64_t value, int size);

/* Any bytes: CODE(c, 0x0f, 0xa2) */
#define CODE(c, ...)							\
	code_bytes(c, (const uint8_t[]){ __VA_ARGS__ },			\
		   sizeof((const uint8_t[]){ __VA_ARGS__ }))

/* 8- and 16-bit forms that are the same in real mode. */
void code_mov_r8_imm(struct code_buf *c, enum gpr reg, uint8_t imm);
void code_mov_r16_imm(struct code_buf *c, enum gpr reg, uint16_t imm);
/* 64-bit mode. */
void code_mov_r64_imm(struct code_buf *c, enum gpr reg, uint64_t imm);
/* In every mode; outside 64-bit mode with the low eight registers. */
void code_mov_from_cr(struct code_buf *c, enum gpr reg, int cr);
void code_mov_to_cr(struct code_buf *c, int cr, enum gpr reg);
void code_out_dx_al(struct code_buf *c);
void code_hlt(struct code_buf *c);
void code_jmp_to(struct code_buf *c, size_t offset);

/* Write it where vcpu_set_mode() starts. */
void code_load(const struct code_buf *c, struct test_vm *vm);

#endif
