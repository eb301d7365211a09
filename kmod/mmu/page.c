// SPDX-License-Identifier: GPL-2.0-only
/* Allocate, cache and free table pages. */
#include "page.h"
#include "shadow_page.h"

static struct kmem_cache *header_cache;
static atomic64_t live_pages;

int vlm_page_module_init(void)
{
	BUILD_BUG_ON(sizeof(struct vlm_mmu_page) > 64);
	header_cache = kmem_cache_create("vlm_mmu_page", sizeof(struct vlm_mmu_page), 64,
					 SLAB_ACCOUNT, NULL);
	if (!header_cache)
		return -ENOMEM;
	if (vlm_shadow_page_module_init()) {
		kmem_cache_destroy(header_cache);
		return -ENOMEM;
	}
	return 0;
}

void vlm_page_module_exit(void)
{
	/* Callbacks of the last machine may still be on their way. */
	rcu_barrier();
	vlm_shadow_page_module_exit();
	kmem_cache_destroy(header_cache);
	header_cache = NULL;
}

u64 vlm_page_live(void)
{
	return (u64)atomic64_read(&live_pages);
}

struct vlm_mmu_page *vlm_page_alloc(struct vlm_mmu *mmu)
{
	struct vlm_mmu_page *sp = (struct vlm_mmu_page *)kmem_cache_zalloc(header_cache,
									   GFP_KERNEL_ACCOUNT);

	if (!sp)
		return NULL;
	if (vlm_page_init(mmu, sp)) {
		kmem_cache_free(header_cache, sp);
		return NULL;
	}
	return sp;
}

int vlm_page_init(struct vlm_mmu *mmu, struct vlm_mmu_page *sp)
{
	sp->table = vlm_platform_table_alloc(mmu);
	if (!sp->table)
		return -ENOMEM;
	vlm_platform_table_set_owner(sp->table, sp);
	INIT_LIST_HEAD(&sp->link);
	atomic64_inc(&live_pages);
	vlm_stat_add(&mmu->stats, VLM_STAT_TABLES, 1);
	return 0;
}

static void page_release(struct vlm_mmu_page *sp)
{
	vlm_platform_table_free(sp->table);
	if (sp->role.shadow)
		vlm_shadow_header_free(sp);
	else
		kmem_cache_free(header_cache, sp);
	atomic64_dec(&live_pages);
}

void vlm_page_free(struct vlm_mmu *mmu, struct vlm_mmu_page *sp)
{
	vlm_stat_add(&mmu->stats, VLM_STAT_TABLES, -1);
	page_release(sp);
}

static void page_rcu(struct rcu_head *head)
{
	page_release(container_of(head, struct vlm_mmu_page, rcu));
}

void vlm_page_free_rcu(struct vlm_mmu *mmu, struct vlm_mmu_page *sp)
{
	vlm_stat_add(&mmu->stats, VLM_STAT_TABLES, -1);
	call_rcu(&sp->rcu, page_rcu);
}

struct vlm_mmu_page *vlm_page_of_spte(u64 spte)
{
	return (struct vlm_mmu_page *)
		vlm_platform_table_owner(vlm_platform_table_va(vlm_spte_pa(spte)));
}

struct vlm_mmu_page *vlm_page_of_entry(u64 *sptep)
{
	u64 *table = (u64 *)((unsigned long)sptep & PAGE_MASK);

	return (struct vlm_mmu_page *)vlm_platform_table_owner(table);
}

int vlm_page_cache_fill(struct vlm_mmu *mmu, struct vlm_page_cache *cache, u32 min)
{
	while (cache->nr < min) {
		struct vlm_mmu_page *sp = vlm_page_alloc(mmu);

		if (!sp)
			return -ENOMEM;
		cache->pages[cache->nr++] = sp;
	}
	return 0;
}

struct vlm_mmu_page *vlm_page_cache_pop(struct vlm_mmu *mmu, struct vlm_page_cache *cache)
{
	if (!cache->nr) {
		vlm_platform_kill(mmu, "page cache ran dry under the mmu lock");
		return NULL;
	}
	return cache->pages[--cache->nr];
}

void vlm_page_cache_push(struct vlm_mmu *mmu, struct vlm_page_cache *cache,
			 struct vlm_mmu_page *sp)
{
	if (cache->nr == VLM_PAGE_CACHE_MAX)
		vlm_page_free(mmu, sp);
	else
		cache->pages[cache->nr++] = sp;
}

void vlm_page_cache_drain(struct vlm_mmu *mmu, struct vlm_page_cache *cache)
{
	while (cache->nr)
		vlm_page_free(mmu, cache->pages[--cache->nr]);
}
