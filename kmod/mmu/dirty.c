// SPDX-License-Identifier: GPL-2.0-only
/* Dirty logging by write protection. */
#include "memslot_change.h"
#include "mmu.h"
#include "tdp.h"

void vlm_memslot_start_logging(struct vlm_mmu *mmu, const struct vlm_memslot *slot)
{
	u64 start = slot->base_gfn, end = slot->base_gfn + slot->npages;
	struct vlm_mmu_page *root;
	struct vlm_tdp_op op;

	vlm_tdp_begin(&op, mmu, VLM_LOCK_SHARED, VLM_MAY_YIELD);
	vlm_for_each_root(mmu, root, VLM_ROOTS_VALID) {
		if (root->role.as_id != slot->as_id)
			continue;
		/* A huge leaf that stays for want of memory is split by the first write to it. */
		vlm_tdp_split_range(&op, root, start, end);
		vlm_tdp_wrprot(&op, root, start, end);
	}
	/* Another thread may have taken a permission and not flushed yet. */
	op.flush.needed = true;
	vlm_tdp_end(&op);
	vlm_page_cache_drain(mmu, &mmu->split_cache);
}

void vlm_memslot_stop_logging(struct vlm_mmu *mmu, const struct vlm_memslot *slot)
{
	struct vlm_mmu_page *root;
	struct vlm_tdp_op op;

	vlm_tdp_begin(&op, mmu, VLM_LOCK_EXCLUSIVE, VLM_MAY_YIELD);
	vlm_for_each_root(mmu, root, VLM_ROOTS_VALID) {
		if (root->role.as_id == slot->as_id)
			vlm_tdp_collapse(&op, root, slot);
	}
	vlm_tdp_end(&op);
}

/* Write-protect the pages of bitmap word @word that @mask names. */
static void protect_word(struct vlm_tdp_op *op, const struct vlm_memslot *slot, u64 word, u64 mask)
{
	struct vlm_mmu_page *root;

	vlm_for_each_root(op->mmu, root, VLM_ROOTS_VALID) {
		if (root->role.as_id == slot->as_id)
			vlm_tdp_wrprot_mask(op, root, slot->base_gfn + word * 64, mask);
	}
}

void vlm_memslot_harvest(struct vlm_mmu *mmu, const struct vlm_memslot *slot, u64 first,
			 u64 nwords, unsigned long *out)
{
	struct vlm_tdp_op op;
	u64 i;

	/*
	 * Shared mode is enough: faults install first and mark second, so a write that
	 * this pass does not report is either prevented here or marked after the exchange.
	 */
	vlm_tdp_begin(&op, mmu, VLM_LOCK_SHARED, VLM_MAY_YIELD);
	for (i = 0; i < nwords; i++) {
		out[i] = READ_ONCE(slot->dirty[first + i]) ? xchg(&slot->dirty[first + i], 0) : 0;
		if (!out[i])
			continue;
		protect_word(&op, slot, first + i, out[i]);
		/* Another harvest may have protected and not flushed yet. */
		op.flush.needed = true;
		vlm_tdp_try_break(&op);
	}
	vlm_tdp_end(&op);
}
