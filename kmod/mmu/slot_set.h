/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One version of an address space's slots, searched by guest frame and by host address.
 * Each slot has a node for each of the two versions, so one can be edited while readers
 * are in the other. Searches and edits cost O(log n).
 */
#ifndef VLM_MMU_SLOT_SET_H
#define VLM_MMU_SLOT_SET_H

#include "platform.h"

struct vlm_memslot;

/* How a slot hangs in one version. */
struct vlm_memslot_node {
	struct rb_node by_gfn;
	struct interval_tree_node by_hva;
};

/**
 * struct vlm_memslots - one version of an address space
 * @generation:	grows with each update; VLM_GEN_UPDATING while one runs. Different
 *		address spaces never have the same value.
 * @nr:		slots in use
 * @version:	which of a slot's nodes hang here
 * @by_gfn:	in order of base_gfn, without overlap
 * @by_hva:	host ranges; may overlap
 */
struct vlm_memslots {
	u64 generation;
	u32 nr;
	u32 version;
	struct rb_root by_gfn;
	struct rb_root_cached by_hva;
};

/* Empty the set; what hung in it is not touched. */
void vlm_memslots_clear(struct vlm_memslots *slots, u32 version);

/* Only in a set without readers. @slot overlaps no other. */
void vlm_memslots_insert(struct vlm_memslots *slots, struct vlm_memslot *slot);
void vlm_memslots_remove(struct vlm_memslots *slots, struct vlm_memslot *slot);

/* The slot that holds @gfn, an INVALID one included, or NULL. */
struct vlm_memslot *vlm_memslot_find(const struct vlm_memslots *slots, u64 gfn);

/* The last slot that begins at @gfn or before, or NULL. */
struct vlm_memslot *vlm_memslot_floor(const struct vlm_memslots *slots, u64 gfn);
/* The neighbours in order of frames, or NULL. */
struct vlm_memslot *vlm_memslot_first(const struct vlm_memslots *slots);
struct vlm_memslot *vlm_memslot_next(const struct vlm_memslots *slots, struct vlm_memslot *slot);
struct vlm_memslot *vlm_memslot_prev(const struct vlm_memslots *slots, struct vlm_memslot *slot);

/*
 * The slots whose host memory meets [@start, @end), a range that is not empty: the first,
 * and the one after @slot. NULL when there is none.
 */
struct vlm_memslot *vlm_memslot_first_hva(const struct vlm_memslots *slots, unsigned long start,
					  unsigned long end);
struct vlm_memslot *vlm_memslot_next_hva(const struct vlm_memslots *slots,
					 struct vlm_memslot *slot, unsigned long start,
					 unsigned long end);

#endif
