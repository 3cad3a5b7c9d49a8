/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Random instruction bytes, of all opcodes. insn_rows.h makes those of a given row.
 * Always 15 bytes: what does not belong to the instruction is random too.
 */
#ifndef MINIKVM_UNIT_INSN_RANDOM_H
#define MINIKVM_UNIT_INSN_RANDOM_H

#include "random.h"

static inline unsigned int random_prefixes(unsigned char *b, bool long_mode)
{
	static const unsigned char prefix[] = {
		0x66, 0x67, 0x66, 0x67, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65,
		0xf2, 0xf3,
	};
	unsigned int n = 0, i, count;

	count = rnd_percent(2) ? rnd_below(16) : rnd_percent(60) ? rnd_below(4) : 0;
	for (i = 0; i < count && n < 15; i++) {
		/* REX that counts for nothing, and LOCK */
		if (rnd_percent(3))
			b[n++] = long_mode ? 0x40 | rnd_below(16) : 0x66;
		else if (rnd_percent(2))
			b[n++] = 0xf0;
		else
			b[n++] = RND_PICK(prefix);
	}
	if (long_mode && n < 15 && rnd_percent(50))
		b[n++] = 0x40 | rnd_below(16);
	return n;
}

/* Escape bytes or a VEX prefix of the maps that are decoded; the opcode is random already. */
static inline void random_opcode(unsigned char *b, unsigned int n)
{
	if (rnd_percent(40)) {
		b[n] = 0x0f;
		if (rnd_percent(10))
			b[n + 1] = 0x38;
		if (rnd_percent(2) && n < 12)
			b[n + 2] = rnd_percent(50) ? 0x2a : 0xf0 | rnd_below(2);
	} else if (rnd_percent(15)) {
		b[n] = 0xc4 | rnd_below(2);
		if (b[n] == 0xc4)
			b[n + 1] = (b[n + 1] & 0xe0) | 1 | (rnd_percent(10) ? 2 : 0);
		/* Often no register in vvvv. */
		if (rnd_percent(70))
			b[n + 2 - (b[n] & 1)] |= 0x78;
	}
}

static inline void random_insn(unsigned char *b, bool long_mode)
{
	unsigned int n, i;

	for (i = 0; i < 15; i++)
		b[i] = rnd();
	n = random_prefixes(b, long_mode);
	if (n <= 12 && !rnd_percent(5))
		random_opcode(b, n);
}

#endif /* MINIKVM_UNIT_INSN_RANDOM_H */
