// SPDX-License-Identifier: GPL-2.0-only
/* Tables of the shadow MMU: find, make, change, zap. */
#include "guest_pt.h"
#include "rmap.h"
#include "shadow.h"
#include "spte_store.h"

static struct kmem_cache *header_cache;

int vlm_shadow_page_module_init(void)
{
	header_cache = kmem_cache_create("vlm_shadow_page", sizeof(struct vlm_shadow_page), 64,
					 SLAB_ACCOUNT, NULL);
	return header_cache ? 0 : -ENOMEM;
}

void vlm_shadow_page_module_exit(void)
{
	kmem_cache_destroy(header_cache);
	header_cache = NULL;
}

void vlm_shadow_header_free(struct vlm_mmu_page *page)
{
	struct vlm_shadow_page *sp = vlm_shadow_of(page);

	kfree(sp->guest);
	kmem_cache_free(header_cache, sp);
}

static struct vlm_shadow_page *page_alloc(struct vlm_mmu *mmu)
{
	struct vlm_shadow_page *sp = (struct vlm_shadow_page *)kmem_cache_zalloc(header_cache,
									GFP_KERNEL_ACCOUNT);

	if (!sp)
		return NULL;
	/* Also for pages that turn out to be direct: the cache does not know. */
	sp->guest = (u64 *)kzalloc(VLM_TABLE_ENTRIES * sizeof(u64), GFP_KERNEL_ACCOUNT);
	if (!sp->guest || vlm_page_init(mmu, &sp->page)) {
		kfree(sp->guest);
		kmem_cache_free(header_cache, sp);
		return NULL;
	}
	sp->page.role.shadow = 1;
	return sp;
}

int vlm_shadow_cache_fill(struct vlm_mmu *mmu, struct vlm_shadow_cache *cache)
{
	while (cache->nr < VLM_SHADOW_CACHE_MAX) {
		struct vlm_shadow_page *sp = page_alloc(mmu);

		if (!sp)
			return -ENOMEM;
		cache->pages[cache->nr++] = sp;
	}
	return vlm_ptr_desc_cache_fill(&cache->descs, VLM_PTR_DESC_CACHE_MAX);
}

void vlm_shadow_cache_drain(struct vlm_mmu *mmu, struct vlm_shadow_cache *cache)
{
	while (cache->nr)
		vlm_page_free(mmu, &cache->pages[--cache->nr]->page);
	vlm_ptr_desc_cache_drain(&cache->descs);
}

union vlm_shadow_role vlm_shadow_root_role(const struct vlm_guest_paging *p, unsigned int index)
{
	const struct guest_pt_format *fmt = vlm_guest_pt_format(p);
	union vlm_shadow_role role = { .word = 0 };

	role.as_id = p->as_id & 1;
	role.access = VLM_GACC_ALL;
	role.level = 2;
	if (!fmt) {
		role.direct = 1;
		role.mode = VLM_SHADOW_NONPAGING;
		return role;
	}
	role.level = (u32)fmt->root_level & 15;
	role.mode = fmt == &vlm_guest_pt_32 ? VLM_SHADOW_32 :
		    fmt == &vlm_guest_pt_pae ? VLM_SHADOW_PAE :
		    fmt == &vlm_guest_pt_4level ? VLM_SHADOW_4LEVEL : VLM_SHADOW_5LEVEL;
	if (fmt->entry_bytes == 4) {
		role.quadrant = index & 3;
		role.pse = !!(p->cr4 & GCR4_PSE);
	}
	role.nx = vlm_guest_has_nx(p);
	role.cr0_wp = !!(p->cr0 & GCR0_WP);
	role.smep_andnot_wp = !role.cr0_wp && (p->cr4 & GCR4_SMEP);
	role.smap_andnot_wp = !role.cr0_wp && (p->cr4 & GCR4_SMAP);
	return role;
}

union vlm_shadow_role vlm_shadow_child_role(union vlm_shadow_role role, unsigned int index,
					    u32 access)
{
	role.level = (role.level - 1) & 15;
	role.access = access & VLM_GACC_ALL;
	role.quadrant = 0;
	/* The lower table of 1024 entries takes two tables of 512. */
	if (role.mode == VLM_SHADOW_32 && !role.direct)
		role.quadrant = index & 1;
	return role;
}

const struct guest_pt_format *vlm_shadow_format(union vlm_shadow_role role)
{
	switch ((enum vlm_shadow_mode)role.mode) {
	case VLM_SHADOW_32:
		return &vlm_guest_pt_32;
	case VLM_SHADOW_PAE:
		return &vlm_guest_pt_pae;
	case VLM_SHADOW_4LEVEL:
		return &vlm_guest_pt_4level;
	case VLM_SHADOW_5LEVEL:
		return &vlm_guest_pt_5level;
	default:
		return NULL;
	}
}

bool vlm_shadow_is_obsolete(const struct vlm_shadow *sh, const struct vlm_shadow_page *sp)
{
	return sp->page.invalid || sp->gen != sh->gen;
}

struct vlm_shadow_page *vlm_shadow_page_of(u64 *sptep)
{
	u64 *table = (u64 *)((unsigned long)sptep & ~(PAGE_SIZE - 1));

	return vlm_shadow_of((struct vlm_mmu_page *)vlm_platform_table_owner(table));
}

unsigned int vlm_shadow_index_of(const u64 *sptep)
{
	return ((unsigned long)sptep & (PAGE_SIZE - 1)) / sizeof(u64);
}

struct vlm_shadow_page *vlm_shadow_child(struct vlm_shadow_page *sp, unsigned int index)
{
	u64 spte = vlm_spte_read(sp->page.table + index);

	if (!vlm_spte_is_nonleaf(spte, (int)sp->role.level))
		return NULL;
	return vlm_shadow_of(vlm_page_of_spte(spte));
}

u64 vlm_shadow_entry_gfn(const struct vlm_shadow_page *sp, unsigned int index)
{
	if (sp->role.direct)
		return sp->page.gfn + index * vlm_level_pages((int)sp->role.level);
	return sp->guest[index] >> PAGE_SHIFT;
}

struct list_head *vlm_shadow_bucket(struct vlm_shadow *sh, u64 gfn)
{
	/* Tables are often neighbours; multiplication spreads those far apart too. */
	return sh->hash + ((gfn * 0x9e3779b97f4a7c15ull) >> (64 - VLM_SHADOW_HASH_BITS));
}

struct vlm_shadow_page *vlm_shadow_find(struct vlm_shadow *sh, u64 gfn,
					union vlm_shadow_role role)
{
	struct vlm_shadow_page *sp;

	lockdep_assert_held_write(&sh->mmu->lock);
	list_for_each_entry(sp, vlm_shadow_bucket(sh, gfn), hash) {
		if (sp->page.gfn == gfn && sp->role.word == role.word &&
		    !vlm_shadow_is_obsolete(sh, sp))
			return sp;
	}
	return NULL;
}

static struct vlm_memslot *slot_of(struct vlm_shadow *sh, unsigned int as_id, u64 gfn)
{
	struct vlm_memslot *slot = vlm_memslot_find(vlm_memslots_get(sh->mmu, as_id), gfn);

	return slot && slot->rmap ? slot : NULL;
}

/* A guest table at the frame of @sp is shadowed from now on, or (@delta -1) no longer. */
static void count_table(struct vlm_shadow *sh, const struct vlm_shadow_page *sp, int delta)
{
	struct vlm_memslot *slot = slot_of(sh, sp->role.as_id, sp->page.gfn);
	int level;

	if (sp->role.direct)
		return;
	WRITE_ONCE(sh->nr_indirect, sh->nr_indirect + (u64)delta);
	for (level = VLM_LEVEL_2M; slot && level <= VLM_LEVEL_1G; level++)
		*vlm_slot_tables(slot, sp->page.gfn, level) += (u32)delta;
}

struct vlm_shadow_page *vlm_shadow_create(struct vlm_shadow *sh, u64 gfn,
					  union vlm_shadow_role role,
					  struct vlm_shadow_cache *cache)
{
	struct vlm_shadow_page *sp;

	lockdep_assert_held_write(&sh->mmu->lock);
	if (!cache->nr) {
		vlm_platform_kill(sh->mmu, "shadow page cache ran dry under the mmu lock");
		return NULL;
	}
	sp = cache->pages[--cache->nr];
	sp->role = role;
	sp->page.gfn = gfn;
	sp->page.role.level = role.level & 15;
	sp->page.role.as_id = role.as_id & 1;
	sp->gen = sh->gen;
	list_add(&sp->hash, vlm_shadow_bucket(sh, gfn));
	list_add(&sp->page.link, &sh->active);
	WRITE_ONCE(sh->nr_pages, sh->nr_pages + 1);
	count_table(sh, sp, 1);
	return sp;
}

static enum vlm_mmu_stat leaf_stat(int level)
{
	return level == VLM_LEVEL_4K ? VLM_STAT_PAGES_4K :
	       level == VLM_LEVEL_2M ? VLM_STAT_PAGES_2M : VLM_STAT_PAGES_1G;
}

static void forget_leaf(struct vlm_shadow *sh, struct vlm_shadow_page *sp, unsigned int index)
{
	int level = (int)sp->role.level;
	u64 gfn = vlm_shadow_entry_gfn(sp, index);
	struct vlm_memslot *slot = slot_of(sh, sp->role.as_id, gfn);

	vlm_stat_add(&sh->mmu->stats, leaf_stat(level), -1);
	if (!slot || !vlm_ptr_chain_remove(vlm_slot_leaves(slot, gfn, level),
					   sp->page.table + index))
		vlm_platform_kill(sh->mmu, "a leaf is missing from the reverse map");
}

void vlm_shadow_drop(struct vlm_shadow *sh, struct vlm_shadow_page *sp, unsigned int index,
		     struct vlm_flush *flush)
{
	int level = (int)sp->role.level;
	u64 *sptep = sp->page.table + index;
	u64 old = vlm_spte_read(sptep);

	lockdep_assert_held_write(&sh->mmu->lock);
	if (!vlm_spte_is_present(old))
		return;
	old = vlm_spte_xchg_exclusive(sptep, 0);
	vlm_stat_add(&sh->mmu->stats, VLM_STAT_ZAPPED, 1);
	if (vlm_spte_is_leaf(old, level))
		forget_leaf(sh, sp, index);
	else if (!vlm_ptr_chain_remove(&vlm_shadow_of(vlm_page_of_spte(old))->parents, sptep))
		vlm_platform_kill(sh->mmu, "a table does not know its parent");
	sp->guest[index] = 0;
	if (!vlm_shadow_is_obsolete(sh, sp))
		flush->needed = true;
}

/* Empty all entries in @chain. */
static void drop_chain(struct vlm_shadow *sh, struct vlm_ptr_chain *chain, struct vlm_flush *flush)
{
	u64 *sptep;

	while ((sptep = vlm_ptr_chain_last(chain))) {
		u32 before = vlm_ptr_chain_count(chain);

		vlm_shadow_drop(sh, vlm_shadow_page_of(sptep), vlm_shadow_index_of(sptep), flush);
		if (vlm_ptr_chain_count(chain) == before) {
			vlm_platform_kill(sh->mmu, "a bag holds an entry that is not present");
			return;
		}
	}
}

u32 vlm_shadow_drop_leaves(struct vlm_shadow *sh, struct vlm_ptr_chain *leaves,
			   struct vlm_flush *flush)
{
	u32 nr = vlm_ptr_chain_count(leaves);

	drop_chain(sh, leaves, flush);
	return nr;
}

/* Room for one more pointer in @chain, even at the price of all that is in it. */
static void limit_chain(struct vlm_shadow *sh, struct vlm_ptr_chain *chain,
			struct vlm_flush *flush)
{
	if (vlm_ptr_chain_count(chain) < VLM_PTR_CHAIN_MAX)
		return;
	sh->stats.chains_dropped++;
	drop_chain(sh, chain, flush);
}

bool vlm_shadow_set_leaf(struct vlm_shadow *sh, struct vlm_shadow_page *sp, unsigned int index,
			 u64 spte, u64 gfn, u32 access, struct vlm_ptr_desc_cache *cache,
			 struct vlm_flush *flush)
{
	int level = (int)sp->role.level;
	u64 *sptep = sp->page.table + index;
	u64 old = vlm_spte_read(sptep);

	lockdep_assert_held_write(&sh->mmu->lock);
	if (!vlm_spte_is_present(old)) {
		struct vlm_ptr_chain *chain =
			vlm_slot_leaves(slot_of(sh, sp->role.as_id, gfn), gfn, level);

		limit_chain(sh, chain, flush);
		if (!vlm_ptr_chain_add(chain, sptep, cache))
			return false;
		vlm_stat_add(&sh->mmu->stats, leaf_stat(level), 1);
	}
	if (!sp->role.direct)
		sp->guest[index] = gfn << PAGE_SHIFT | access;
	/* Rights that a TLB may hold are taken away. */
	old = vlm_spte_xchg_exclusive(sptep, spte);
	if (vlm_spte_is_present(old) &&
	    ((old & ~spte & (vlm_spte_shadow.w | vlm_spte_shadow.user | vlm_spte_shadow.mmu_w)) ||
	     (~old & spte & vlm_spte_shadow.nx)))
		flush->needed = true;
	return true;
}

bool vlm_shadow_link(struct vlm_shadow *sh, struct vlm_shadow_page *sp, unsigned int index,
		     struct vlm_shadow_page *child, struct vlm_ptr_desc_cache *cache,
		     struct vlm_flush *flush)
{
	u64 *sptep = sp->page.table + index;

	lockdep_assert_held_write(&sh->mmu->lock);
	limit_chain(sh, &child->parents, flush);
	if (!vlm_ptr_chain_add(&child->parents, sptep, cache))
		return false;
	vlm_spte_xchg_exclusive(sptep,
				vlm_spte_make_nonleaf(&vlm_spte_shadow,
						      vlm_platform_table_pa(child->page.table)) |
				vlm_spte_shadow.user);
	if (child->unsync || child->unsync_children)
		vlm_shadow_mark_unsync(sptep);
	return true;
}

void vlm_shadow_zap(struct vlm_shadow *sh, struct vlm_shadow_page *sp, struct vlm_flush *flush)
{
	bool in_use = sp->root_count && !vlm_shadow_is_obsolete(sh, sp);
	unsigned int i;

	lockdep_assert_held_write(&sh->mmu->lock);
	if (WARN_ON_ONCE(sp->page.invalid))
		return;
	for (i = 0; i < VLM_TABLE_ENTRIES; i++)
		vlm_shadow_drop(sh, sp, i, flush);
	drop_chain(sh, &sp->parents, flush);
	count_table(sh, sp, -1);
	vlm_stat_add(&sh->mmu->stats, VLM_STAT_TABLES_ZAPPED, 1);
	sp->unsync = false;
	sp->unsync_children = 0;
	memset(sp->unsync_bits, 0, sizeof(sp->unsync_bits));
	list_del_init(&sp->hash);
	list_del_init(&sp->page.link);
	WRITE_ONCE(sh->nr_pages, sh->nr_pages - 1);
	/* Before the request: who serves it must see that the root is gone. */
	WRITE_ONCE(sp->page.invalid, true);
	if (!sp->root_count)
		list_add_tail(&sp->page.link, &flush->pages);
	else if (in_use)
		vlm_platform_reload_all(sh->mmu);
}

void vlm_shadow_root_get(struct vlm_shadow_page *sp)
{
	sp->root_count++;
}

void vlm_shadow_root_put(struct vlm_shadow *sh, struct vlm_shadow_page *sp)
{
	lockdep_assert_held_write(&sh->mmu->lock);
	if (!--sp->root_count && sp->page.invalid)
		vlm_page_free_rcu(sh->mmu, &sp->page);
}
