// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * PID 1 of the test machine.  Carries out /machine/plan, runs the command in
 * /machine/argv, streams its output and the kernel log to port 0xE9, reports
 * one verdict and powers the machine off.
 *
 * Everything leaves as a frame: 0x1e 'V' 'M', a type, a 16-bit little-endian
 * length, the bytes.  Types: 'o' stdout, 'e' stderr, 'k' one kernel log
 * record, 'b' PID 1 runs, 'c' instruction counts, 'v' the verdict.
 *
 * Plan, one step a line:
 *   insmod FILE [PARAMS]   load a module, end with verdict "insmod" if refused
 *   rmmod NAME             after the command: unload, verdict "rmmod" if refused
 *   link NODE PATH         symbolic link PATH -> NODE
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PORT_OUT 0xe9
#define PORT_POWER_OFF 0x8900
#define MAX_ARGS 1024
#define MAX_UNLOADS 8

static int kmsg = -1;
static char unloads[MAX_UNLOADS][64];
static int unload_count;
static uint64_t insmod_start, insmod_end;

static uint64_t rdtsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return (uint64_t)hi << 32 | lo;
}

static void port_write(const void *bytes, size_t count)
{
	__asm__ volatile("rep outsb"
			 : "+S"(bytes), "+c"(count)
			 : "d"(PORT_OUT)
			 : "memory");
}

static void frame(char type, const void *bytes, size_t count)
{
	char head[6] = { 0x1e, 'V', 'M', type, (char)count, (char)(count >> 8) };

	port_write(head, sizeof(head));
	port_write(bytes, count);
}

__attribute__((format(printf, 2, 3)))
static void framef(char type, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	frame(type, text, n < (int)sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

/* Sends what the kernel has logged since the last call. */
static void drain_kmsg(void)
{
	char record[8192];
	ssize_t n;

	for (;;) {
		n = read(kmsg, record, sizeof(record));
		if (n > 0)
			frame('k', record, n);
		else if (n < 0 && (errno == EPIPE || errno == EINTR))
			continue;
		else
			return;
	}
}

__attribute__((noreturn))
static void power_off(void)
{
	const char *word = "Shutdown";

	drain_kmsg();
	while (*word)
		outb(*word++, PORT_POWER_OFF);
	reboot(RB_AUTOBOOT);
	for (;;)
		pause();
}

__attribute__((noreturn))
static void verdict(const char *what, long value)
{
	drain_kmsg();
	framef('v', "%s %ld", what, value);
	power_off();
}

/*
 * Logs the line from which on run.py judges the log: what the stock kernel
 * says while it boots on emulated hardware is no finding.
 */
static void mark_start(void)
{
	static const char mark[] = "<4>machine: judged from here on\n";
	int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);

	/* Not dprintf(): it seeks, which this device refuses. */
	if (write(fd, mark, sizeof(mark) - 1) < 0)
		verdict("plan", errno);
	close(fd);
}

static void mount_all(void)
{
	static const struct {
		const char *type, *dir, *options;
	} mounts[] = {
		{ "proc", "/proc", NULL },
		{ "sysfs", "/sys", NULL },
		{ "devtmpfs", "/dev", NULL },
		{ "devpts", "/dev/pts", NULL },
		{ "tmpfs", "/dev/shm", NULL },
		{ "tmpfs", "/tmp", NULL },
		{ "tmpfs", "/run", NULL },
		{ "debugfs", "/sys/kernel/debug", NULL },
		{ "tracefs", "/sys/kernel/tracing", NULL },
		{ "cgroup2", "/sys/fs/cgroup", NULL },
		{ "hugetlbfs", "/dev/hugepages", NULL },
	};

	for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
		mkdir(mounts[i].dir, 0755);
		mount(mounts[i].type, mounts[i].dir, mounts[i].type, 0,
		      mounts[i].options);
	}
	symlink("/proc/self/fd", "/dev/fd");
	symlink("/proc/self/mounts", "/etc/mtab");
}

static void load_module(const char *file, const char *params)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	uint64_t start = rdtsc();

	if (fd < 0 || syscall(SYS_finit_module, fd, params, 0))
		verdict("insmod", errno);
	insmod_end = rdtsc();
	/* The module under test comes last, so the last start is its own. */
	insmod_start = start;
	close(fd);
}

static void unload_modules(void)
{
	for (int i = unload_count - 1; i >= 0; i--)
		if (syscall(SYS_delete_module, unloads[i], O_NONBLOCK))
			verdict("rmmod", errno);
}

static void plan_step(char *line)
{
	char *verb = strtok(line, " \n");
	char *first = strtok(NULL, " \n");
	char *rest = strtok(NULL, "\n");

	if (!verb || !first)
		return;
	if (!strcmp(verb, "insmod")) {
		load_module(first, rest ? rest : "");
	} else if (!strcmp(verb, "rmmod") && unload_count < MAX_UNLOADS) {
		snprintf(unloads[unload_count++], sizeof(unloads[0]), "%s", first);
	} else if (!strcmp(verb, "link") && rest) {
		unlink(rest);
		if (symlink(first, rest))
			verdict("plan", errno);
	} else {
		verdict("plan", EINVAL);
	}
}

static void carry_out_plan(void)
{
	char line[8192];
	FILE *plan = fopen("/machine/plan", "re");

	if (!plan)
		verdict("plan", errno);
	while (fgets(line, sizeof(line), plan))
		plan_step(line);
	fclose(plan);
}

/* /machine/argv: the arguments, each ended by a NUL. */
static char **read_argv(void)
{
	static char text[1 << 17];
	static char *argv[MAX_ARGS + 1];
	int fd = open("/machine/argv", O_RDONLY | O_CLOEXEC);
	ssize_t size = read(fd, text, sizeof(text) - 1);
	int n = 0;

	if (size <= 0)
		verdict("plan", EINVAL);
	for (char *at = text; at < text + size && n < MAX_ARGS; at += strlen(at) + 1)
		argv[n++] = at;
	return argv;
}

static pid_t start_command(char **argv, int out[2], int err[2])
{
	pid_t pid;

	if (pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC))
		verdict("plan", errno);
	pid = fork();
	if (pid < 0)
		verdict("plan", errno);
	if (pid == 0) {
		int null = open("/dev/null", O_RDONLY);

		setsid();
		dup2(null, 0);
		dup2(out[1], 1);
		dup2(err[1], 2);
		/* The ports are for this program. A process that has them costs more with each exit. */
		iopl(0);
		execvp(argv[0], argv);
		dprintf(2, "%s: %s\n", argv[0], strerror(errno));
		_exit(errno == ENOENT ? 127 : 126);
	}
	close(out[1]);
	close(err[1]);
	return pid;
}

/* Forwards one chunk; false at end of file. */
static int forward(int fd, char type)
{
	char chunk[4096];
	ssize_t n = read(fd, chunk, sizeof(chunk));

	if (n > 0)
		frame(type, chunk, n);
	return n > 0 || (n < 0 && errno == EINTR);
}

/* Streams until the command itself has ended and its pipes are empty. */
static int stream(pid_t pid, int out, int err)
{
	struct pollfd fds[] = {
		{ .fd = out, .events = POLLIN },
		{ .fd = err, .events = POLLIN },
		{ .fd = kmsg, .events = POLLIN },
		{ .fd = syscall(SYS_pidfd_open, pid, 0), .events = POLLIN },
	};
	int status = 0, ended = 0, child_status;
	pid_t child;

	for (;;) {
		int ready = poll(fds, 4, ended ? 0 : -1);

		if (ready < 0 && errno == EINTR)
			continue;
		if (ended && !((fds[0].revents | fds[1].revents) & POLLIN))
			break;
		if (fds[0].revents && !forward(out, 'o'))
			fds[0].fd = -1;
		if (fds[1].revents && !forward(err, 'e'))
			fds[1].fd = -1;
		if (fds[2].revents)
			drain_kmsg();
		while ((child = waitpid(-1, &child_status, WNOHANG)) > 0) {
			if (child != pid)
				continue;
			status = child_status;
			fds[3].fd = -1;
			ended = 1;
		}
	}
	return status;
}

/* Ends what the command left behind, so that its files are closed. */
static void reap_all(void)
{
	kill(-1, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
}

int main(void)
{
	int out[2], err[2], status;
	uint64_t start, end;
	char **argv;
	pid_t pid;

	mount_all();
	iopl(3);
	signal(SIGPIPE, SIG_IGN);
	kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	klogctl(8, NULL, 5);	/* warnings reach the serial console too */
	mark_start();
	framef('b', "%llu", (unsigned long long)rdtsc());
	setenv("PATH", "/add:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
	setenv("HOME", "/root", 1);
	setenv("TERM", "dumb", 1);
	unsetenv("BOOT_IMAGE");
	sethostname("machine", 7);
	chdir("/add");

	argv = read_argv();
	carry_out_plan();
	start = rdtsc();
	pid = start_command(argv, out, err);
	status = stream(pid, out[0], err[0]);
	end = rdtsc();
	framef('c', "insmod %llu command %llu total %llu",
	       (unsigned long long)(insmod_end - insmod_start),
	       (unsigned long long)(end - start),
	       (unsigned long long)(end - (insmod_start ? insmod_start : start)));
	reap_all();
	unload_modules();
	if (WIFEXITED(status))
		verdict("exit", WEXITSTATUS(status));
	verdict("signal", WTERMSIG(status));
}
