/* SPDX-License-Identifier: GPL-2.0-only */
/* Fields of struct kvm_run that were renamed. */
#ifndef VLM_COMPAT_RUN_PAGE_H
#define VLM_COMPAT_RUN_PAGE_H

#include <linux/compiler.h>
#include <linux/kvm.h>
#include <linux/version.h>

/* Newer kernels hide the field under a name that warns of its concurrent writers. */
static inline bool vlm_run_immediate_exit(const struct kvm_run *run)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 10, 0)
	return READ_ONCE(run->immediate_exit);
#else
	return READ_ONCE(run->immediate_exit__unsafe);
#endif
}

#endif
