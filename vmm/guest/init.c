// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * PID 1 of a guest that runs one command. Freestanding and static: system calls only, so that it
 * is a few KiB in the initramfs and starts at once. Reads the job file (report.h), mounts the
 * kernel's file systems, loads modules, runs the command on the serial console, and reports to
 * the VMM through its I/O port.
 */
#include <linux/reboot.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

#include "guest/report.h"

#define O_RDONLY 0
#define O_RDWR 2
#define O_NOCTTY 0400
#define ENOMEM 12
#define EINVAL 22
#define EINTR 4
#define PROT_RW 3
#define MAP_PRIVATE_ANONYMOUS 0x22
#define TCGETS 0x5401
#define TCSETS 0x5402
#define TCSBRK 0x5409
#define TIOCSCTTY 0x540e

/* struct termios of the kernel, and the flags used here */
struct termios {
	uint32_t iflag, oflag, cflag, lflag;
	uint8_t line, cc[19];
};
#define ICRNL 0000400
#define IXON 0002000
#define OPOST 0000001
#define ISIG 0000001
#define ECHO_BITS 0000170 /* ECHO, ECHOE, ECHOK, ECHONL */
#define ECHOCTL_KE 0005000
#define IEXTEN 0100000

static long call6(long n, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

static long call3(long n, long a, long b, long c)
{
	return call6(n, a, b, c, 0, 0, 0);
}

static uint32_t in32(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static void out32(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static int vmm_listens;

static void report(uint32_t kind, long value)
{
	if (vmm_listens)
		out32(VMM_REPORT_PORT + 4, VMM_REPORT(kind, (uint32_t)value));
}

/* Wait until the terminal has sent everything, report, and switch off if nobody listened. */
static __attribute__((noreturn)) void finish(uint32_t kind, long value)
{
	call3(SYS_ioctl, 1, TCSBRK, 1);
	report(kind, value);
	call3(SYS_sync, 0, 0, 0);
	call6(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2,
	      LINUX_REBOOT_CMD_POWER_OFF, 0, 0, 0);
	for (;;)
		call3(SYS_pause, 0, 0, 0);
}

static void mount(const char *type, const char *where)
{
	call6(SYS_mount, (long)type, (long)where, (long)type, 0, 0, 0);
}

static size_t length(const char *text)
{
	size_t n = 0;

	while (text[n])
		n++;
	return n;
}

/* Take the next string of the job file. */
static char *cursor, *limit;

static char *next_string(void)
{
	char *text = cursor;

	if (cursor >= limit)
		finish(VMM_REPORT_NO_INIT, EINVAL);
	cursor += length(cursor) + 1;
	return text;
}

static long next_number(void)
{
	long n = 0;

	for (const char *digit = next_string(); *digit >= '0' && *digit <= '9'; digit++)
		n = n * 10 + (*digit - '0');
	return n;
}

static void *allocate(size_t size)
{
	long memory = call6(SYS_mmap, 0, (long)size, PROT_RW, MAP_PRIVATE_ANONYMOUS, -1, 0);

	if (memory < 0 && memory > -4096)
		finish(VMM_REPORT_NO_INIT, ENOMEM);
	return (void *)memory;
}

static char **next_list(void)
{
	long count = next_number();
	char **list = allocate(((size_t)count + 1) * sizeof(*list));

	for (long i = 0; i < count; i++)
		list[i] = next_string();
	list[count] = NULL;
	return list;
}

static void read_job(void)
{
	long fd = call3(SYS_open, (long)VMM_JOB_PATH, O_RDONLY, 0);
	long size, got, done = 0;

	if (fd < 0)
		finish(VMM_REPORT_NO_INIT, -fd);
	size = call3(SYS_lseek, fd, 0, 2);
	call3(SYS_lseek, fd, 0, 0);
	/* One byte more than the file: the last string ends whatever it holds. */
	cursor = allocate((size_t)size + 1);
	while (done < size) {
		got = call3(SYS_read, fd, (long)(cursor + done), size - done);
		if (got <= 0)
			finish(VMM_REPORT_NO_INIT, EINVAL);
		done += got;
	}
	limit = cursor + size;
	call3(SYS_close, fd, 0, 0);
}

static void load_module(const char *path)
{
	long fd = call3(SYS_open, (long)path, O_RDONLY, 0);
	long result = fd < 0 ? fd : call3(SYS_finit_module, fd, (long)"", 0);

	if (result < 0)
		finish(VMM_REPORT_NO_INIT, -result);
	call3(SYS_close, fd, 0, 0);
}

/* Make the serial port the standard files, cooked for a person or transparent for a pipe. */
static void open_terminal(int person)
{
	struct termios t;
	long fd = call3(SYS_open, (long)"/dev/ttyS0", O_RDWR | O_NOCTTY, 0);

	if (fd < 0)
		return; /* the console that the kernel opened has to do */
	for (int i = 0; i < 3; i++)
		call3(SYS_dup2, fd, i, 0);
	if (fd > 2)
		call3(SYS_close, fd, 0, 0);
	if (person || call3(SYS_ioctl, 0, TCGETS, (long)&t) < 0)
		return;
	t.iflag &= ~(uint32_t)(ICRNL | IXON);
	t.oflag &= ~(uint32_t)OPOST;
	t.lflag &= ~(uint32_t)(ISIG | ECHO_BITS | ECHOCTL_KE | IEXTEN);
	call3(SYS_ioctl, 0, TCSETS, (long)&t);
}

static __attribute__((noreturn)) void run_child(const char *directory, const char *program,
						char **arguments, char **environment)
{
	long result;

	call3(SYS_setsid, 0, 0, 0);
	call3(SYS_ioctl, 0, TIOCSCTTY, 1);
	call3(SYS_chdir, (long)directory, 0, 0);
	result = call3(SYS_execve, (long)program, (long)arguments, (long)environment);
	finish(VMM_REPORT_NO_EXEC, -result);
}

static __attribute__((noreturn, used)) void init_main(void)
{
	const char *flags, *directory, *program;
	char **modules, **arguments, **environment;
	long child, pid;
	int person = 0, status = 0;

	if (call3(SYS_iopl, 3, 0, 0) == 0)
		vmm_listens = in32(VMM_REPORT_PORT) == VMM_REPORT_MAGIC;
	mount("devtmpfs", "/dev");
	mount("proc", "/proc");
	mount("sysfs", "/sys");
	mount("tmpfs", "/tmp");

	read_job();
	for (flags = next_string(); *flags; flags++)
		if (*flags == VMM_JOB_FLAG_TTY)
			person = 1;
	modules = next_list();
	directory = next_string();
	program = next_string();
	arguments = next_list();
	environment = next_list();

	for (; *modules; modules++)
		load_module(*modules);
	open_terminal(person);
	report(VMM_REPORT_STARTED, 0);

	child = call6(SYS_fork, 0, 0, 0, 0, 0, 0);
	if (child == 0)
		run_child(directory, program, arguments, environment);
	if (child < 0)
		finish(VMM_REPORT_NO_INIT, -child);
	do {
		pid = call6(SYS_wait4, -1, (long)&status, 0, 0, 0, 0);
	} while (pid != child && (pid > 0 || pid == -EINTR));
	if (pid != child)
		finish(VMM_REPORT_NO_INIT, -pid);
	if ((status & 0x7f) == 0)
		finish(VMM_REPORT_EXITED, status >> 8 & 0xff);
	finish(VMM_REPORT_SIGNALED, status & 0x7f);
}

__asm__(".globl _start\n"
	"_start:\n"
	"	xorl %ebp, %ebp\n"
	"	andq $-16, %rsp\n"
	"	call init_main\n");
