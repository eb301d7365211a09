/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reverse map of the shadow MMU: which leaves map a frame. An entry is a present leaf if
 * and only if its pointer is in exactly one bag: that of its frame, at its level, in the
 * slot of its address space. The TDP MMU needs none; slots have one only in a machine that shadows.
 */
#ifndef VLM_MMU_RMAP_H
#define VLM_MMU_RMAP_H

#include "memslot.h"
#include "ptr_chain.h"
#include "spte.h"

/**
 * struct vlm_slot_rmap - one slot's part; shared by successive versions of the slot
 * @leaves:	by level - 1, and by page of that size counted from the one with the first frame
 * @tables:	by level - 2 likewise: guest tables that are shadowed inside. Not 0: no leaf
 *		of that size, for a write to the table must fault
 */
struct vlm_slot_rmap {
	struct vlm_ptr_chain *leaves[VLM_LEVEL_1G];
	u32 *tables[VLM_LEVEL_1G - 1];
};

/* Sleeps. NULL when out of memory. */
struct vlm_slot_rmap *vlm_slot_rmap_alloc(u64 base_gfn, u64 npages);
/* The leaves are gone. NULL is allowed. */
void vlm_slot_rmap_free(struct vlm_slot_rmap *rmap);

/* Bag of the leaves at @level that map @gfn, which is in @slot. */
static inline struct vlm_ptr_chain *vlm_slot_leaves(const struct vlm_memslot *slot, u64 gfn,
						    int level)
{
	unsigned int shift = 9 * (unsigned int)(level - 1);

	return slot->rmap->leaves[level - 1] + ((gfn >> shift) - (slot->base_gfn >> shift));
}

/* Counter of the guest tables inside the page of @level around @gfn; level 2 or 3. */
static inline u32 *vlm_slot_tables(const struct vlm_memslot *slot, u64 gfn, int level)
{
	unsigned int shift = 9 * (unsigned int)(level - 1);

	return slot->rmap->tables[level - 2] + ((gfn >> shift) - (slot->base_gfn >> shift));
}

#endif
