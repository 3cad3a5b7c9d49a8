// SPDX-License-Identifier: GPL-2.0
/*
 * What the boots of the module's lifecycle need besides a shell.
 *
 * lifecycle insmod FILE [PARAMETERS]
 *                              load a module; the exit status is its errno
 * lifecycle rmmod NAME         unload one without waiting; the same
 * lifecycle run [COUNT]        run COUNT guests (default 1) to their end
 * lifecycle spin FILE          run a guest until SIGTERM; FILE holds the number
 *                              of rounds it has done, written every so often
 * lifecycle hold dev|vm|vcpu   open that and sleep
 * lifecycle migrate COUNT      run a guest, moving its thread between all CPUs
 * lifecycle boots              print how often this machine has started a kernel that asked
 * lifecycle kexec next|crash KERNEL INITRD COMMANDLINE
 *                              prepare another kernel; "reboot kexec" or a panic starts it
 * lifecycle reboot kexec|restart
 *                              at once, whatever runs
 * lifecycle cycles COUNT FILE  COUNT times: load the module in FILE, run a
 *                              guest, kill its process, unload
 *
 * The device is $MINIKVM_DEVICE, or /dev/minikvm.
 */
#include <pthread.h>
#include <sched.h>
#include <linux/reboot.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/io.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "lifecycle/lifecycle.h"
#include "machine.h"

/*
 * Counts in ECX, tells the count every 256 rounds: whoever interrupts, moves or
 * stops it must leave it whole.
 */
GUEST(guest_count,
      "1: inc %ecx\n"
      "test %cl, %cl\n"
      "jnz 1b\n"
      "mov %ecx, %eax\n"
      "out %eax, $0x10\n"
      "cmp %ecx, %eax\n"
      "je 1b\n"
      "ud2\n");
GUEST(guest_hello,
      "mov $0x42, %al\n"
      "out %al, $0x10\n"
      "1: hlt\n"
      "jmp 1b\n");

static int module_load(const char *path, const char *parameters)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), ret;

	if (fd < 0)
		return errno;
	ret = syscall(SYS_finit_module, fd, parameters, 0) ? errno : 0;
	close(fd);
	return ret;
}

static int module_unload(const char *name)
{
	return syscall(SYS_delete_module, name, O_NONBLOCK) ? errno : 0;
}

int say(const char *what, int error)
{
	printf("# %s: %s\n", what, error ? strerror(error) : "ok");
	return error;
}

/* Bytes of the clock's memory that firmware leaves alone: they outlive a kernel. */
enum { CMOS_INDEX = 0x70, CMOS_DATA = 0x71, CMOS_COUNT = 0x70, CMOS_CHECK = 0x71 };

static uint8_t cmos_read(uint8_t where)
{
	outb(where, CMOS_INDEX);
	return inb(CMOS_DATA);
}

static void cmos_write(uint8_t where, uint8_t value)
{
	outb(where, CMOS_INDEX);
	outb(value, CMOS_DATA);
}

static int boots(void)
{
	uint8_t count;

	if (ioperm(CMOS_INDEX, 2, 1))
		return say("ioperm", errno), 1;
	count = cmos_read(CMOS_COUNT);
	if (cmos_read(CMOS_CHECK) != (uint8_t)~count)
		count = 0;
	count++;
	cmos_write(CMOS_COUNT, count);
	cmos_write(CMOS_CHECK, ~count);
	printf("%u\n", count);
	return 0;
}

static int restart(bool kexec)
{
	syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2,
		kexec ? LINUX_REBOOT_CMD_KEXEC : LINUX_REBOOT_CMD_RESTART, NULL);
	return say("reboot", errno), 1;
}

/* A guest that says a byte and halts. */
static int run_once(void)
{
	struct machine m;
	const char *step = machine_init(&m);
	int ret = 1;

	if (step)
		return say(step, errno), 1;
	GUEST_LOAD(&m, guest_hello);
	if (machine_run(&m) || m.run->exit_reason != KVM_EXIT_IO || *machine_io_data(&m) != 0x42)
		printf("# no byte: exit %u\n", m.run->exit_reason);
	else if (machine_run(&m) || m.run->exit_reason != KVM_EXIT_HLT)
		printf("# no halt: exit %u\n", m.run->exit_reason);
	else
		ret = 0;
	machine_destroy(&m);
	return ret;
}

static volatile bool stop;

static void on_stop(int sig)
{
	stop = true;
}

/*
 * Run the counting guest until told to stop or for @limit rounds.
 * Return: rounds; 0 when anything was wrong.
 */
static unsigned long count_rounds(const char *path, unsigned long limit)
{
	struct machine m;
	const char *step = machine_init(&m);
	unsigned long rounds = 0;

	if (step)
		return say(step, errno), 0;
	GUEST_LOAD(&m, guest_count);
	while (!stop && rounds < limit) {
		long ret = machine_run(&m);

		if (ret == -EINTR)
			continue;
		if (ret || m.run->exit_reason != KVM_EXIT_IO ||
		    *(uint32_t *)machine_io_data(&m) != (uint32_t)(rounds + 1) * 256) {
			printf("# round %lu: KVM_RUN %ld, exit %u, count %u\n", rounds, ret,
			       m.run->exit_reason, *(uint32_t *)machine_io_data(&m));
			return 0;
		}
		rounds++;
		if (path && (rounds & 0x3f) == 1) {
			char text[24];
			int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
			int len = snprintf(text, sizeof(text), "%lu\n", rounds);

			if (fd < 0 || write(fd, text, len) != len)
				return say(path, errno), 0;
			close(fd);
		}
	}
	machine_destroy(&m);
	return rounds;
}

static int spin(const char *path)
{
	struct sigaction sa = { .sa_handler = on_stop };
	unsigned long rounds;

	sigaction(SIGTERM, &sa, NULL);
	rounds = count_rounds(path, ~0UL);
	printf("# %lu rounds\n", rounds);
	return !rounds;
}

static int hold(const char *what)
{
	struct machine m;
	const char *step = machine_init(&m);

	if (step)
		return say(step, errno), 1;
	munmap(m.run, m.run_size);
	if (strcmp(what, "vcpu"))
		close(m.vcpu);
	if (strcmp(what, "vm"))
		close(m.vm);
	if (strcmp(what, "dev"))
		close(m.dev);
	pause();
	return 0;
}

static void *count_thread(void *arg)
{
	*(unsigned long *)arg = count_rounds(NULL, ~0UL);
	return NULL;
}

static int migrate(unsigned long count)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned long i, rounds = 0;
	pthread_t t;

	if (pthread_create(&t, NULL, count_thread, &rounds))
		return 1;
	for (i = 0; i < count; i++) {
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET(i % cpus, &set);
		if (pthread_setaffinity_np(t, sizeof(set), &set))
			return say("affinity", errno), 1;
		sleep_ms(1);
	}
	stop = true;
	pthread_join(t, NULL);
	printf("# %lu rounds on %ld CPUs, %lu moves\n", rounds, cpus, count);
	return !rounds;
}

/* The child of a cycle: say that the guest runs, then never stop. */
static void cycle_child(int pipe_fd)
{
	struct machine m;
	const char *step = machine_init(&m);

	if (step)
		_exit(1);
	GUEST_LOAD(&m, guest_count);
	if (machine_run(&m) || m.run->exit_reason != KVM_EXIT_IO || write(pipe_fd, "r", 1) != 1)
		_exit(2);
	for (;;)
		machine_run(&m);
}

static int cycle(const char *file, unsigned long i)
{
	int fds[2], status, ret;
	pid_t pid;
	char c;

	ret = module_load(file, "");
	if (ret)
		return say("load", ret), 1;
	if (pipe(fds))
		return say("pipe", errno), 1;
	pid = fork();
	if (!pid) {
		close(fds[0]);
		cycle_child(fds[1]);
	}
	close(fds[1]);
	ret = read(fds[0], &c, 1) != 1;
	close(fds[0]);
	/* At a moment that is never the same. */
	if (i % 4)
		usleep(i * 37 % 1500);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	if (ret)
		return printf("# no guest ran: status %#x\n", status), 1;
	/* Every file of the dead process is closed: nothing is in the way. */
	ret = module_unload("minikvm");
	return ret ? say("unload", ret), 1 : 0;
}

static int cycles(unsigned long count, const char *file)
{
	unsigned long i;

	for (i = 0; i < count; i++) {
		if (cycle(file, i)) {
			printf("# in cycle %lu\n", i);
			return 1;
		}
	}
	printf("# %lu cycles\n", i);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	const char *arg = argc > 2 ? argv[2] : NULL;
	unsigned long i;

	setlinebuf(stdout);
	if (!strcmp(what, "insmod") && arg)
		return say(arg, module_load(arg, argc > 3 ? argv[3] : ""));
	if (!strcmp(what, "rmmod") && arg)
		return say(arg, module_unload(arg));
	if (!strcmp(what, "run")) {
		for (i = arg ? strtoul(arg, NULL, 0) : 1; i; i--)
			if (run_once())
				return 1;
		return 0;
	}
	if (!strcmp(what, "spin") && arg)
		return spin(arg);
	if (!strcmp(what, "hold") && arg)
		return hold(arg);
	if (!strcmp(what, "migrate") && arg)
		return migrate(strtoul(arg, NULL, 0));
	if (!strcmp(what, "boots"))
		return boots();
	if (!strcmp(what, "kexec") && argc > 5)
		return kexec_prepare(!strcmp(arg, "crash"), argv[3], argv[4], argv[5]);
	if (!strcmp(what, "reboot") && arg)
		return restart(!strcmp(arg, "kexec"));
	if (!strcmp(what, "cycles") && argc > 3)
		return cycles(strtoul(arg, NULL, 0), argv[3]);
	fprintf(stderr, "usage: lifecycle insmod|rmmod|run|spin|hold|migrate|boots|kexec|reboot|cycles ...\n");
	return 2;
}
