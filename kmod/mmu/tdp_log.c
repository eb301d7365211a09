// SPDX-License-Identifier: GPL-2.0-only
/* What dirty logging does to leaves. */
#include "mmu.h"
#include "spte.h"
#include "spte_store.h"
#include "tdp.h"

/* Have the next write through a huge leaf seen. The hardware and other threads may change it meanwhile. */
static void protect_entry(struct vlm_tdp_op *op, u64 *sptep, int level)
{
	u64 old = vlm_spte_read(sptep);

	op->visited++;
	while (vlm_spte_is_leaf(old, level) && vlm_spte_hides_writes(&vlm_spte_ept, old, level)) {
		/* A leaf stays a leaf: there is nothing to count. */
		if (vlm_spte_try_cmpxchg(sptep, &old,
					 vlm_spte_make_logged(&vlm_spte_ept, old, level))) {
			op->flush.needed = true;
			return;
		}
	}
}

/**
 * struct page_set - some pages of a range
 * @base:	first frame of the range
 * @end:	first frame after it
 * @bits:	bit i stands for page @base + i; NULL for all pages
 */
struct page_set {
	u64 base;
	u64 end;
	const unsigned long *bits;
};

/*
 * The same for 4-KiB leaves, at @sptep + i for each bit i of @bits: what a dense log spends its time
 * on.
 */
static void protect_word(struct vlm_tdp_op *op, u64 *sptep, unsigned long bits)
{
	const u64 take = vlm_spte_log_bit(&vlm_spte_ept, VLM_LEVEL_4K);
	const u64 hiding = VLM_SPTE_PRESENT | vlm_spte_ept.w | take;
	unsigned int visited = 0;
	bool taken = false;

	for (; bits; bits &= bits - 1) {
		u64 *at = sptep + __ffs(bits), old = vlm_spte_read(at);

		visited++;
		while ((old & hiding) == hiding) {
			if (vlm_spte_try_cmpxchg(at, &old, old & ~take)) {
				taken = true;
				break;
			}
		}
	}
	op->visited += visited;
	op->flush.needed |= taken;
}

/* Bits of @set for the pages from @gfn on, as many as are left in its word and below @end. */
static unsigned long rest_of_word(const struct page_set *set, u64 gfn, u64 end)
{
	u64 i = gfn - set->base;
	unsigned long word = (set->bits ? set->bits[i / BITS_PER_LONG] : ~0ul) >> (i % BITS_PER_LONG);

	return end - gfn < BITS_PER_LONG ? word & (BIT(end - gfn) - 1) : word;
}

/* First page of the next word. */
static u64 next_word(const struct page_set *set, u64 gfn)
{
	return gfn + BITS_PER_LONG - (gfn - set->base) % BITS_PER_LONG;
}

static bool has_page(const struct page_set *set, u64 gfn, u64 end)
{
	for (; gfn < end; gfn = next_word(set, gfn)) {
		if (rest_of_word(set, gfn, end))
			return true;
	}
	return false;
}

/*
 * The pages of @set that one entry covers. Walks end above the lowest tables: the entries of those
 * are taken by number.
 */
static void protect_pages(struct vlm_tdp_op *op, struct vlm_tdp_iter *iter,
			  const struct page_set *set)
{
	u64 end = iter->gfn + vlm_level_pages(iter->level);
	u64 gfn = iter->gfn > set->base ? iter->gfn : set->base;
	u64 *table;

	op->visited++;
	if (end > set->end)
		end = set->end;
	if (vlm_spte_is_leaf(iter->old, iter->level)) {
		if (has_page(set, gfn, end))
			protect_entry(op, iter->sptep, iter->level);
		/* Another thread may have split it meanwhile: then the pages are below. */
		iter->old = vlm_spte_read(iter->sptep);
	}
	if (iter->level > VLM_LEVEL_2M || !vlm_spte_is_nonleaf(iter->old, iter->level))
		return;
	table = vlm_platform_table_va(vlm_spte_pa(iter->old));
	for (; gfn < end; gfn = next_word(set, gfn))
		protect_word(op, table + vlm_level_index(gfn, VLM_LEVEL_4K),
			     rest_of_word(set, gfn, end));
}

void vlm_tdp_protect_range(struct vlm_tdp_op *op, struct vlm_mmu_page *root, u64 start, u64 end)
{
	const struct page_set set = { .base = start, .end = end };
	struct vlm_tdp_iter iter;

	lockdep_assert_held(&op->mmu->lock);
	vlm_tdp_try_break(op);
	vlm_tdp_for_each(iter, root, start, end, VLM_LEVEL_2M) {
		if (!vlm_tdp_yield(op, &iter))
			protect_pages(op, &iter, &set);
	}
}

void vlm_tdp_protect_bits(struct vlm_tdp_op *op, struct vlm_mmu_page *root, u64 base,
			  const unsigned long *bits, unsigned int nwords)
{
	const struct page_set set = {
		.base = base, .end = base + (u64)nwords * BITS_PER_LONG, .bits = bits,
	};
	struct vlm_tdp_iter iter;

	lockdep_assert_held(&op->mmu->lock);
	vlm_tdp_for_each(iter, root, base, set.end, VLM_LEVEL_2M)
		protect_pages(op, &iter, &set);
}
