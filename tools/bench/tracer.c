// SPDX-License-Identifier: GPL-2.0
/*
 * A plugin of QEMU: write down each instruction executed between two marks
 * ("xchg %bx,%bx"), a line "ADDRESS BYTES" each, and a line "mark" for each
 * mark. testvm-trace loads it: -plugin FILE,out=TRACE.
 *
 * Of QEMU's plugin interface, version 3 and later, only what is used is
 * declared here, so that QEMU's header is not needed to build it.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_INSN	15

struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef void (*tb_cb)(uint64_t id, struct qemu_plugin_tb *tb);
typedef void (*insn_cb)(unsigned int cpu, void *data);
typedef void (*exit_cb)(uint64_t id, void *data);

void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, tb_cb cb);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, insn_cb cb,
					    int flags, void *data);
void qemu_plugin_register_atexit_cb(uint64_t id, exit_cb cb, void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t i);
size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *insn, void *to, size_t len);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);

/* For QEMU to find. */
int qemu_plugin_version = 3;
int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv);

/* An instruction as it was translated; these are kept for ever. */
struct insn {
	uint64_t address;
	uint8_t bytes[MAX_INSN];
	uint8_t len;
};

static const uint8_t the_mark[] = { 0x66, 0x87, 0xdb };
static bool on;
static FILE *out;

static void on_mark(unsigned int cpu, void *data)
{
	(void)cpu;
	(void)data;
	on = !on;
	fputs("mark\n", out);
}

static void on_insn(unsigned int cpu, void *data)
{
	const struct insn *insn = data;
	unsigned int i;

	(void)cpu;
	if (!on)
		return;
	fprintf(out, "%lx ", insn->address);
	for (i = 0; i < insn->len; i++)
		fprintf(out, "%02x", insn->bytes[i]);
	fputc('\n', out);
}

static void on_translate(uint64_t id, struct qemu_plugin_tb *tb)
{
	size_t i, n = qemu_plugin_tb_n_insns(tb);

	(void)id;
	for (i = 0; i < n; i++) {
		struct qemu_plugin_insn *it = qemu_plugin_tb_get_insn(tb, i);
		struct insn *insn = calloc(1, sizeof(*insn));

		if (!insn)
			abort();
		insn->address = qemu_plugin_insn_vaddr(it);
		insn->len = qemu_plugin_insn_data(it, insn->bytes, MAX_INSN);
		if (insn->len == sizeof(the_mark) &&
		    memcmp(insn->bytes, the_mark, sizeof(the_mark)) == 0)
			qemu_plugin_register_vcpu_insn_exec_cb(it, on_mark, 0, NULL);
		else
			qemu_plugin_register_vcpu_insn_exec_cb(it, on_insn, 0, insn);
	}
}

static void on_exit_of_qemu(uint64_t id, void *data)
{
	(void)id;
	(void)data;
	fclose(out);
}

int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv)
{
	(void)info;
	if (argc != 1 || strncmp(argv[0], "out=", 4))
		return -1;
	out = fopen(argv[0] + 4, "w");
	if (!out)
		return -1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
	qemu_plugin_register_atexit_cb(id, on_exit_of_qemu, NULL);
	return 0;
}
