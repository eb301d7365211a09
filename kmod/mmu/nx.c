// SPDX-License-Identifier: GPL-2.0-only
/* Account for the tables that only the NX mitigation keeps, and recover huge pages. */
#include "collapse.h"
#include "mmu.h"
#include "nx.h"
#include "trace.h"
#include "spte_store.h"

/* Tables that one call of vlm_mmu_recover_nx() looks at. */
#define RECOVER_BATCH	64

/* With no period of its own, the ratio says how many runs there are in one hour. */
#define HOUR_MS		3600000u
#define RATIO_MAX	3600u

void vlm_nx_add(struct vlm_mmu *mmu, struct vlm_mmu_page *sp)
{
	if (READ_ONCE(sp->nx) == VLM_NX_NONE)
		return;
	spin_lock(&mmu->pages_lock);
	/* Not if it was unlinked since it was published: its link is the flush list's then. */
	if (sp->nx == VLM_NX_KEPT) {
		WRITE_ONCE(sp->nx, VLM_NX_LISTED);
		list_add_tail(&sp->link, &mmu->nx_pages);
		vlm_stat_add(&mmu->stats, VLM_STAT_NX_LPAGE_SPLITS, 1);
	}
	spin_unlock(&mmu->pages_lock);
}

/* Pages lock held. */
static void unlist(struct vlm_mmu *mmu, struct vlm_mmu_page *sp, enum vlm_nx_state state)
{
	if (sp->nx == VLM_NX_LISTED) {
		list_del_init(&sp->link);
		vlm_stat_add(&mmu->stats, VLM_STAT_NX_LPAGE_SPLITS, -1);
	}
	WRITE_ONCE(sp->nx, state);
}

void vlm_nx_forget(struct vlm_mmu *mmu, struct vlm_mmu_page *sp)
{
	if (!vlm_nx_is_kept(sp))
		return;
	spin_lock(&mmu->pages_lock);
	unlist(mmu, sp, VLM_NX_NONE);
	spin_unlock(&mmu->pages_lock);
}

/*
 * Take the oldest table off the list; it stays KEPT. The caller's RCU section keeps its
 * memory, whatever happens to the table from now on.
 */
static struct vlm_mmu_page *pop_oldest(struct vlm_mmu *mmu)
{
	struct vlm_mmu_page *sp = NULL;

	spin_lock(&mmu->pages_lock);
	if (!list_empty(&mmu->nx_pages)) {
		sp = list_first_entry(&mmu->nx_pages, struct vlm_mmu_page, link);
		unlist(mmu, sp, VLM_NX_KEPT);
	}
	spin_unlock(&mmu->pages_lock);
	return sp;
}

static struct vlm_mmu_page *root_of(struct vlm_mmu_page *sp)
{
	while (sp->parent)
		sp = vlm_page_of_entry(sp->parent);
	return sp;
}

static enum vlm_collapse collapse(struct vlm_tdp_op *op, struct vlm_mmu_page *sp, u64 old,
				  enum vlm_nx_recovery how)
{
	const struct vlm_memslot *slot =
		vlm_memslot_find(vlm_memslots_get(op->mmu, sp->role.as_id), sp->gfn);
	int level = sp->role.level + 1;

	/* A larger table is not taken down in one step: it goes the other way. */
	if (how == VLM_NX_BY_FAULT && level == VLM_LEVEL_2M)
		return vlm_slot_allows_huge(slot, sp->gfn, level) ? VLM_COLLAPSE_EMPTY :
								    VLM_COLLAPSE_UNFIT;
	return vlm_tdp_collapse_table(op, slot, sp->parent, old, sp->gfn, level);
}

static void recover_page(struct vlm_tdp_op *op, struct vlm_mmu_page *sp, enum vlm_nx_recovery how)
{
	struct vlm_mmu_page *root = root_of(sp);
	int level = sp->role.level + 1;
	u64 old = vlm_spte_read(sp->parent);

	/* Who unlinked it has taken it off, or is about to; a defunct root is the reclaimer's. */
	if (root->invalid || !vlm_spte_is_nonleaf(old, level) || vlm_page_of_spte(old) != sp) {
		vlm_nx_forget(op->mmu, sp);
		return;
	}
	switch (collapse(op, sp, old, how)) {
	case VLM_COLLAPSE_EMPTY:
		if (!vlm_tdp_zap_entry(op, root, sp->parent, old, level))
			break;
		fallthrough;
	case VLM_COLLAPSE_DONE:
		vlm_stat_add(&op->mmu->stats, VLM_STAT_NX_RECOVERIES, 1);
		vlm_trace_nx_recovery(op->mmu, sp);
		break;
	case VLM_COLLAPSE_LATER:
		vlm_nx_add(op->mmu, sp);
		break;
	case VLM_COLLAPSE_UNFIT:
		/* Zapped it would come back as it is: it waits for something else now. */
		vlm_nx_forget(op->mmu, sp);
		break;
	case VLM_COLLAPSE_RACED:
		break;
	}
}

u64 vlm_mmu_nx_quota(const struct vlm_mmu *mmu, unsigned int ratio)
{
	u64 splits = vlm_stat_read(&mmu->stats, VLM_STAT_NX_LPAGE_SPLITS);

	return ratio ? DIV_ROUND_UP(splits, ratio) : 0;
}

u64 vlm_mmu_recover_nx(struct vlm_mmu *mmu, u64 quota, enum vlm_nx_recovery how)
{
	struct vlm_tdp_op op;
	unsigned int i;

	vlm_tdp_begin(&op, mmu, VLM_LOCK_SHARED, VLM_MAY_YIELD);
	for (i = 0; quota && i < RECOVER_BATCH; i++) {
		struct vlm_mmu_page *sp = pop_oldest(mmu);

		if (!sp) {
			quota = 0;
			break;
		}
		quota--;
		recover_page(&op, sp, how);
		vlm_tdp_try_break(&op);
	}
	vlm_tdp_end(&op);
	return quota;
}

u64 vlm_nx_period_ms(unsigned int ratio, unsigned int period_ms)
{
	if (!ratio)
		return 0;
	if (period_ms)
		return period_ms;
	return HOUR_MS / (ratio < RATIO_MAX ? ratio : RATIO_MAX);
}
