/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What an operation on the tables still owes: a TLB flush, and tables to free after
 * it. Who holds the mmu lock holds one of these, and must commit it before the lock
 * is dropped.
 */
#ifndef VLM_MMU_FLUSH_H
#define VLM_MMU_FLUSH_H

#include "page.h"

/**
 * struct vlm_flush - a debt
 * @needed:	a vCPU may still use a translation that the tables no longer have
 * @pages:	unlinked tables, through vlm_mmu_page::link
 */
struct vlm_flush {
	bool needed;
	struct list_head pages;
};

static inline void vlm_flush_init(struct vlm_flush *flush)
{
	flush->needed = false;
	INIT_LIST_HEAD(&flush->pages);
}

static inline bool vlm_flush_is_owed(const struct vlm_flush *flush)
{
	return flush->needed || !list_empty(&flush->pages);
}

/* Flush now. Any mode of the mmu lock. */
static inline void vlm_flush_now(struct vlm_mmu *mmu)
{
	vlm_stat_add(&mmu->stats, VLM_STAT_FLUSHES, 1);
	if (vlm_platform_flush_tlbs(mmu))
		vlm_stat_add(&mmu->stats, VLM_STAT_FLUSH_IPIS, 1);
}

/* Pay: flush if needed, only then let go of the tables. */
static inline void vlm_flush_commit(struct vlm_mmu *mmu, struct vlm_flush *flush)
{
	struct vlm_mmu_page *sp, *next;

	if (flush->needed)
		vlm_flush_now(mmu);
	flush->needed = false;
	list_for_each_entry_safe(sp, next, &flush->pages, link) {
		list_del(&sp->link);
		vlm_page_free_rcu(mmu, sp);
	}
}

#endif
