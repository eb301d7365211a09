// SPDX-License-Identifier: GPL-2.0-only
/* Repair a leaf in RCU, without the mmu lock. */
#include "dirty.h"
#include "fault_fast.h"
#include "spte.h"
#include "spte_store.h"
#include "tdp.h"

/* Exchanges that another thread may spoil before the lock is taken after all. */
#define FAST_TRIES	5

static bool may_write_at(const struct vlm_memslot *slot, int level)
{
	/* What is logged is logged by 4 KiB: a huge leaf has to be split first. */
	return level == VLM_LEVEL_4K || !(slot->flags & VLM_MEMSLOT_LOG_DIRTY);
}

bool vlm_fault_try_fast(struct vlm_mmu_vcpu *mv, const struct vlm_memslot *slot, u64 gfn,
			u32 access, enum vlm_fault_result *res)
{
	unsigned int tries;
	bool done = false;

	rcu_read_lock();
	for (tries = 0; tries < FAST_TRIES && !done; tries++) {
		u64 old, val, *sptep;
		int level;

		if (READ_ONCE(mv->root->invalid))
			break;
		sptep = vlm_tdp_find(mv->root, gfn, &old, &level);
		if (!vlm_spte_is_leaf(old, level))
			break;
		if (vlm_spte_allows(&vlm_spte_ept, old, access)) {
			*res = VLM_FAULT_SPURIOUS;
			done = true;
			break;
		}
		val = vlm_spte_make_repaired(&vlm_spte_ept, old, access);
		if (!vlm_spte_allows(&vlm_spte_ept, val, access))
			break;
		if ((access & VLM_ACCESS_WRITE) && !may_write_at(slot, level))
			break;
		/*
		 * Exactly what was seen, so the frame is still the one that was meant: an
		 * invalidation before this wins, and one after it flushes.
		 */
		done = vlm_spte_try_cmpxchg_lockless(sptep, &old, val);
		if (!done)
			continue;
		/* Install first, mark second. */
		if (access & VLM_ACCESS_WRITE)
			vlm_memslot_mark_dirty(mv->mmu, slot, gfn);
		*res = VLM_FAULT_FIXED;
	}
	rcu_read_unlock();
	if (done)
		vlm_pf_count(&mv->stats, VLM_PF_FAST);
	return done;
}
