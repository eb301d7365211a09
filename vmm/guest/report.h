/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The report port: how the guest's init tells vmm what became of the command. Shared by the VMM
 * (C++) and the init program in the guest (freestanding C).
 *
 * Read 32 bits at VMM_REPORT_PORT: VMM_REPORT_MAGIC, so that init can tell that vmm listens.
 * Write 32 bits at VMM_REPORT_PORT + 4: a kind in bits 31..24, a value in bits 15..0. Every kind
 * but VMM_REPORT_STARTED ends the machine at once.
 */
#ifndef VMM_GUEST_REPORT_H
#define VMM_GUEST_REPORT_H

#define VMM_REPORT_PORT 0x5f0
#define VMM_REPORT_PORT_COUNT 8
#define VMM_REPORT_MAGIC 0x314d4d56u /* "VMM1" */

#define VMM_REPORT_STARTED 1u  /* the command is about to run: standard input may flow */
#define VMM_REPORT_EXITED 2u   /* value: the command's exit status */
#define VMM_REPORT_SIGNALED 3u /* value: the signal that ended it */
#define VMM_REPORT_NO_EXEC 4u  /* value: the errno of execve() */
#define VMM_REPORT_NO_INIT 5u  /* value: the errno at which init itself gave up */

#define VMM_REPORT(kind, value) ((kind) << 24 | ((value)&0xffffu))

/* The job file in the initramfs, all strings NUL-terminated: flags, module count, modules (paths),
 * working directory, program path, argument count, arguments, environment count, environment. */
#define VMM_JOB_PATH "/.vmm/job"
#define VMM_JOB_FLAG_TTY 't' /* a person sits at the terminal: keep line editing and echo */

#endif
