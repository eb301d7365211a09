// SPDX-License-Identifier: GPL-2.0-only
/* Operations on ranges of frames of one root. */
#include "mmu.h"
#include "spte.h"
#include "spte_store.h"
#include "tdp.h"

void vlm_tdp_zap_leaves(struct vlm_tdp_op *op, struct vlm_mmu_page *root, u64 start, u64 end)
{
	struct vlm_tdp_iter iter;

	lockdep_assert_held_write(&op->mmu->lock);
	vlm_tdp_for_each(iter, root, start, end, VLM_LEVEL_4K) {
		if (vlm_tdp_yield(op, &iter))
			continue;
		op->visited++;
		if (vlm_spte_is_leaf(iter.old, iter.level))
			vlm_tdp_zap_entry(op, root, iter.sptep, iter.old, iter.level);
	}
}

void vlm_tdp_zap_root(struct vlm_tdp_op *op, struct vlm_mmu_page *root)
{
	struct vlm_tdp_iter iter;
	int level;

	/*
	 * From the bottom up, so that no step takes down more than one table: first the
	 * tables of 4-KiB entries, then the tables that pointed at those, and so on.
	 */
	for (level = VLM_LEVEL_2M; level <= root->role.level; level++) {
		vlm_tdp_try_break(op);
		vlm_tdp_for_each(iter, root, 0, ~0ull, level) {
			if (vlm_tdp_yield(op, &iter))
				continue;
			op->visited++;
			if (iter.level > level)
				continue;
			/*
			 * No fault works on an invalid root. A frozen entry stands in a
			 * table that another zapper unlinked: that one takes it apart.
			 */
			while (iter.old && !vlm_spte_is_frozen(iter.old) &&
			       !vlm_tdp_zap_entry(op, root, iter.sptep, iter.old, iter.level)) {
				cpu_relax();
				iter.old = vlm_spte_read(iter.sptep);
			}
		}
	}
}

int vlm_tdp_split_range(struct vlm_tdp_op *op, struct vlm_mmu_page *root, u64 start, u64 end,
			struct vlm_page_cache *cache)
{
	struct vlm_mmu *mmu = op->mmu;
	struct vlm_tdp_iter iter;

	vlm_tdp_try_break(op);
	vlm_tdp_for_each(iter, root, start, end, VLM_LEVEL_2M) {
		struct vlm_mmu_page *sp;

		/* It may have become invalid in a break: leave it to its zapper. */
		if (root->invalid)
			return 0;
		if (vlm_tdp_yield(op, &iter))
			continue;
		op->visited++;
		if (!vlm_spte_is_leaf(iter.old, iter.level))
			continue;
		if (!cache->nr) {
			int err;

			vlm_tdp_pause(op);
			err = vlm_page_cache_fill(mmu, cache, VLM_PAGE_CACHE_MAX);
			vlm_tdp_resume(op);
			if (err)
				return err;
			iter.yielded = true;
			continue;
		}
		sp = vlm_page_cache_pop(mmu, cache);
		if (!vlm_tdp_split_entry(op, root, iter.sptep, iter.gfn, iter.old, iter.level, sp)) {
			/* Filled in vain; it must be empty to be used again. */
			vlm_page_free(mmu, sp);
			/* Visit the same entry again. */
			iter.yielded = true;
		}
	}
	return 0;
}

/* Clear the accessed mark of one leaf. */
static void age_entry(u64 *sptep, u64 old, int level)
{
	while (vlm_spte_is_leaf(old, level) && vlm_spte_is_accessed(&vlm_spte_ept, old)) {
		if (vlm_spte_try_cmpxchg_lockless(sptep, &old, vlm_spte_make_old(&vlm_spte_ept, old)))
			return;
	}
}

bool vlm_tdp_age(struct vlm_mmu_page *root, u64 start, u64 end, enum vlm_age what, u32 *budget)
{
	struct vlm_tdp_iter iter;
	bool young = false;

	vlm_tdp_for_each(iter, root, start, end, VLM_LEVEL_4K) {
		if (!*budget)
			break;
		--*budget;
		if (!vlm_spte_is_leaf(iter.old, iter.level) ||
		    !vlm_spte_is_accessed(&vlm_spte_ept, iter.old))
			continue;
		young = true;
		if (what == VLM_AGE_TEST)
			break;
		age_entry(iter.sptep, iter.old, iter.level);
	}
	return young;
}
