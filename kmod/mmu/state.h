/* SPDX-License-Identifier: GPL-2.0-only */
/* The MMU state that vm/ and vcpu/ embed. Only mmu/ looks inside. */
#ifndef VLM_MMU_STATE_H
#define VLM_MMU_STATE_H

#include "platform.h"
#include "memslot.h"
#include "stats.h"

struct vlm_mmu_page;
struct vlm_shadow;

/*
 * Enough for one fault, a table at every level but the root's, and for a defunct root: itself and
 * two tables a level in between.
 */
#define VLM_PAGE_CACHE_MAX	7

/* Headers with their table, allocated where sleeping is allowed, used where it is not. */
struct vlm_page_cache {
	u32 nr;
	struct vlm_mmu_page *pages[VLM_PAGE_CACHE_MAX];
};

/**
 * struct vlm_notifier_state - host invalidations in flight, see notifier.h
 * Letters: w written with the mmu lock held for write, read with it held in
 * either mode (and without for a hint); n notifier lock.
 * @seq:	  w  grows at the end of each invalidation
 * @in_progress:  w  invalidations between begin and end that met a slot
 * @start, @end:  w  hull of the ranges in progress, hva
 * @lock:	     innermost but for the wait queue's own
 * @active:	  n  invalidations between begin and end, all of them
 * @wait:	     a slot update that waits for @active to become 0
 */
struct vlm_notifier_state {
	unsigned long seq;
	unsigned long in_progress;
	unsigned long start;
	unsigned long end;
	spinlock_t lock;
	unsigned long active;
	wait_queue_head_t wait;
};

/**
 * struct vlm_mmu - the MMU of one machine
 * Letters: c constant; l @lock (r any mode, w write); p @pages_lock; s the
 * machine's slots lock; S read section of the platform; a atomic.
 * Order: slots lock > @lock > @pages_lock.
 *
 * @lock:	tables, roots, notifier state
 * @pages_lock:	with @lock held in either mode
 * @roots:	l,p  added and removed under @pages_lock; walked with @lock or RCU
 * @nx_pages:	p  tables that only the NX mitigation keeps, oldest first; as many as
 *		   VLM_STAT_NX_LPAGE_SPLITS says
 * @nx:		l  the NX mitigation is on: no leaf above 4 KiB is executable
 * @space:	s,S  memslots
 * @nr_slot_pages: s  sum over all slots
 * @notifier:	see there
 * @log_flags:	s  VLM_LOG_*
 * @mmio_gen_zaps: s  times that the MMIO generation wrapped
 * @shadow:	c  the shadow MMU, NULL in a machine that uses EPT
 * @dead:	a  an invariant broke; no further fault is served
 * @stats:	a
 */
struct vlm_mmu {
	rwlock_t lock;
	spinlock_t pages_lock;
	struct list_head roots;
	struct list_head nx_pages;
	bool nx;
	struct vlm_memslot_space space[VLM_AS_NUM];
	u64 nr_slot_pages;
	struct vlm_notifier_state notifier;
	u32 log_flags;
	u64 mmio_gen_zaps;
	struct vlm_shadow *shadow;
	bool dead;
	struct vlm_mmu_stats stats;
};

/**
 * struct vlm_mmu_vcpu - one vCPU's part; used by its own thread only
 * @mmu:	constant
 * @id:		of the vCPU, for traces
 * @root:	the loaded root, one reference, or NULL
 * @cache:	tables for the next fault
 * @as_id:	address space of the accesses, 1 in system-management mode
 * @stats:	see there
 * @fault_errno: why vlm_mmu_fault() returned VLM_FAULT_ERROR, negative
 */
struct vlm_mmu_vcpu {
	struct vlm_mmu *mmu;
	u32 id;
	struct vlm_mmu_page *root;
	struct vlm_page_cache cache;
	u8 as_id;
	struct vlm_pf_stats stats;
	int fault_errno;
};

#endif
