// SPDX-License-Identifier: GPL-2.0-only
/*
 * tvout - carry output from the test machine to the computer that emulates it.
 *
 *	tvout CHANNEL TAG [COMMAND [ARGUMENT...]]
 *
 * Without COMMAND, copies standard input. With COMMAND, runs it, copies what it
 * writes to standard output and standard error, and then sends its exit status
 * as a record of tag 's'.
 *
 * A record is: tag (1 byte), length (2 bytes, low byte first), data.
 *
 * CHANNEL is "parport" for the printer port of the emulated PC, or else a file
 * or terminal. The printer port is by far the cheapest way out of Bochs: three
 * port writes a byte and no waiting, where a serial port spends the simulated
 * time of 8,700 instructions a byte.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

enum { LPT_DATA = 0x378, LPT_CONTROL = 0x37a };
enum { LPT_SELECT_INIT = 0x0c, LPT_STROBE = 0x01 };

static int channel = -1;	/* -1: the printer port */

static void fail(const char *what)
{
	perror(what);
	exit(125);
}

static void open_channel(const char *name)
{
	struct termios raw;

	if (!strcmp(name, "parport")) {
		if (ioperm(LPT_DATA, 3, 1))
			fail("tvout: ioperm");
		return;
	}
	channel = open(name, O_WRONLY | O_NOCTTY);
	if (channel < 0)
		fail(name);
	if (!tcgetattr(channel, &raw)) {
		cfmakeraw(&raw);
		tcsetattr(channel, TCSANOW, &raw);
	}
}

static void send_bytes(const unsigned char *data, size_t length)
{
	if (channel >= 0) {
		while (length) {
			ssize_t n = write(channel, data, length);

			if (n < 0 && errno != EINTR)
				fail("tvout: write");
			if (n > 0) {
				data += n;
				length -= n;
			}
		}
		return;
	}
	while (length--) {
		outb(*data++, LPT_DATA);
		outb(LPT_SELECT_INIT | LPT_STROBE, LPT_CONTROL);
		outb(LPT_SELECT_INIT, LPT_CONTROL);
	}
}

static void send_record(char tag, const void *data, size_t length)
{
	unsigned char head[3] = { tag, length & 0xff, length >> 8 };

	send_bytes(head, sizeof(head));
	send_bytes(data, length);
}

/* Forward what is there; returns 0 at the end of the input, -1 when nothing is there. */
static int forward(int from, char tag)
{
	static char buffer[16384];
	ssize_t n = read(from, buffer, sizeof(buffer));

	if (n > 0)
		send_record(tag, buffer, n);
	if (n < 0)
		return errno == EINTR ? 1 : -1;
	return n > 0;
}

static void run(char tag, char **command)
{
	int pipefd[2], status;
	struct pollfd polls[2];
	char text[16];
	pid_t child;

	if (pipe2(pipefd, O_CLOEXEC))
		fail("tvout: pipe");
	child = fork();
	if (child < 0)
		fail("tvout: fork");
	if (!child) {
		setsid();
		dup2(pipefd[1], STDOUT_FILENO);
		dup2(pipefd[1], STDERR_FILENO);
		execvp(command[0], command);
		fprintf(stderr, "%s: %s\n", command[0], strerror(errno));
		_exit(127);
	}
	close(pipefd[1]);
	fcntl(pipefd[0], F_SETFL, O_NONBLOCK);

	/*
	 * The end of the command counts, not the end of the pipe: a process it left
	 * behind may hold the pipe open for ever.
	 */
	polls[0] = (struct pollfd){ .fd = pipefd[0], .events = POLLIN };
	polls[1] = (struct pollfd){ .fd = syscall(SYS_pidfd_open, child, 0), .events = POLLIN };
	while (poll(polls, 2, -1) >= 0 || errno == EINTR) {
		if (polls[1].revents)
			break;
		if (polls[0].revents && !forward(pipefd[0], tag))
			polls[0].fd = -1;
	}
	while (polls[0].fd >= 0 && forward(pipefd[0], tag) > 0)
		;
	if (waitpid(child, &status, 0) < 0)
		fail("tvout: waitpid");
	status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	send_record('s', text, snprintf(text, sizeof(text), "%d", status));
}

int main(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "usage: tvout CHANNEL TAG [COMMAND [ARGUMENT...]]\n");
		return 125;
	}
	open_channel(argv[1]);
	if (argc > 3)
		run(argv[2][0], argv + 3);
	else
		while (forward(STDIN_FILENO, argv[2][0]) > 0)
			;
	return 0;
}
