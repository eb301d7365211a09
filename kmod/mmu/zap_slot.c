// SPDX-License-Identifier: GPL-2.0-only
/*
 * Cut off one slot: its tables are moved, at the highest level that lies wholly in the
 * slot, from each valid root to the same place in a defunct one, which the reclaimer
 * empties like any other that was cut off.
 */
#include "mmu.h"
#include "tdp.h"
#include "zap.h"

/* Tables whose entries are at @level and that [start, end) covers in part. */
static u32 partial_tables(u64 start, u64 end, int level)
{
	u64 pages = vlm_level_pages(level + 1);
	u64 first = vlm_level_base(start, level + 1), last = vlm_level_base(end - 1, level + 1);
	bool left = first < start, right = last + pages > end;

	return first == last ? left || right : left + right;
}

/* Tables that a defunct root takes: itself, and what leads to the entries moved there. */
static u32 tables_needed(const struct vlm_mmu_page *root, u64 start, u64 end)
{
	u32 n = 1;
	int level;

	for (level = VLM_LEVEL_2M; level < root->role.level; level++)
		n += partial_tables(start, end, level);
	return n;
}

static bool move_table(struct vlm_tdp_op *op, struct vlm_mmu_page *root,
		       struct vlm_mmu_page **defunct, const struct vlm_tdp_iter *iter,
		       struct vlm_page_cache *cache)
{
	u64 *to;

	if (!*defunct)
		*defunct = vlm_root_add_defunct(op->mmu, root->role, cache);
	to = *defunct ? vlm_tdp_make_entry(op, *defunct, iter->gfn, iter->level, cache) : NULL;
	if (!to)
		return false;
	vlm_tdp_move_table(op, iter->sptep, to);
	return true;
}

/* One root; enough tables are in the cache. False: something of the slot may be left. */
static bool cut(struct vlm_tdp_op *op, struct vlm_mmu_page *root, u64 start, u64 end,
		struct vlm_page_cache *cache)
{
	struct vlm_mmu_page *defunct = NULL;
	struct vlm_tdp_iter iter;
	bool done = true;

	vlm_tdp_for_each(iter, root, start, end, VLM_LEVEL_4K) {
		/* It may have become invalid in a break, and is cut off as a whole then. */
		if (root->invalid)
			break;
		if (vlm_tdp_yield(op, &iter))
			continue;
		op->visited++;
		if (vlm_spte_is_leaf(iter.old, iter.level)) {
			vlm_tdp_zap_entry(op, root, iter.sptep, iter.old, iter.level);
		} else if (vlm_spte_is_nonleaf(iter.old, iter.level) && iter.gfn >= start &&
			   iter.gfn + vlm_level_pages(iter.level) <= end) {
			done = move_table(op, root, &defunct, &iter, cache);
			if (!done)
				break;
		}
	}
	/* Nobody empties it before the flush is paid: that takes the lock. */
	if (defunct)
		vlm_root_schedule(op->mmu, defunct);
	return done;
}

static bool fill_cache(struct vlm_tdp_op *op, struct vlm_page_cache *cache, u32 n)
{
	int err;

	if (cache->nr >= n)
		return true;
	vlm_tdp_pause(op);
	err = vlm_page_cache_fill(op->mmu, cache, n);
	vlm_tdp_resume(op);
	return !err;
}

void vlm_zap_slot(struct vlm_mmu *mmu, const struct vlm_memslot *slot)
{
	u64 start = slot->base_gfn, end = slot->base_gfn + slot->npages;
	struct vlm_page_cache cache = { .nr = 0 };
	struct vlm_mmu_page *root;
	struct vlm_tdp_op op;
	bool done = true;

	/* Shadow tables know no part smaller than a generation. */
	if (mmu->shadow) {
		vlm_zap_cut_off(mmu);
		return;
	}
	vlm_stat_add(&mmu->stats, VLM_STAT_ZAP_SLOT, 1);
	vlm_tdp_begin(&op, mmu, VLM_LOCK_EXCLUSIVE, VLM_MAY_YIELD);
	vlm_for_each_root(mmu, root, VLM_ROOTS_VALID) {
		if (root->role.as_id == slot->as_id && done)
			done = fill_cache(&op, &cache, tables_needed(root, start, end)) &&
			       cut(&op, root, start, end, &cache);
	}
	vlm_tdp_end(&op);
	vlm_page_cache_drain(mmu, &cache);
	/* Out of memory: to cut off everything takes none. */
	if (!done)
		vlm_zap_cut_off(mmu);
}
