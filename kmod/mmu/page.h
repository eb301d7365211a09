/* SPDX-License-Identifier: GPL-2.0-only */
/* One table page and its header. */
#ifndef VLM_MMU_PAGE_H
#define VLM_MMU_PAGE_H

#include "platform.h"
#include "spte.h"
#include "state.h"

/* What makes two tables for the same gfn different. Constant after creation. */
union vlm_role {
	u16 word;
	struct {
		u16 level : 4;		/* of the entries inside */
		u16 as_id : 1;
		u16 guest_mode : 1;	/* reserved for a nested guest */
		u16 shadow : 1;		/* the header is that of a struct vlm_shadow_page */
	};
};

/**
 * struct vlm_mmu_page - header of a table of the TDP MMU; one cache line
 * Letters as in state.h: c constant once linked, l mmu lock, p pages lock, a atomic.
 *
 * @table:	c  the 512 entries
 * @gfn:	c  first frame that the table covers
 * @parent:	entry that points here, NULL for a root; changed with the lock held for
 *		   write, when the table is moved to a defunct root
 * @role:	c
 * @invalid:	l  roots: no vCPU may run on it; set with the lock held for write,
 *		   once; every holder of the lock may rely on it
 * @scheduled:	p  roots: the MMU's own reference waits for the zapper to drop it
 * @nx:		p  others: enum vlm_nx_state, see nx.h; before it is linked, its maker's
 * @refs:	a  roots: see root.h
 * @link:	p  roots: vlm_mmu::roots. Others: vlm_mmu::nx_pages while @nx says so, a
 *		   struct vlm_flush once unlinked
 * @rcu:	for the grace period before freeing
 */
struct vlm_mmu_page {
	u64 *table;
	u64 gfn;
	u64 *parent;
	union vlm_role role;
	bool invalid;
	union {
		bool scheduled;
		u8 nx;
	};
	refcount_t refs;
	struct list_head link;
	struct rcu_head rcu;
};

/* Once per module. */
int vlm_page_module_init(void);
void vlm_page_module_exit(void);

/* A header with an empty table. Sleeps. NULL when out of memory. */
struct vlm_mmu_page *vlm_page_alloc(struct vlm_mmu *mmu);
/* Give the zeroed header @sp a table. 0 or -ENOMEM. Sleeps. */
int vlm_page_init(struct vlm_mmu *mmu, struct vlm_mmu_page *sp);
/* Free a page that was never visible to anyone. */
void vlm_page_free(struct vlm_mmu *mmu, struct vlm_mmu_page *sp);
/*
 * Free an unlinked page once no walker can be inside. The hardware is no longer able to
 * walk it: translations were flushed, or no vCPU may run on its root.
 */
void vlm_page_free_rcu(struct vlm_mmu *mmu, struct vlm_mmu_page *sp);

/* The page that a nonleaf entry points at. */
struct vlm_mmu_page *vlm_page_of_spte(u64 spte);

/* The page that an entry stands in. */
struct vlm_mmu_page *vlm_page_of_entry(u64 *sptep);

/* Fill up to @min pages. Sleeps, no mmu lock. 0 or -ENOMEM; what was got is kept. */
int vlm_page_cache_fill(struct vlm_mmu *mmu, struct vlm_page_cache *cache, u32 min);
/* Take a page; the cache was filled. */
struct vlm_mmu_page *vlm_page_cache_pop(struct vlm_mmu *mmu, struct vlm_page_cache *cache);
/* Give back a page that was not used. */
void vlm_page_cache_push(struct vlm_mmu *mmu, struct vlm_page_cache *cache,
			 struct vlm_mmu_page *sp);
void vlm_page_cache_drain(struct vlm_mmu *mmu, struct vlm_page_cache *cache);

/* Pages of all machines, those that await a grace period included. */
u64 vlm_page_live(void);

#endif
