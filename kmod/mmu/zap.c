// SPDX-License-Identifier: GPL-2.0-only
/* Zap everything: while vCPUs run, and at the end. */
#include "mmu.h"
#include "shadow.h"
#include "tdp.h"
#include "trace.h"
#include "zap.h"

/*
 * Empty roots, and drop the MMU's own reference of those that this thread claims. Several
 * threads may be here.
 */
static void zap_roots(struct vlm_mmu *mmu, enum vlm_root_filter filter)
{
	struct vlm_mmu_page *root;
	struct vlm_tdp_op op;

	vlm_tdp_begin(&op, mmu, VLM_LOCK_SHARED, VLM_MAY_YIELD);
	vlm_for_each_root(mmu, root, filter) {
		bool claimed = vlm_root_claim(mmu, root);

		/* Who asks for all relies on them to be empty, whoever else is at work. */
		if (claimed || filter == VLM_ROOTS_ALL)
			vlm_tdp_zap_root(&op, root);
		if (!claimed)
			continue;
		vlm_root_put(mmu, root);
		vlm_stat_add(&mmu->stats, VLM_STAT_RECLAIM_BACKLOG, -1);
	}
	vlm_tdp_end(&op);
}

void vlm_mmu_reclaim(struct vlm_mmu *mmu)
{
	zap_roots(mmu, VLM_ROOTS_SCHEDULED);
}

/*
 * Everything that is cut off together, in one write section: no table made before it, and no
 * entry made under the old rule, is used by a guest after it.
 */
static void cut_off(struct vlm_mmu *mmu, bool nx)
{
	struct vlm_tdp_op op;

	vlm_tdp_begin(&op, mmu, VLM_LOCK_EXCLUSIVE, VLM_NEVER_YIELD);
	mmu->nx = nx;
	if (mmu->shadow)
		vlm_shadow_obsolete_all(mmu->shadow);
	vlm_root_invalidate_all(mmu);
	vlm_tdp_end(&op);
	/* Leaves are found through their slot: none may be left when it goes. */
	if (mmu->shadow)
		vlm_shadow_zap_obsolete(mmu->shadow);
}

/*
 * No guest can reach the old tables now, and they owe the host nothing (G5): what is left
 * to do is to give memory back. A caller that outruns the reclaimer helps, so that the
 * memory held by defunct tables is bounded.
 */
void vlm_zap_hand_over(struct vlm_mmu *mmu)
{
	u64 backlog = vlm_stat_read(&mmu->stats, VLM_STAT_RECLAIM_BACKLOG);

	if (backlog && (backlog > VLM_RECLAIM_BACKLOG || !vlm_platform_reclaim_later(mmu)))
		vlm_mmu_reclaim(mmu);
}

static void cut_off_and_tell(struct vlm_mmu *mmu, bool nx)
{
	vlm_stat_add(&mmu->stats, VLM_STAT_ZAP_ALL_FAST, 1);
	cut_off(mmu, nx);
	vlm_trace_zap_all_fast(mmu);
}

void vlm_zap_cut_off(struct vlm_mmu *mmu)
{
	cut_off_and_tell(mmu, mmu->nx);
}

void vlm_zap_all_fast(struct vlm_mmu *mmu)
{
	vlm_zap_cut_off(mmu);
	vlm_zap_hand_over(mmu);
}

void vlm_mmu_set_nx(struct vlm_mmu *mmu, enum vlm_nx_mitigation what)
{
	bool nx = what == VLM_NX_ON;

	if (mmu->nx == nx)
		return;
	cut_off_and_tell(mmu, nx);
	vlm_zap_hand_over(mmu);
}

void vlm_mmu_zap_all(struct vlm_mmu *mmu)
{
	cut_off(mmu, mmu->nx);
	zap_roots(mmu, VLM_ROOTS_ALL);
}
