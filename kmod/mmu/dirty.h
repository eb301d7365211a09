/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The dirty log of a slot: one bit per page, set after the page was written or became
 * writable. A log is read and armed again in two ways:
 *
 *	harvest		fetch and clear the bits, and have the next writes seen, at once
 *	look, clear	read the bits; later, and range by range, clear them and have the
 *			next writes seen (user space copies the pages in between)
 *
 * Words of a log have 64 bits; lengths and positions count words.
 */
#ifndef VLM_MMU_DIRTY_H
#define VLM_MMU_DIRTY_H

#include "dirty_ring.h"
#include "memslot.h"

/* vlm_mmu::log_flags. */
#define VLM_LOG_MANUAL	BIT(0)	/* user space looks and clears; it does not harvest */
#define VLM_LOG_ALL_SET	BIT(1)	/* new logs have all bits set; only a clear begins to look */
#define VLM_LOG_RINGS	BIT(2)	/* writes are told of by dirty rings; new logs have no bits */

/* ... in a logged slot. */
void vlm_memslot_log_write(struct vlm_mmu *mmu, const struct vlm_memslot *slot, u64 gfn);

/*
 * Note that @gfn was written to, or can be written to from now on. After the write,
 * or after the entry was made writable: the atomic operation orders the two. Read
 * section; with rings on the thread of a vCPU.
 */
static inline void vlm_memslot_mark_dirty(struct vlm_mmu *mmu, const struct vlm_memslot *slot,
					  u64 gfn)
{
	if (slot->flags & VLM_MEMSLOT_LOG_DIRTY)
		vlm_memslot_log_write(mmu, slot, gfn);
}

/*
 * The hardware's own log, SDM "Page-Modification Logging": the CPU writes down which clean page
 * it made dirty, for one vCPU and up to VLM_HARDWARE_LOG pages. It is drained whenever the guest is left,
 * before anybody else can learn that it was left.
 */
#define VLM_HARDWARE_LOG	512

struct vlm_mmu_vcpu;

/*
 * The guest wrote to the pages at the @n addresses @gpas, the newest first. The vCPU's thread, in
 * the read section; IRQs may be off.
 */
void vlm_dirty_log_drain(struct vlm_mmu_vcpu *mv, const u64 *gpas, unsigned int n);

/*
 * Have what the guest wrote before this call in the logs: for those who look at them next.
 * Waits for the vCPUs to leave the guest if the hardware logs. IRQs on, no mmu lock.
 */
void vlm_dirty_log_sync(struct vlm_mmu *mmu);

/* An empty log for @npages pages, or a full one with VLM_LOG_ALL_SET. NULL without memory. */
unsigned long *vlm_dirty_log_alloc(struct vlm_mmu *mmu, u64 npages);

/*
 * Both handle @nwords words of the log of @slot from word @first on. The caller keeps
 * the slot: it holds the slots lock or is in the read section. They take the mmu lock
 * for read and sleep; on return no translation is cached any more by which a
 * page that was cleared could be written unseen, whoever cleared it.
 */
void vlm_memslot_harvest(struct vlm_mmu *mmu, const struct vlm_memslot *slot, u64 first,
			 u64 nwords, unsigned long *out);
/* Clear the bits that are set at @bits; others stay, even if the page was written. */
void vlm_memslot_clear_log(struct vlm_mmu *mmu, const struct vlm_memslot *slot, u64 first,
			   u64 nwords, const unsigned long *bits);

#endif
