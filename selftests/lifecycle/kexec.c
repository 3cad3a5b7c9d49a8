// SPDX-License-Identifier: GPL-2.0
/*
 * Another kernel for this machine, by kexec_load(2).
 *
 * kexec_file_load(2) would do most of this, but has a digest of all of the kernel's memory made
 * when it is loaded, and checked when it is started: minutes where instructions are interpreted.
 *
 * The kernel is entered at its 64-bit entry point as "The 64-bit Linux Boot Protocol" in the
 * kernel's Documentation/x86/boot.rst has it.
 */
#include <asm/bootparam.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kexec.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lifecycle.h"

/* struct setup_header in the file, and the 64-bit entry point from the start of the kernel. */
enum { SETUP_HEADER = 0x1f1, ENTRY64 = 0x200 };

/* From the start of the memory that the kernel gets; the kernel wants 2 MiB boundaries. */
enum {
	STUB = 0x800000,
	PARAMETERS = 0x801000,
	COMMAND_LINE = 0x802000,
	KERNEL = 0x1000000,
	INITRD = 0x8000000,
};

#define PAGE 4096ul
#define NORMAL_BASE 0x2000000ul
#define LOW_MEMORY 0x100000ul

struct file {
	uint8_t *data;
	size_t size;
};

static bool file_map(const char *path, struct file *file)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return false;
	file->size = st.st_size;
	file->data = mmap(NULL, file->size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	return file->data != MAP_FAILED;
}

/* One line of a file of sysfs, without its end. */
static bool line_of(const char *directory, int number, const char *name, char *line, int size)
{
	char path[128];
	bool ok;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%d/%s", directory, number, name);
	f = fopen(path, "r");
	if (!f)
		return false;
	ok = fgets(line, size, f);
	fclose(f);
	line[strcspn(line, "\n")] = 0;
	return ok;
}

static void add_range(struct boot_params *params, uint64_t start, uint64_t end, uint32_t type)
{
	params->e820_table[params->e820_entries++] = (struct boot_e820_entry){
		.addr = start, .size = end - start, .type = type };
}

/* The machine's memory; of that of a crash kernel only its own and the lowest is free. */
static void add_memory(struct boot_params *params, uint64_t crash_start, uint64_t crash_end)
{
	static const struct {
		const char *name;
		uint32_t type;
	} types[] = {
		{ "System RAM", 1 },
		{ "ACPI Tables", 3 },
		{ "ACPI Non-volatile Storage", 4 },
		{ "Unusable memory", 5 },
	};
	static const char memmap[] = "/sys/firmware/memmap";
	char start[32], end[32], name[64];
	unsigned int t;
	int i;

	for (i = 0; i < E820_MAX_ENTRIES_ZEROPAGE - 1 &&
	     line_of(memmap, i, "start", start, sizeof(start)) &&
	     line_of(memmap, i, "end", end, sizeof(end)) &&
	     line_of(memmap, i, "type", name, sizeof(name)); i++) {
		uint64_t from = strtoull(start, NULL, 0), to = strtoull(end, NULL, 0) + 1;
		uint32_t type = 2;	/* reserved */

		for (t = 0; t < ARRAY_LEN(types); t++)
			if (!strcmp(name, types[t].name))
				type = types[t].type;
		if (type != 1 || !crash_end || to <= LOW_MEMORY)
			add_range(params, from, to, type);
	}
	if (crash_end)
		add_range(params, crash_start, crash_end, 1);
}

/* What crashkernel= on the command line has set aside. */
static bool crash_memory(uint64_t *start, uint64_t *end)
{
	FILE *f = fopen("/proc/iomem", "r");
	char line[128];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = strstr(line, ": Crash kernel") &&
			sscanf(line, " %lx-%lx", start, end) == 2;
	if (f)
		fclose(f);
	*end += found;
	return found;
}

static struct kexec_segment segment(const void *data, size_t size, uint64_t where)
{
	return (struct kexec_segment){ .buf = data, .bufsz = size, .mem = (void *)where,
				       .memsz = (size + PAGE - 1) & ~(PAGE - 1) };
}

/**
 * kexec_prepare() - make another kernel ready
 * @crash: for a panic; else for reboot(LINUX_REBOOT_CMD_KEXEC)
 * @kernel: its bzImage
 * @initrd: its initial RAM disk
 * @command_line: its command line
 * Return: 0, or 1 after saying what was wrong.
 */
int kexec_prepare(bool crash, const char *kernel, const char *initrd, const char *command_line)
{
	static struct boot_params params;
	/* movabs $PARAMETERS, %rsi; movabs $entry, %rax; jmp *%rax */
	static uint8_t stub[] = { 0x48, 0xbe, 0, 0, 0, 0, 0, 0, 0, 0,
				  0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xe0 };
	uint64_t base = NORMAL_BASE, end = 0, address, setup;
	struct kexec_segment segments[5];
	struct file image, disk;

	if (crash && !crash_memory(&base, &end))
		return say("memory for a crash kernel", ENOMEM), 1;
	if (!file_map(kernel, &image) || !file_map(initrd, &disk))
		return say("files", errno), 1;
	/* "Details of Header Fields": the header ends where the jump at 0x200 goes. */
	memcpy(&params.hdr, image.data + SETUP_HEADER, 0x202 + image.data[0x201] - SETUP_HEADER);
	if (params.hdr.header != 0x53726448 || !(params.hdr.xloadflags & XLF_KERNEL_64))
		return say(kernel, ENOEXEC), 1;
	setup = (params.hdr.setup_sects + 1) * 512;
	if (disk.size > UINT32_MAX || (crash && base + INITRD + disk.size > end))
		return say("memory for a kernel", ENOMEM), 1;

	params.hdr.type_of_loader = 0xff;
	params.hdr.cmd_line_ptr = base + COMMAND_LINE;
	params.hdr.ramdisk_image = base + INITRD;
	params.hdr.ramdisk_size = disk.size;
	add_memory(&params, base, end);

	address = base + PARAMETERS;
	memcpy(stub + 2, &address, sizeof(address));
	address = base + KERNEL + ENTRY64;
	memcpy(stub + 12, &address, sizeof(address));

	segments[0] = segment(stub, sizeof(stub), base + STUB);
	segments[1] = segment(&params, sizeof(params), base + PARAMETERS);
	segments[2] = segment(command_line, strlen(command_line) + 1, base + COMMAND_LINE);
	segments[3] = segment(image.data + setup, image.size - setup, base + KERNEL);
	segments[4] = segment(disk.data, disk.size, base + INITRD);
	if (syscall(SYS_kexec_load, base + STUB, ARRAY_LEN(segments), segments,
		    KEXEC_ARCH_DEFAULT | (crash ? KEXEC_ON_CRASH : 0)))
		return say("kexec_load", errno), 1;
	return 0;
}
