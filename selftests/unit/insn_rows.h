/* SPDX-License-Identifier: GPL-2.0 */
/*
 * All rows of the decoder's tables, found by decoding all opcodes with all prefixes that can
 * be part of an opcode, and random instructions of a given row.
 *
 * Nothing here knows what rows there are: one that is added is found and tested.
 */
#ifndef MINIKVM_UNIT_INSN_ROWS_H
#define MINIKVM_UNIT_INSN_ROWS_H

#include "../../arch/x86/decode.h"
#include "random.h"

#define ROWS_MAX	1024
#define FORMS_MAX	16

/**
 * struct insn_form - one way to encode an instruction of a row
 * @vex: VEX prefix
 * @pp: 66, F3 or F2 before the opcode, or 0; with @vex in its pp field
 * @map: 0 for one byte, 1 for 0F, 2 for 0F 38, 3 for 0F 3A
 * @opcode: the byte
 * @has_modrm: it has one
 * @modrm: a ModRM byte for this row; with mod = 0 any mod but 3 is meant, and any rm
 * @w: REX.W or VEX.W
 * @l: VEX.L
 */
struct insn_form {
	bool vex;
	u8 pp;
	u8 map;
	u8 opcode;
	bool has_modrm;
	u8 modrm;
	u8 w;
	u8 l;
};

/**
 * struct insn_row - a row of the decoder, or that row with VEX prefix
 * @key: of this row
 * @name: likewise
 * @op: likewise
 * @map: of the first form found, to name the row
 * @opcode: likewise
 * @nr: of forms, by mode_index() and whether ModRM names a register
 * @found: how many were found: @forms has a fair choice of them
 * @forms: some
 */
struct insn_row {
	unsigned long key;
	const char *name;
	enum x86_op op;
	u8 map;
	u8 opcode;
	unsigned int nr[3][2];
	unsigned int found[3][2];
	struct insn_form forms[3][2][FORMS_MAX];
};

static struct insn_row insn_rows[ROWS_MAX];
static unsigned int insn_rows_nr;
static u16 insn_row_hash[4 * ROWS_MAX];	/* index + 1 */

static const enum x86_mode row_modes[] = { X86_MODE_16, X86_MODE_32, X86_MODE_64 };
static const u8 row_prefix[] = { 0, 0x66, 0xf3, 0xf2 };

static inline unsigned int mode_index(enum x86_mode mode)
{
	return mode == X86_MODE_16 ? 0 : mode == X86_MODE_32 ? 1 : 2;
}

static inline struct insn_row *insn_row_of(const struct x86_insn *insn)
{
	unsigned long key = (unsigned long)insn->row | !!(insn->flags & X86_INSN_VEX);
	unsigned int i = (unsigned int)(key / 8 + key % 8) * 2654435761u >> 20;

	for (;; i++) {
		u16 *h = &insn_row_hash[i % (4 * ROWS_MAX)];

		if (*h && insn_rows[*h - 1].key != key)
			continue;
		if (!*h) {
			if (insn_rows_nr == ROWS_MAX)
				abort();
			insn_rows[insn_rows_nr].key = key;
			insn_rows[insn_rows_nr].name = insn->name;
			*h = ++insn_rows_nr;
		}
		return &insn_rows[*h - 1];
	}
}

static inline unsigned int vex_prefix(u8 *b, const struct insn_form *f, unsigned int rxb,
				      unsigned int vvvv)
{
	unsigned int pp = f->pp == 0x66 ? 1 : f->pp == 0xf3 ? 2 : f->pp == 0xf2 ? 3 : 0;

	if (f->map == 1 && !f->w && !(rxb & 3) && rnd_percent(50)) {
		b[0] = 0xc5;
		b[1] = (rxb & 4 ? 0 : 0x80) | vvvv << 3 | f->l << 2 | pp;
		return 2;
	}
	b[0] = 0xc4;
	b[1] = (~rxb & 7) << 5 | f->map;
	b[2] = f->w << 7 | vvvv << 3 | f->l << 2 | pp;
	return 3;
}

/* Opcode and ModRM byte of @f at @b. */
static inline unsigned int put_opcode(u8 *b, const struct insn_form *f, u8 modrm)
{
	unsigned int n = 0;

	if (!f->vex) {
		if (f->map)
			b[n++] = 0x0f;
		if (f->map > 1)
			b[n++] = f->map == 2 ? 0x38 : 0x3a;
	}
	b[n++] = f->opcode;
	if (f->has_modrm)
		b[n++] = modrm;
	return n;
}

static inline bool try_form(struct insn_form *f, enum x86_mode mode)
{
	unsigned int m = mode_index(mode), r = f->modrm >= 0xc0, n = 0, slot;
	struct insn_row *row;
	struct x86_insn insn;
	u8 b[16] = { 0 };

	f->has_modrm = true;
	if (f->vex) {
		n = vex_prefix(b, f, 0, 15);
	} else {
		if (f->pp)
			b[n++] = f->pp;
		if (f->w)
			b[n++] = 0x48;
	}
	put_opcode(b + n, f, f->modrm);
	if (x86_decode(b, 15, mode, &insn))
		return true;
	f->has_modrm = insn.flags & X86_INSN_MODRM;
	row = insn_row_of(&insn);
	if (!row->op) {
		row->op = insn.op;
		row->map = f->map;
		row->opcode = f->opcode;
	}
	slot = row->nr[m][r] < FORMS_MAX ? row->nr[m][r]++ : rnd_below(row->found[m][r] + 1);
	row->found[m][r]++;
	if (slot < FORMS_MAX)
		row->forms[m][r][slot] = *f;
	return f->has_modrm;
}

static inline bool is_prefix(u8 b, enum x86_mode mode)
{
	return (b & 0xe7) == 0x26 || (b & 0xfc) == 0x64 || b == 0xf0 ||
	       (b & 0xfe) == 0xf2 || (mode == X86_MODE_64 && (b & 0xf0) == 0x40);
}

static inline void try_modrms(struct insn_form *f, enum x86_mode mode)
{
	unsigned int modrm;

	/* Rows tell apart whole bytes, digits, and registers from memory. */
	for (modrm = 0; modrm < 256; modrm += modrm < 0xc0 ? 8 : 1) {
		if (modrm == 0x40)
			modrm = 0xc0;
		f->modrm = modrm;
		if (!try_form(f, mode))
			return;
	}
}

/* All forms of opcode @f->opcode in @f->map, with prefix @f->pp. */
static inline void try_opcode(struct insn_form *f, enum x86_mode mode)
{
	for (f->w = 0; f->w < 2; f->w++) {
		f->vex = false;
		f->l = 0;
		if ((!f->w || mode == X86_MODE_64) && (f->map || !is_prefix(f->opcode, mode)))
			try_modrms(f, mode);
		f->vex = true;
		for (; f->map && f->l < 2; f->l++)
			try_modrms(f, mode);
	}
}

/* Fills insn_rows; call it once. */
static inline void find_rows(void)
{
	struct insn_form f = { .vex = false };
	unsigned int i, op;

	/* Three modes, four prefixes, four maps. */
	for (i = 0; i < 3 * 4 * 4; i++) {
		f.pp = row_prefix[i / 3 % 4];
		f.map = i / 12;
		for (op = 0; op < 256; op++) {
			f.opcode = op;
			try_opcode(&f, row_modes[i % 3]);
		}
	}
}

static inline bool row_has_forms(const struct insn_row *row, unsigned int mode)
{
	return row->nr[mode][0] || row->nr[mode][1];
}

/* 15 bytes that begin, most of the time, with an instruction of @row. */
static inline void random_insn_of(u8 *b, const struct insn_row *row, enum x86_mode mode)
{
	static const u8 prefix[] = {
		0x66, 0x67, 0x67, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0xf2, 0xf3,
	};
	unsigned int m = mode_index(mode), n = 0, i, count, rex;
	bool reg = !row->nr[m][0] || (row->nr[m][1] && rnd_percent(20));
	const struct insn_form *f = &row->forms[m][reg][rnd_below(row->nr[m][reg])];
	bool pp_done = f->vex || !f->pp;
	u8 modrm = f->modrm;
	u64 tail[2] = { rnd(), rnd() };

	memcpy(b, tail, 15);
	count = rnd_percent(1) ? rnd_below(13) : rnd_percent(50) ? rnd_below(4) : 0;
	for (i = 0; i < count; i++) {
		u8 p = RND_PICK(prefix);

		/* What is #UD with VEX, and what changes the row, less often. */
		if ((f->vex && ((p & 0xfe) == 0xf2 || p == 0x66)) ||
		    (!f->vex && f->map && ((p & 0xfe) == 0xf2 || p == 0x66)))
			p = rnd_percent(20) ? p : 0x67;
		if (!pp_done && rnd_percent(30)) {
			b[n++] = f->pp;
			pp_done = true;
		}
		if (rnd_percent(2) && mode == X86_MODE_64)
			p = 0x40 | rnd_below(16);	/* counts for nothing */
		b[n++] = p;
	}
	if (!f->vex && rnd_percent(10))
		b[n++] = 0xf0;
	if (!pp_done)
		b[n++] = f->pp;

	rex = mode == X86_MODE_64 && rnd_percent(60) ? rnd_below(16) : 0;
	if (f->vex) {
		unsigned int vvvv = rnd_percent(90) ? 15 : rnd_below(16);

		/* Elsewhere R and X are LES and LDS. */
		if (mode != X86_MODE_64)
			rex &= 1;
		n += vex_prefix(b + n, f, rex & 7, vvvv);
	} else if (mode == X86_MODE_64 && (rex || f->w || rnd_percent(5))) {
		b[n++] = 0x40 | rex | (f->w ? 8 : 0);
	}
	if (f->has_modrm && modrm < 0xc0)
		modrm |= rnd_below(3) << 6 | (rnd_percent(15) ? 4 : rnd_below(8));
	else if (rnd_percent(50))
		modrm = (modrm & 0xf8) | rnd_below(8);	/* perhaps another row */
	/* At most 12 prefixes and F0 and pp and REX: the rest may not fit. */
	if (n > 10)
		return;
	n += put_opcode(b + n, f, modrm);
	/* RSP as base is special. */
	if (f->has_modrm && modrm < 0xc0 && (modrm & 7) == 4 && rnd_percent(25))
		b[n] = (b[n] & 0xf8) | 4;
}

#endif /* MINIKVM_UNIT_INSN_ROWS_H */
