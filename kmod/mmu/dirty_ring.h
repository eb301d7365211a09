/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Dirty rings: each vCPU tells user space which pages it wrote, in memory that both map.
 *
 * An entry goes round: free (flags 0), published by the vCPU (DIRTY), collected by user space
 * (RESET set), free again after a reset, which has the next write to the page seen. User
 * space collects in order, and resets before it reads the pages. It may write anything
 * to the entries at any time: each field is read once and checked.
 *
 * The vCPU's own thread pushes; who holds the slots lock resets. The two may overlap.
 */
#ifndef VLM_MMU_DIRTY_RING_H
#define VLM_MMU_DIRTY_RING_H

#include "platform.h"

/* Flags of an entry, the ABI's. */
#define VLM_DIRTY_PUBLISHED	BIT(0)	/* KVM_DIRTY_GFN_F_DIRTY */
#define VLM_DIRTY_COLLECTED	BIT(1)	/* KVM_DIRTY_GFN_F_RESET */

/* struct kvm_dirty_gfn. */
struct vlm_dirty_entry {
	u32 flags;
	u32 slot;		/* address space in the upper half */
	u64 offset;		/* page in the slot */
};

#define VLM_DIRTY_RING_MAX	65536	/* entries */
/* Entries that one exit may need beyond those that a hardware log brings. */
#define VLM_DIRTY_RING_RESERVE	64

/**
 * struct vlm_dirty_ring - one vCPU's ring
 * @entries:	shared with user space; NULL when the machine has no rings
 * @size:	entries, a power of two; constant
 * @soft_limit:	entries in use at which the vCPU may not enter the guest; constant
 * @pushed:	entries ever published; written by the vCPU's thread
 * @reset:	entries ever freed; written under the slots lock
 */
struct vlm_dirty_ring {
	struct vlm_dirty_entry *entries;
	u32 size;
	u32 soft_limit;
	u32 pushed;
	u32 reset;
};

struct vlm_mmu;

/* Entries that are kept for one exit. */
u32 vlm_dirty_ring_reserve(void);
/* Use the @size zeroed entries at @entries; @size is more than the reserve. */
void vlm_dirty_ring_init(struct vlm_dirty_ring *ring, struct vlm_dirty_entry *entries, u32 size);

/*
 * Publish a page that was written or became writable. False, and nothing done, if no entry is
 * free: the vCPU ran beyond the soft limit.
 */
bool vlm_dirty_ring_push(struct vlm_dirty_ring *ring, u32 slot, u64 offset);

/* True if user space must collect before the vCPU goes on. vCPU thread. */
static inline bool vlm_dirty_ring_is_full(const struct vlm_dirty_ring *ring)
{
	return ring->entries && ring->pushed - READ_ONCE(ring->reset) >= ring->soft_limit;
}

/* Take the oldest entry back and store it to *@out, if user space has collected it. */
bool vlm_dirty_ring_pop(struct vlm_dirty_ring *ring, struct vlm_dirty_entry *out);

/*
 * Free what user space has collected and have the next write to each page seen. Slots lock.
 * Takes the mmu lock for read, yields, flushes before it returns. The number of entries.
 */
u32 vlm_dirty_ring_reset(struct vlm_mmu *mmu, struct vlm_dirty_ring *ring);

#endif
