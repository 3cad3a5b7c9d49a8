// SPDX-License-Identifier: GPL-2.0
/* A small instruction writer; see code.h. */
#include <string.h>

#include "lib/code.h"

void code_bytes(struct code_buf *c, const void *bytes, size_t size)
{
	TEST_CHECK(size <= sizeof(c->bytes) - c->size, "guest code too long");
	memcpy(c->bytes + c->size, bytes, size);
	c->size += size;
}

/* A little-endian number of @size bytes. */
void code_le(struct code_buf *c, uint64_t value, int size)
{
	code_bytes(c, &value, size);
}

/* mov $imm, %r8: AL, CL, DL, BL, AH, CH, DH, BH */
void code_mov_r8_imm(struct code_buf *c, enum gpr reg, uint8_t imm)
{
	CODE(c, 0xb0 + reg, imm);
}

/* mov $imm, %r16, in a 16-bit code segment */
void code_mov_r16_imm(struct code_buf *c, enum gpr reg, uint16_t imm)
{
	CODE(c, 0xb8 + reg);
	code_le(c, imm, 2);
}

/* movabs $imm, %r64 */
void code_mov_r64_imm(struct code_buf *c, enum gpr reg, uint64_t imm)
{
	CODE(c, reg >= R8 ? 0x49 : 0x48, 0xb8 + (reg & 7));
	code_le(c, imm, 8);
}

/* MOV to or from a control register; CR8 has REX.R */
static void mov_cr(struct code_buf *c, uint8_t op, int cr, enum gpr reg)
{
	uint8_t rex = 0x40 | (cr >= 8 ? 4 : 0) | (reg >= R8 ? 1 : 0);

	if (rex != 0x40)
		CODE(c, rex);
	CODE(c, 0x0f, op, 0xc0 | (cr & 7) << 3 | (reg & 7));
}

/* mov %crN, %reg */
void code_mov_from_cr(struct code_buf *c, enum gpr reg, int cr)
{
	mov_cr(c, 0x20, cr, reg);
}

/* mov %reg, %crN */
void code_mov_to_cr(struct code_buf *c, int cr, enum gpr reg)
{
	mov_cr(c, 0x22, cr, reg);
}

/* out %al, (%dx) */
void code_out_dx_al(struct code_buf *c)
{
	CODE(c, 0xee);
}

void code_hlt(struct code_buf *c)
{
	CODE(c, 0xf4);
}

/* jmp to @offset in the buffer, back and near enough for 8 bits */
void code_jmp_to(struct code_buf *c, size_t offset)
{
	long rel = (long)offset - (long)(c->size + 2);

	TEST_CHECK(rel >= -128 && rel <= 127, "jump of %ld bytes", rel);
	CODE(c, 0xeb, (uint8_t)rel);
}

void code_load(const struct code_buf *c, struct test_vm *vm)
{
	vm_load_bytes(vm, c->bytes, c->size);
}
