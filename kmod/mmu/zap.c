// SPDX-License-Identifier: GPL-2.0-only
/* Zap everything: while vCPUs run, and at the end. */
#include "mmu.h"
#include "tdp.h"
#include "zap.h"

/* Empty the roots that @filter selects and drop the MMU's reference of those nobody claimed yet. */
static void zap_roots(struct vlm_mmu *mmu, enum vlm_root_filter filter)
{
	struct vlm_mmu_page *root;
	struct vlm_tdp_op op;

	vlm_tdp_begin(&op, mmu, VLM_LOCK_SHARED, VLM_MAY_YIELD);
	vlm_for_each_root(mmu, root, filter) {
		vlm_tdp_zap_root(&op, root);
		if (vlm_root_claim(mmu, root))
			vlm_root_put(mmu, root);
	}
	vlm_tdp_end(&op);
}

static void invalidate_all(struct vlm_mmu *mmu)
{
	write_lock(&mmu->lock);
	vlm_root_invalidate_all(mmu);
	write_unlock(&mmu->lock);
}

void vlm_zap_all_fast(struct vlm_mmu *mmu)
{
	vlm_stat_add(&mmu->stats, VLM_STAT_ZAP_ALL_FAST, 1);
	invalidate_all(mmu);
	/* The set of roots to zap is fixed now; vCPUs only add others. */
	zap_roots(mmu, VLM_ROOTS_SCHEDULED);
}

void vlm_mmu_zap_all(struct vlm_mmu *mmu)
{
	invalidate_all(mmu);
	zap_roots(mmu, VLM_ROOTS_ALL);
}
