/* SPDX-License-Identifier: GPL-2.0-only */
/* Put a huge leaf in the place of a table that translates alike. Private to mmu/. */
#ifndef VLM_MMU_COLLAPSE_H
#define VLM_MMU_COLLAPSE_H

#include "memslot.h"
#include "tdp.h"

enum vlm_collapse {
	VLM_COLLAPSE_DONE,	/* a huge leaf stands there */
	VLM_COLLAPSE_RACED,	/* the entry changed: somebody unlinked the table */
	VLM_COLLAPSE_LATER,	/* somebody works there now, or smaller tables must go first */
	VLM_COLLAPSE_UNFIT,	/* slot or host allow no huge leaf, or something else needs small ones */
	VLM_COLLAPSE_EMPTY,	/* allowed, but there is no leaf to make it of: the next fault can */
};

/* @slot, or NULL, has no objection to a leaf at @level for @gfn. The host has a say, too. */
bool vlm_slot_allows_huge(const struct vlm_memslot *slot, u64 gfn, int level);

/*
 * Collapse the table below @sptep, which is @old, at @level and for @gfn, aligned to it.
 * @slot is the one that holds @gfn, or NULL. A valid root, shared mode, slots read section or
 * slots lock. The op owes a flush if it is done.
 */
enum vlm_collapse vlm_tdp_collapse_table(struct vlm_tdp_op *op, const struct vlm_memslot *slot,
					 u64 *sptep, u64 old, u64 gfn, int level);

/*
 * Collapse what can be in the part of @slot that @root maps, but for tables that only the NX
 * mitigation keeps. Shared. What is left over is replaced by faults.
 */
void vlm_tdp_collapse(struct vlm_tdp_op *op, struct vlm_mmu_page *root,
		      const struct vlm_memslot *slot);

#endif
