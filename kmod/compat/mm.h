/* SPDX-License-Identifier: GPL-2.0-only */
/* Differences in memory management between the kernels that the module supports. */
#ifndef VLM_COMPAT_MM_H
#define VLM_COMPAT_MM_H

#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/version.h>

/* Since 6.2 a fault may be interrupted by any signal, not only by a fatal one. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
#define VLM_FOLL_INTERRUPTIBLE	FOLL_INTERRUPTIBLE
#else
#define VLM_FOLL_INTERRUPTIBLE	0
#endif

/*
 * Look up what the host maps at @addr of a PFNMAP area: follow_pte() until 6.11,
 * follow_pfnmap_start() since. mmap lock held. Return 0 or -EINVAL (nothing mapped).
 */
static inline int vlm_compat_follow_pfn(struct vm_area_struct *vma, unsigned long addr,
					unsigned long *pfn, bool *writable)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
	struct follow_pfnmap_args args = { .vma = vma, .address = addr };
	int err = follow_pfnmap_start(&args);

	if (err)
		return err;
	*pfn = args.pfn;
	*writable = args.writable;
	follow_pfnmap_end(&args);
	return 0;
#else
	spinlock_t *ptl;
	pte_t *ptep;
	int err = follow_pte(vma->vm_mm, addr, &ptep, &ptl);

	if (err)
		return err;
	*pfn = pte_pfn(*ptep);
	*writable = pte_write(*ptep);
	__acquire(ptl); /* follow_pte() took it, without an annotation. */
	pte_unmap_unlock(ptep, ptl);
	return 0;
#endif
}

#endif
