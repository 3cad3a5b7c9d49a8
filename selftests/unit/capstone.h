/* SPDX-License-Identifier: GPL-2.0 */
/* Capstone as a second opinion on instructions: text as insn_text() writes it. */
#ifndef MINIKVM_UNIT_CAPSTONE_H
#define MINIKVM_UNIT_CAPSTONE_H

#include <stdbool.h>

#include "text.h"

/**
 * struct capstone_insn - what it makes of some bytes
 * @len: 0 when it calls them invalid
 * @covered: x86_decode() has rows for an instruction of this name
 * @text: as insn_text()
 */
struct capstone_insn {
	unsigned int len;
	bool covered;
	struct text text;
};

int capstone_open(unsigned int code_size);
void capstone_close(void);
void capstone_decode(const unsigned char *bytes, unsigned int n,
		     struct capstone_insn *res);

#endif /* MINIKVM_UNIT_CAPSTONE_H */
