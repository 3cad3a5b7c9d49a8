// SPDX-License-Identifier: GPL-2.0
/*
 * livetext: what the loaded module's code is, after the kernel has patched it.
 *
 *   livetext symbols                        the symbols that the others need, from /proc/kallsyms
 *   livetext FILE list FUNC                 the events reachable from the start of FUNC
 *   livetext FILE has FUNC EVENT            is there such an event?
 *   livetext FILE after FUNC BARRIER EVENT  is there such an event, and always after a BARRIER?
 *   livetext FILE module EVENT [low]        how many are there in the module's functions? Low: that
 *                                           end in the lower half of a cache line
 *
 * FILE holds the output of "livetext symbols": reading all of /proc/kallsyms takes long. FUNC is
 * a function of minikvm or a label in one. EVENT and BARRIER are patterns as the shell's:
 *
 *   verw  lfence  vmresume  vmlaunch  vmrun  vmload  vmsave  stgi  clgi
 *   wrmsr MSR             with the number that was loaded into ECX, or "?"
 *   rsb_fill N            N calls over an INT3
 *   zero N                N registers cleared, one after another
 *   store SYMBOL          a constant byte to a variable of this CPU
 *   call SYMBOL, jmp SYMBOL
 *   return ret, return SYMBOL     a plain RET, or a jump to a return thunk
 *   thunk SYMBOL          an indirect call or jump through one of the kernel's
 *   indirect              one without
 *
 * Code is followed as the CPU would: what a jump always skips does not count. The bytes come from
 * /proc/kcore. Exit status: 0 yes, 1 no, 2 something went wrong.
 */
#include <elf.h>
#include <err.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MODULE	"minikvm"

/* Of the kernel: what calls, jumps and stores may name. */
static const char *const kernel_names[] = {
	"*_return_thunk", "*untrain_ret", "entry_ibpb", "write_ibpb", "*clear_bhb*",
	"__x86_indirect_*", "x86_ibpb_exit_to_user", "x86_verw_sel",
};

/* --- Symbols --------------------------------------------------------------------------------- */

struct symbol {
	uint64_t address;
	bool module;
	char name[56];
};

static struct symbol *symbols;
static unsigned int nr_symbols;
static uint64_t text_start = UINT64_MAX, text_end;

static bool wanted(const char *name)
{
	unsigned int i;

	for (i = 0; i < sizeof(kernel_names) / sizeof(*kernel_names); i++)
		if (!fnmatch(kernel_names[i], name, 0))
			return true;
	return false;
}

static void write_symbols(void)
{
	FILE *f = fopen("/proc/kallsyms", "r");
	char line[512], *name;

	if (!f)
		err(2, "/proc/kallsyms");
	while (fgets(line, sizeof(line), f)) {
		/* ADDRESS TYPE NAME[\t[MODULE]] */
		if (strlen(line) < 20)
			continue;
		if (strstr(line, "\t[")) {
			if (strstr(line, "[" MODULE "]") && strchr("tT", line[17]))
				fputs(line, stdout);
			continue;
		}
		name = line + 19;
		name[strcspn(name, "\n")] = '\0';
		if (strchr("tTA", line[17]) && wanted(name))
			puts(line);
	}
	fclose(f);
}

static int compare(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	return x->address < y->address ? -1 : x->address > y->address;
}

static void read_symbols(const char *path)
{
	FILE *f = fopen(path, "r");
	struct symbol *s;
	char line[512];

	if (!f)
		err(2, "%s", path);
	while (fgets(line, sizeof(line), f)) {
		symbols = realloc(symbols, (nr_symbols + 1) * sizeof(*symbols));
		if (!symbols)
			err(2, "realloc");
		s = &symbols[nr_symbols];
		if (sscanf(line, "%lx %*c %55s", &s->address, s->name) != 2)
			continue;
		s->module = strstr(line, "[" MODULE "]");
		nr_symbols++;
		if (!s->module)
			continue;
		if (s->address < text_start)
			text_start = s->address;
		if (s->address > text_end)
			text_end = s->address;
	}
	fclose(f);
	if (text_start > text_end || !text_start)
		errx(2, "%s: no symbols of " MODULE " with addresses", path);
	/* The last one's end is not known. */
	text_end += 4096;
	qsort(symbols, nr_symbols, sizeof(*symbols), compare);
}

/* The symbol that is at this address. */
static const struct symbol *symbol_at(uint64_t address)
{
	const struct symbol key = { .address = address };

	return bsearch(&key, symbols, nr_symbols, sizeof(key), compare);
}

static uint64_t address_of(const char *name)
{
	unsigned int i;

	for (i = 0; i < nr_symbols; i++)
		if (symbols[i].module && !strcmp(symbols[i].name, name))
			return symbols[i].address;
	errx(2, "%s is no function of " MODULE, name);
}

/* --- Bytes ------------------------------------------------------------------------------------- */

static uint8_t *text;

static void read_text(void)
{
	int fd = open("/proc/kcore", O_RDONLY);
	size_t size = text_end - text_start;
	Elf64_Phdr phdr;
	Elf64_Ehdr ehdr;
	unsigned int i;

	if (fd < 0 || pread(fd, &ehdr, sizeof(ehdr), 0) != sizeof(ehdr))
		err(2, "/proc/kcore");
	text = calloc(1, size + 32);
	if (!text)
		err(2, "calloc");
	for (i = 0; i < ehdr.e_phnum; i++) {
		ssize_t got;

		if (pread(fd, &phdr, sizeof(phdr), ehdr.e_phoff + i * sizeof(phdr)) != sizeof(phdr))
			err(2, "/proc/kcore: program headers");
		if (phdr.p_type != PT_LOAD || text_start < phdr.p_vaddr ||
		    text_start - phdr.p_vaddr >= phdr.p_memsz)
			continue;
		got = pread(fd, text, size, phdr.p_offset + (text_start - phdr.p_vaddr));
		/* Behind the module nothing may be mapped. */
		if (got < (ssize_t)(size - 4096))
			err(2, "/proc/kcore: %zd bytes of the module's %zu", got, size);
		close(fd);
		return;
	}
	errx(2, "/proc/kcore has nothing at %#lx", text_start);
}

static const uint8_t *bytes_at(uint64_t address)
{
	return address >= text_start && address < text_end ? text + (address - text_start) : NULL;
}

static int32_t read32(const uint8_t *p)
{
	int32_t value;

	memcpy(&value, p, sizeof(value));
	return value;
}

/* --- Instructions ------------------------------------------------------------------------------- */

/* Where control goes after an instruction. */
enum flow { ON, BRANCH, JUMP, STOP };

struct insn {
	unsigned int length;
	enum flow flow;
	uint64_t target;	/* of BRANCH and JUMP */
	char event[80];		/* empty: none */
};

/* Has the opcode a ModRM byte; how many bytes of immediate operand? */
static bool one_byte(uint8_t op, uint8_t modrm, bool wide, bool opsize, unsigned int *imm)
{
	unsigned int z = opsize ? 2 : 4;

	*imm = 0;
	if (op < 0x40) {
		*imm = (op & 7) == 4 ? 1 : (op & 7) == 5 ? z : 0;
		return (op & 7) < 4;
	}
	switch (op) {
	case 0x68: case 0xa9: case 0xe8: case 0xe9:
		*imm = z;
		return false;
	case 0x6a: case 0x70 ... 0x7f: case 0xa8: case 0xb0 ... 0xb7: case 0xcd: case 0xe0 ... 0xe7: case 0xeb:
		*imm = 1;
		return false;
	case 0xa0 ... 0xa3:
		*imm = 8;
		return false;
	case 0xb8 ... 0xbf:
		*imm = wide ? 8 : z;
		return false;
	case 0xc2:
		*imm = 2;
		return false;
	case 0x69: case 0x81: case 0xc7:
		*imm = z;
		return true;
	case 0x6b: case 0x80: case 0x83: case 0xc0: case 0xc1: case 0xc6:
		*imm = 1;
		return true;
	case 0xf6: case 0xf7:
		if ((modrm >> 3 & 7) < 2)
			*imm = op & 1 ? z : 1;
		return true;
	case 0x63: case 0x84 ... 0x8f: case 0xd0 ... 0xd3: case 0xd8 ... 0xdf: case 0xfe: case 0xff:
		return true;
	default:
		return false;
	}
}

static bool two_byte(uint8_t op, unsigned int *imm)
{
	*imm = 0;
	switch (op) {
	case 0x80 ... 0x8f:
		*imm = 4;
		return false;
	case 0x05 ... 0x09: case 0x0b: case 0x30 ... 0x37: case 0x77: case 0xa0 ... 0xa2: case 0xa8 ... 0xaa:
	case 0xc8 ... 0xcf:
		return false;
	case 0x70 ... 0x73: case 0xa4: case 0xac: case 0xba: case 0xc2: case 0xc4 ... 0xc6:
		*imm = 1;
		return true;
	default:
		return true;
	}
}

static unsigned int modrm_length(const uint8_t *p)
{
	unsigned int mod = *p >> 6, rm = *p & 7, length = 1;

	if (mod == 3)
		return 1;
	if (rm == 4) {
		length = 2;
		if (mod == 0 && (p[1] & 7) == 5)
			return 6;
	} else if (mod == 0 && rm == 5) {
		return 5;
	}
	return length + (mod == 1 ? 1 : mod == 2 ? 4 : 0);
}

/* A call over an INT3, which leaves its return address where the RET that is never executed would look. */
static const uint8_t slot[] = { 0xe8, 1, 0, 0, 0, 0xcc };

/* The return-stack buffer filled: in a loop, two at a time, or once. */
static bool decode_rsb_fill(const uint8_t *p, struct insn *insn)
{
	static const uint8_t one[] = { 0x48, 0x83, 0xc4, 0x08 };	/* add $8, %rsp */
	static const uint8_t two[] = { 0x48, 0x83, 0xc4, 0x10 };	/* add $16, %rsp */
	/* mov $N, %reg; 2 slots; add; dec %reg; jnz */
	const unsigned int loop = 7 + 2 * sizeof(slot) + sizeof(two);

	if (!memcmp(p, slot, sizeof(slot)) && !memcmp(p + sizeof(slot), one, sizeof(one))) {
		insn->length = sizeof(slot) + sizeof(one);
		strcpy(insn->event, "rsb_fill 1");
		return true;
	}
	if (p[0] != 0x48 || p[1] != 0xc7 || (p[2] & 0xf8) != 0xc0 || memcmp(p + 7, slot, sizeof(slot)) ||
	    memcmp(p + 7 + sizeof(slot), slot, sizeof(slot)) ||
	    memcmp(p + 7 + 2 * sizeof(slot), two, sizeof(two)))
		return false;
	if (p[loop] != 0x48 || p[loop + 1] != 0xff || p[loop + 2] != (p[2] | 8) || p[loop + 3] != 0x75 ||
	    (int8_t)p[loop + 4] != 7 - (int)(loop + 5))
		return false;
	insn->length = loop + 5;
	sprintf(insn->event, "rsb_fill %d", 2 * read32(p + 3));
	return true;
}

/* XOR of registers with themselves, at least two. */
static bool decode_zero(const uint8_t *start, struct insn *insn)
{
	const uint8_t *p = start;
	unsigned int seen = 0;

	for (;;) {
		unsigned int rex = p[0] == 0x45 ? 1 : 0;

		if (p[rex] != 0x31 || p[rex + 1] >> 6 != 3 || (p[rex + 1] >> 3 & 7) != (p[rex + 1] & 7))
			break;
		seen |= 1u << (8 * rex + (p[rex + 1] & 7));
		p += rex + 2;
	}
	if (__builtin_popcount(seen) < 2)
		return false;
	insn->length = p - start;
	sprintf(insn->event, "zero %d", __builtin_popcount(seen));
	return true;
}

static const char *vm_instruction(uint8_t modrm)
{
	switch (modrm) {
	case 0xc2: return "vmlaunch";
	case 0xc3: return "vmresume";
	case 0xd8: return "vmrun";
	case 0xda: return "vmload";
	case 0xdb: return "vmsave";
	case 0xdc: return "stgi";
	case 0xdd: return "clgi";
	default: return "";
	}
}

/* CALL (what) or JMP to another function; a jump within this one is followed. */
static void transfer(struct insn *insn, const char *what, uint64_t target)
{
	const struct symbol *s = symbol_at(target);
	bool call = !strcmp(what, "call");

	if (!call && bytes_at(target) && (!s || strstr(s->name, ".cold"))) {
		insn->flow = JUMP;
		insn->target = target;
		return;
	}
	insn->flow = call ? ON : STOP;
	if (!s) {
		sprintf(insn->event, "%s %#lx", what, target);
		return;
	}
	if (!fnmatch("__x86_indirect_*", s->name, 0))
		what = "thunk";
	else if (!call && !fnmatch("*_return_thunk", s->name, 0))
		what = "return";
	sprintf(insn->event, "%s %s", what, s->name);
}

/* @ecx: what the code has put there, -1 if that is not known. */
static void decode(uint64_t address, int64_t *ecx, struct insn *insn)
{
	const uint8_t *start = bytes_at(address), *p = start, *modrm;
	bool wide = false, opsize = false, gs = false, has_modrm, two = false;
	unsigned int imm;
	uint64_t next;
	uint8_t op;

	*insn = (struct insn){ .flow = ON };
	if (decode_rsb_fill(p, insn))
		return;
	if (decode_zero(p, insn)) {
		*ecx = -1;
		return;
	}
	for (;; p++) {
		if (*p == 0x66)
			opsize = true;
		else if (*p == 0x65)
			gs = true;
		else if (*p != 0x2e && *p != 0x3e && *p != 0x64 && *p != 0xf0 && *p != 0xf2 && *p != 0xf3)
			break;
	}
	/* In 64-bit code C4 and C5 are VEX prefixes. The module has moves there: map 1, no immediate. */
	if (*p == 0xc4 || *p == 0xc5) {
		p += *p == 0xc4 ? 4 : 3;
		insn->length = p - start + modrm_length(p);
		return;
	}
	if ((*p & 0xf0) == 0x40)
		wide = *p++ & 8;
	op = *p++;
	if (op == 0x0f) {
		two = true;
		op = *p++;
		imm = op == 0x3a;
		has_modrm = true;
		if (op == 0x38 || op == 0x3a)
			p++;
		else
			has_modrm = two_byte(op, &imm);
	} else {
		has_modrm = one_byte(op, *p, wide, opsize, &imm);
	}
	modrm = p;
	insn->length = p - start + (has_modrm ? modrm_length(p) : 0) + imm;
	next = address + insn->length;

	if (two) {
		if (op == 0x00 && (*modrm >> 3 & 7) == 5 && *modrm >> 6 != 3) {
			strcpy(insn->event, "verw");
		} else if (op == 0x01) {
			strcpy(insn->event, vm_instruction(*modrm));
		} else if (op == 0x30) {
			if (*ecx < 0)
				strcpy(insn->event, "wrmsr ?");
			else
				sprintf(insn->event, "wrmsr %#lx", *ecx);
		} else if (op == 0xae && *modrm == 0xe8) {
			strcpy(insn->event, "lfence");
		} else if (op >= 0x80 && op <= 0x8f) {
			insn->flow = BRANCH;
			insn->target = next + read32(p);
		}
		return;
	}
	switch (op) {
	case 0x70 ... 0x7f: case 0xe0 ... 0xe3:
		insn->flow = BRANCH;
		insn->target = next + (int8_t)*p;
		break;
	case 0xb9:
		*ecx = (uint32_t)read32(p);
		break;
	case 0xc2: case 0xc3:
		insn->flow = STOP;
		strcpy(insn->event, "return ret");
		break;
	case 0xc6:
		if (gs && (*modrm == 0x05 || (*modrm == 0x04 && modrm[1] == 0x25))) {
			const struct symbol *s = symbol_at(*modrm == 5 ? next + read32(modrm + 1) :
								  (uint64_t)read32(modrm + 2));

			if (s)
				sprintf(insn->event, "store %s", s->name);
		}
		break;
	case 0xcc:
		insn->flow = STOP;
		break;
	case 0xe8:
		*ecx = -1;
		transfer(insn, "call", next + read32(p));
		break;
	case 0xe9:
		transfer(insn, "jmp", next + read32(p));
		break;
	case 0xeb:
		transfer(insn, "jmp", next + (int8_t)*p);
		break;
	case 0xff:
		if ((*modrm >> 3 & 7) != 2 && (*modrm >> 3 & 7) != 4)
			break;
		strcpy(insn->event, "indirect");
		if ((*modrm >> 3 & 7) == 4)
			insn->flow = STOP;
		*ecx = -1;
		break;
	}
}

/* --- Following the code -------------------------------------------------------------------------- */

static bool *seen;
/* What walk() does at each event. Return: go on behind it? */
typedef bool (*visit_t)(uint64_t address, const struct insn *insn);

static void walk(uint64_t address, int64_t ecx, visit_t visit)
{
	struct insn insn;

	while (bytes_at(address) && !seen[address - text_start]) {
		seen[address - text_start] = true;
		decode(address, &ecx, &insn);
		if (*insn.event && !visit(address, &insn))
			return;
		if (insn.flow == STOP)
			return;
		if (insn.flow == BRANCH)
			walk(insn.target, ecx, visit);
		address = insn.flow == JUMP ? insn.target : address + insn.length;
		/* Behind a call that does not return another function may begin. */
		if (insn.flow != JUMP && symbol_at(address))
			return;
	}
}

static void start_walk(const char *name, visit_t visit)
{
	memset(seen, 0, text_end - text_start);
	walk(address_of(name), -1, visit);
}

static const char *wanted_event, *barrier;
static unsigned int count;
static bool only_low;

static bool visit_list(uint64_t address, const struct insn *insn)
{
	(void)address;
	printf("%s\n", insn->event);
	return true;
}

static bool visit_count(uint64_t address, const struct insn *insn)
{
	if (only_low && (address + insn->length - 1) & 32)
		return true;
	count += !fnmatch(wanted_event, insn->event, 0);
	return true;
}

/* What is behind the barrier does not matter. */
static bool visit_before(uint64_t address, const struct insn *insn)
{
	if (!fnmatch(barrier, insn->event, 0))
		return false;
	if (!fnmatch(wanted_event, insn->event, 0)) {
		printf("# %s before any %s, at %#lx\n", insn->event, barrier, address);
		count++;
	}
	return true;
}

static int has(const char *name, const char *event)
{
	wanted_event = event;
	count = 0;
	start_walk(name, visit_count);
	return count ? 0 : 1;
}

static int after(const char *name, const char *before, const char *event)
{
	if (has(name, event)) {
		printf("# no %s in %s\n", event, name);
		return 1;
	}
	barrier = before;
	count = 0;
	start_walk(name, visit_before);
	return count ? 1 : 0;
}

static void count_in_module(const char *event)
{
	unsigned int i;

	wanted_event = event;
	memset(seen, 0, text_end - text_start);
	for (i = 0; i < nr_symbols; i++)
		if (symbols[i].module)
			walk(symbols[i].address, -1, visit_count);
	printf("%u\n", count);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "symbols")) {
		write_symbols();
		return 0;
	}
	if (argc < 4)
		errx(2, "arguments: see the head of livetext.c");
	read_symbols(argv[1]);
	read_text();
	seen = calloc(1, text_end - text_start);
	if (!seen)
		err(2, "calloc");
	if (argc == 4 && !strcmp(argv[2], "list")) {
		start_walk(argv[3], visit_list);
		return 0;
	}
	if ((argc == 4 || argc == 5) && !strcmp(argv[2], "module")) {
		only_low = argc == 5;
		count_in_module(argv[3]);
		return 0;
	}
	if (argc == 5 && !strcmp(argv[2], "has"))
		return has(argv[3], argv[4]);
	if (argc == 6 && !strcmp(argv[2], "after"))
		return after(argv[3], argv[4], argv[5]);
	errx(2, "arguments: see the head of livetext.c");
}
