// SPDX-License-Identifier: GPL-2.0-only
/* Pre-order walk over TDP tables. */
#include "spte_store.h"
#include "tdp_iter.h"

/* Stand on the entry for pos in the current table. */
static void iter_land(struct vlm_tdp_iter *iter)
{
	iter->sptep = iter->tables[iter->level] + vlm_level_index(iter->pos, iter->level);
	iter->gfn = vlm_level_base(iter->pos, iter->level);
	iter->old = vlm_spte_read(iter->sptep);
}

static void iter_restart(struct vlm_tdp_iter *iter)
{
	iter->yielded = false;
	iter->level = iter->root->role.level;
	iter->tables[iter->level] = iter->root->table;
	iter_land(iter);
}

void vlm_tdp_iter_start(struct vlm_tdp_iter *iter, struct vlm_mmu_page *root, u64 start, u64 end,
			int min_level)
{
	u64 limit = vlm_level_pages(root->role.level + 1);

	iter->root = root;
	iter->pos = start;
	iter->end = end < limit ? end : limit;
	/* The first entry must be handled before the first yield. */
	iter->yield_pos = start;
	iter->min_level = min_level;
	iter->valid = start < iter->end;
	if (iter->valid)
		iter_restart(iter);
}

bool vlm_tdp_iter_try_yield(struct vlm_tdp_iter *iter)
{
	if (iter->pos == iter->yield_pos)
		return false;
	iter->yield_pos = iter->pos;
	iter->yielded = true;
	return true;
}

static bool iter_down(struct vlm_tdp_iter *iter)
{
	if (iter->level == iter->min_level)
		return false;
	/* The visitor may have changed it, or another thread. */
	iter->old = vlm_spte_read(iter->sptep);
	if (!vlm_spte_is_nonleaf(iter->old, iter->level))
		return false;
	iter->level--;
	iter->tables[iter->level] = vlm_platform_table_va(vlm_spte_pa(iter->old));
	iter_land(iter);
	return true;
}

void vlm_tdp_iter_next(struct vlm_tdp_iter *iter)
{
	u64 next;

	if (iter->yielded) {
		iter_restart(iter);
		return;
	}
	if (iter_down(iter))
		return;

	next = iter->gfn + vlm_level_pages(iter->level);
	if (next >= iter->end) {
		iter->valid = false;
		return;
	}
	iter->pos = next;
	/* Leave every table that ends here. */
	while (!vlm_level_index(next, iter->level) && iter->level < iter->root->role.level)
		iter->level++;
	iter_land(iter);
}
