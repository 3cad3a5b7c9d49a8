// SPDX-License-Identifier: GPL-2.0
/*
 * The run loop. KVM_RUN lets the guest go until something happens that needs
 * this program; struct kvm_run then says what, the program does its part, and
 * the next KVM_RUN goes on after the instruction that caused it.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "minikvm.h"

/* Set by Ctrl-C; kvm_run is there so that the handler can reach it. */
static volatile sig_atomic_t stopped;
static struct kvm_run *volatile running;

/*
 * on_signal - end the guest
 *
 * A signal ends KVM_RUN with EINTR by itself. When it arrives just before the
 * call, immediate_exit does the same.
 */
static void on_signal(int sig)
{
	(void)sig;
	stopped = 1;
	if (running)
		running->immediate_exit = 1;
}

/* catch_signals - Ctrl-C and kill end the guest in order */
static void catch_signals(struct vm *vm)
{
	struct sigaction action = { .sa_handler = on_signal };

	running = vm->run;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

/* write_all - write the guest's output, all of it; false when it cannot */
static bool write_all(const uint8_t *buf, size_t size)
{
	while (size) {
		ssize_t n = write(STDOUT_FILENO, buf, size);

		if (n < 0 && errno == EINTR && !stopped)
			continue;
		if (n < 0)
			return false;
		buf += n;
		size -= n;
	}
	return true;
}

/*
 * read_port - one value of the machine's ports
 *
 * The serial line is always ready to send (line status 0x60) and has nothing
 * to read. Where no device is, a PC reads ones.
 */
static uint32_t read_port(uint16_t port)
{
	if (port == SERIAL_PORT)
		return 0;
	if (port == SERIAL_PORT + 5)
		return 0x60;
	return ~0u;
}

/*
 * handle_io - the guest executed IN, OUT, INS or OUTS
 *
 * There are io.count values of io.size bytes each; a REP makes count greater
 * than one. For IN, what is stored at data_offset now reaches the guest's
 * register or memory in the next KVM_RUN.
 */
static bool handle_io(struct vm *vm)
{
	struct kvm_run *run = vm->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	uint32_t i;

	if (run->io.direction == KVM_EXIT_IO_IN) {
		for (i = 0; i < run->io.count; i++) {
			uint32_t value = read_port(run->io.port);

			memcpy(data + i * run->io.size, &value, run->io.size);
		}
		return true;
	}
	if (run->io.port != SERIAL_PORT)
		return true;
	/* A serial line takes the lowest byte of what is written to it. */
	for (i = 0; i < run->io.count; i++) {
		if (!write_all(data + i * run->io.size, 1)) {
			fprintf(stderr, "minikvm: cannot write the guest's output: %s\n",
				strerror(errno));
			return false;
		}
	}
	return true;
}

/* run_guest - run until the guest halts or cannot go on */
enum status run_guest(struct vm *vm, const struct options *opt)
{
	unsigned long exits = 0;

	catch_signals(vm);
	for (;;) {
		if (ioctl(vm->vcpu_fd, KVM_RUN, 0) < 0) {
			if (errno == EINTR && !stopped)
				continue;
			if (errno == EINTR) {
				fprintf(stderr, "minikvm: stopped by a signal after %lu exits\n",
					exits);
				print_registers(vm);
				return STATUS_SIGNAL;
			}
			fprintf(stderr, "minikvm: KVM_RUN failed: %s (dmesg may say why)\n",
				strerror(errno));
			print_registers(vm);
			return STATUS_GUEST;
		}

		exits++;
		if (opt->trace_exits)
			print_exit(vm, exits);
		switch (vm->run->exit_reason) {
		case KVM_EXIT_IO:
			if (!handle_io(vm))
				return STATUS_GUEST;
			break;
		case KVM_EXIT_HLT:
			return STATUS_OK;
		case KVM_EXIT_INTR:
			break;
		default:
			explain_end(vm);
			print_registers(vm);
			return STATUS_GUEST;
		}
	}
}
