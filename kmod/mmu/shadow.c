// SPDX-License-Identifier: GPL-2.0-only
/* Life of the shadow MMU of one machine, and of a vCPU's part in it. */
#include "guest_pt.h"
#include "shadow.h"

#define HASH_BUCKETS	(1u << VLM_SHADOW_HASH_BITS)

int vlm_shadow_init(struct vlm_shadow *sh, struct vlm_mmu *mmu, u64 max_pages)
{
	u32 i;

	memset(sh, 0, sizeof(*sh));
	sh->mmu = mmu;
	sh->max_pages = max_pages;
	sh->zap_budget = VLM_YIELD_BUDGET;
	INIT_LIST_HEAD(&sh->active);
	vlm_flush_init(&sh->parked);
	sh->hash = (struct list_head *)kvcalloc(HASH_BUCKETS, sizeof(*sh->hash),
						GFP_KERNEL_ACCOUNT);
	if (!sh->hash)
		return -ENOMEM;
	for (i = 0; i < HASH_BUCKETS; i++)
		INIT_LIST_HEAD(sh->hash + i);
	mmu->shadow = sh;
	return 0;
}

void vlm_shadow_destroy(struct vlm_shadow *sh)
{
	if (!sh->hash)
		return;
	WARN_ON_ONCE(sh->nr_pages || sh->nr_parked);
	sh->mmu->shadow = NULL;
	kvfree(sh->hash);
	sh->hash = NULL;
}

void vlm_shadow_vcpu_init(struct vlm_shadow_vcpu *sv, struct vlm_shadow *sh)
{
	memset(sv, 0, sizeof(*sv));
	sv->sh = sh;
}

void vlm_shadow_vcpu_destroy(struct vlm_shadow_vcpu *sv)
{
	vlm_shadow_unload(sv);
	vlm_shadow_cache_drain(sv->sh->mmu, &sv->cache);
}

/* mmu lock held for write. */
static void put_roots(struct vlm_shadow_vcpu *sv)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sv->roots); i++) {
		if (sv->roots[i])
			vlm_shadow_root_put(sv->sh, sv->roots[i]);
		sv->roots[i] = NULL;
	}
}

void vlm_shadow_unload(struct vlm_shadow_vcpu *sv)
{
	struct vlm_mmu *mmu = sv->sh->mmu;

	write_lock(&mmu->lock);
	put_roots(sv);
	write_unlock(&mmu->lock);
}

/* The frame of the table that root @index shadows. False: the guest has none there. */
static bool root_gfn(const struct vlm_guest_paging *p, unsigned int index, u64 *gfn)
{
	const struct guest_pt_format *fmt = vlm_guest_pt_format(p);

	if (!fmt) {
		*gfn = (u64)index << (30 - PAGE_SHIFT);
		return true;
	}
	if (fmt->pae_root) {
		*gfn = (p->pdptrs[index] & GENMASK_ULL(51, 12)) >> PAGE_SHIFT;
		return p->pdptrs[index] & GPTE_PRESENT;
	}
	*gfn = (p->cr3 & fmt->cr3_mask) >> PAGE_SHIFT;
	return true;
}

/* Tables outside of memory cannot be protected, nor counted in their slot. */
static bool is_memory(struct vlm_shadow *sh, union vlm_shadow_role role, u64 gfn)
{
	struct vlm_memslot *slot = vlm_memslot_find(vlm_memslots_get(sh->mmu, role.as_id), gfn);

	return role.direct || (slot && !(slot->flags & VLM_MEMSLOT_INVALID));
}

static int get_root(struct vlm_shadow_vcpu *sv, struct vlm_tdp_op *op, unsigned int index)
{
	union vlm_shadow_role role = vlm_shadow_root_role(&sv->paging, index);
	struct vlm_shadow_page *root;
	u64 gfn;

	if (!root_gfn(&sv->paging, index, &gfn))
		return 0;
	if (!is_memory(sv->sh, role, gfn))
		return -EFAULT;
	root = vlm_shadow_get(sv, gfn, role, &op->flush);
	if (!root)
		return -EAGAIN;
	vlm_shadow_root_get(root);
	sv->roots[index] = root;
	return 0;
}

int vlm_shadow_load(struct vlm_shadow_vcpu *sv, const struct vlm_guest_paging *paging)
{
	struct vlm_shadow *sh = sv->sh;
	struct vlm_tdp_op op;
	unsigned int i;
	int err = 0;

	if (vlm_shadow_cache_fill(sh->mmu, &sv->cache))
		return -ENOMEM;
	vlm_shadow_make_room(sh);
	vlm_tdp_begin(&op, sh->mmu, VLM_LOCK_EXCLUSIVE, VLM_MAY_YIELD);
	put_roots(sv);
	sv->paging = *paging;
	sv->nr_roots = vlm_shadow_root_role(paging, 0).level == 2 ? 4 : 1;
	for (i = 0; i < sv->nr_roots && !err; i++)
		err = get_root(sv, &op, i);
	/* Yields, but holds references: a root that goes meanwhile comes with a new request. */
	for (i = 0; i < sv->nr_roots && !err; i++) {
		if (sv->roots[i] && !vlm_shadow_is_obsolete(sh, sv->roots[i]))
			vlm_shadow_sync_children(sh, &op, sv->roots[i], paging);
	}
	if (err)
		put_roots(sv);
	vlm_tdp_end(&op);
	return err;
}

u64 vlm_shadow_root_pa(const struct vlm_shadow_vcpu *sv, unsigned int index)
{
	return sv->roots[index] ? vlm_platform_table_pa(sv->roots[index]->page.table) : 0;
}
