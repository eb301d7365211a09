// SPDX-License-Identifier: GPL-2.0-only
/*
 * Put a huge leaf in the place of a table, without a fault and without a hole.
 *
 * One present leaf is enough to know the frames of all: what a leaf maps is what the host
 * maps, because the notifier takes away what it is not, and the host maps the whole by one
 * entry. Each right is the union of the rights below, for the host's one entry has it:
 *
 *  HOST_W	was true of the host's mapping when the leaf was made; a host that takes it
 *		away invalidates first, and no leaf with it is left.
 *  W		without dirty logging W only says that the host's page was marked dirty, which
 *		the host does for the huge page as a whole. If no leaf has W, neither has the huge
 *		one, and the first write faults.
 *  A		may be a little too young; a hardware flag that is set while this goes on may be
 *		lost, as with aging.
 *  D		is set with W, as in every new leaf, and means nothing without dirty logging.
 *  X		is what the mitigation makes of it.
 *
 * The store is one compare-exchange and the flush can wait until the lock is dropped:
 * a stale translation leads to the same frame, and allows nothing that the huge leaf or
 * the table it came from did not; execution of a 4-KiB page that the TLB still holds is what
 * the mitigation wants. Who takes a right away from the huge leaf meanwhile flushes for that
 * himself, and with it the stale ones. The table is freed after the flush and a grace period.
 */
#include "collapse.h"
#include "notifier.h"
#include "nx.h"
#include "spte.h"
#include "spte_store.h"

/* What the entries of a table have in common. */
struct survey {
	u64 pfn;		/* frame that belongs to the first entry */
	u64 rights;		/* union */
	unsigned int leaves;
	bool young;
	bool alike;		/* one run of frames, RAM, no entry of another kind */
	bool busy;		/* somebody works here, or a table below must be recovered first */
};

static void survey_leaf(struct survey *s, u64 leaf, unsigned int index, int level)
{
	u64 first = vlm_spte_pfn(leaf) - index * vlm_level_pages(level);

	if (!s->leaves++)
		s->pfn = first;
	/* A leaf that the host allows to write and the MMU does not is somebody's page table. */
	if (first != s->pfn || !vlm_spte_is_ram(&vlm_spte_ept, leaf) ||
	    ((leaf & VLM_SPTE_HOST_W) && !(leaf & VLM_SPTE_MMU_W)))
		s->alike = false;
	s->rights |= leaf;
	s->young |= vlm_spte_is_accessed(&vlm_spte_ept, leaf);
}

/* @level is that of the entries. */
static void survey_table(struct vlm_tdp_op *op, u64 *table, int level, struct survey *s)
{
	unsigned int i;

	*s = (struct survey) { .alike = true };
	for (i = 0; i < VLM_TABLE_ENTRIES; i++) {
		u64 e = vlm_spte_read(table + i);

		if (vlm_spte_is_leaf(e, level)) {
			survey_leaf(s, e, i, level);
		} else if (vlm_spte_is_present(e)) {
			s->alike = false;
			s->busy |= vlm_nx_is_kept(vlm_page_of_spte(e));
		} else if (vlm_spte_is_frozen(e)) {
			s->busy = true;
		}
	}
	op->visited += VLM_TABLE_ENTRIES;
	if (s->pfn & (vlm_level_pages(level + 1) - 1))
		s->alike = false;
}

static u64 make_huge(const struct vlm_mmu *mmu, const struct survey *s, int level)
{
	unsigned int flags = mmu->nx ? VLM_LEAF_NX : 0;
	u64 val;

	if (s->rights & VLM_SPTE_HOST_W)
		flags |= VLM_LEAF_HOST_W;
	if (vlm_spte_is_writable(&vlm_spte_ept, s->rights))
		flags |= VLM_LEAF_WRITABLE;
	val = vlm_spte_make_leaf(&vlm_spte_ept, s->pfn, level, flags);
	return s->young ? val : vlm_spte_make_old(&vlm_spte_ept, val);
}

bool vlm_slot_allows_huge(const struct vlm_memslot *slot, u64 gfn, int level)
{
	return slot && !(slot->flags & (VLM_MEMSLOT_INVALID | VLM_MEMSLOT_LOG_DIRTY)) &&
	       vlm_memslot_fit_level(slot, gfn, vlm_spte_ept.max_level) >= level;
}

enum vlm_collapse vlm_tdp_collapse_table(struct vlm_tdp_op *op, const struct vlm_memslot *slot,
					 u64 *sptep, u64 old, u64 gfn, int level)
{
	struct vlm_mmu *mmu = op->mmu;
	unsigned long hva;
	struct survey s;

	if (!vlm_slot_allows_huge(slot, gfn, level))
		return VLM_COLLAPSE_UNFIT;
	hva = vlm_memslot_hva_of(slot, gfn);
	/* In the middle of an invalidation the leaves and the host's tables may differ. */
	if (vlm_notifier_is_changing(mmu, hva, hva + (vlm_level_pages(level) << PAGE_SHIFT)))
		return VLM_COLLAPSE_LATER;
	if (vlm_platform_host_level(mmu, hva) < level)
		return VLM_COLLAPSE_UNFIT;

	survey_table(op, vlm_platform_table_va(vlm_spte_pa(old)), level - 1, &s);
	if (s.busy)
		return VLM_COLLAPSE_LATER;
	if (!s.alike)
		return VLM_COLLAPSE_UNFIT;
	if (!s.leaves)
		return VLM_COLLAPSE_EMPTY;
	return vlm_tdp_collapse_entry(op, sptep, old, make_huge(mmu, &s, level), level) ?
	       VLM_COLLAPSE_DONE : VLM_COLLAPSE_RACED;
}

/* Tables below entries at @level. */
static void collapse_level(struct vlm_tdp_op *op, struct vlm_mmu_page *root,
			   const struct vlm_memslot *slot, int level)
{
	u64 start = slot->base_gfn, end = slot->base_gfn + slot->npages;
	struct vlm_tdp_iter iter;

	/* A walk yields after its first step only, and the last one's may have been long. */
	vlm_tdp_try_break(op);
	vlm_tdp_for_each(iter, root, start, end, level) {
		/* It may have become invalid in a break: leave it to its zapper. */
		if (root->invalid)
			return;
		if (vlm_tdp_yield(op, &iter))
			continue;
		op->visited++;
		if (iter.level == level && iter.gfn >= start &&
		    vlm_spte_is_nonleaf(iter.old, level) &&
		    !vlm_nx_is_kept(vlm_page_of_spte(iter.old)))
			vlm_tdp_collapse_table(op, slot, iter.sptep, iter.old, iter.gfn, level);
	}
}

void vlm_tdp_collapse(struct vlm_tdp_op *op, struct vlm_mmu_page *root,
		      const struct vlm_memslot *slot)
{
	int level;

	/* From the bottom up: no step takes down more than one table. */
	for (level = VLM_LEVEL_2M; level <= vlm_spte_ept.max_level; level++)
		collapse_level(op, root, slot, level);
}
