// SPDX-License-Identifier: GPL-2.0-only
/*
 * Make shadow tables say what the guest's tables say. The order: take write permission
 * away from the guest's tables, flush, and only then read them: what is read is what the
 * guest can no longer change unseen.
 */
#include "guest_pt.h"
#include "rmap.h"
#include "shadow.h"
#include "spte_store.h"

/* Entries of the guest that are read at a time. */
#define CHUNK	64u

u32 vlm_gpte_access(u64 gpte)
{
	return (gpte & GPTE_WRITE ? VLM_GACC_WRITE : 0) | (gpte & GPTE_USER ? VLM_GACC_USER : 0) |
	       (gpte & GPTE_NX ? 0 : VLM_GACC_EXEC);
}

u64 vlm_shadow_gpte_gpa(const struct vlm_shadow_page *sp, unsigned int index)
{
	u64 table = sp->page.gfn << PAGE_SHIFT;

	if (sp->role.mode != VLM_SHADOW_32)
		return table + index * 8;
	/* A table of 1024 entries of 4 bytes; above level 1 each takes two entries here. */
	if (sp->role.level == VLM_LEVEL_4K)
		return table + sp->role.quadrant * 2048ull + index * 4;
	return table + sp->role.quadrant * 1024ull + index / 2 * 4;
}

bool vlm_shadow_read_gpte(const struct vlm_shadow_page *sp, const struct vlm_guest_paging *paging,
			  u64 gpte, struct vlm_gpte_leaf *leaf)
{
	const struct guest_pt_format *fmt = vlm_shadow_format(sp->role);
	int level = (int)sp->role.level;

	/* Without A the next access must walk, to set it. */
	if (!(gpte & GPTE_PRESENT) || !(gpte & GPTE_ACCESSED) ||
	    (gpte & vlm_gpte_reserved(fmt, paging, gpte, level)) ||
	    !vlm_gpte_is_leaf(fmt, paging, gpte, level))
		return false;
	leaf->gfn = vlm_gpte_leaf_base(fmt, gpte, level) >> PAGE_SHIFT;
	leaf->access = sp->role.access & vlm_gpte_access(gpte);
	if (!(gpte & GPTE_DIRTY))
		leaf->access &= ~VLM_GACC_WRITE;
	return true;
}

/*
 * Bring entry @index in line with @gpte. Rights are only ever taken away here: more come
 * by the next fault, which has the host's page at hand.
 */
static void sync_entry(struct vlm_shadow *sh, struct vlm_shadow_page *sp, unsigned int index,
		       const struct vlm_guest_paging *paging, u64 gpte, struct vlm_flush *flush)
{
	u64 *sptep = sp->page.table + index;
	u32 had = sp->guest[index] & VLM_GACC_ALL;
	struct vlm_gpte_leaf leaf;
	u64 spte;

	if (!vlm_shadow_read_gpte(sp, paging, gpte, &leaf) ||
	    leaf.gfn != vlm_shadow_entry_gfn(sp, index) ||
	    (had & ~leaf.access & ~VLM_GACC_WRITE)) {
		vlm_shadow_drop(sh, sp, index, flush);
		return;
	}
	if (!(had & ~leaf.access))
		return;
	spte = vlm_spte_read(sptep) & ~(vlm_spte_shadow.w | vlm_spte_shadow.mmu_w);
	vlm_spte_xchg_exclusive(sptep, spte);
	sp->guest[index] &= ~(u64)VLM_GACC_WRITE;
	flush->needed = true;
}

bool vlm_shadow_sync_page(struct vlm_shadow *sh, struct vlm_shadow_page *sp,
			  const struct vlm_guest_paging *paging, struct vlm_flush *flush)
{
	unsigned int bytes = sp->role.mode == VLM_SHADOW_32 ? 4 : 8;
	u8 chunk[CHUNK * 8];
	unsigned int i, in_chunk = VLM_TABLE_ENTRIES;

	lockdep_assert_held_write(&sh->mmu->lock);
	for (i = 0; i < VLM_TABLE_ENTRIES; i++) {
		u64 gpte = 0;

		if (!vlm_spte_is_present(vlm_spte_read(sp->page.table + i)))
			continue;
		if (in_chunk != i / CHUNK) {
			u64 gpa = vlm_shadow_gpte_gpa(sp, i / CHUNK * CHUNK);

			if (vlm_platform_guest_peek(sh->mmu, sp->role.as_id, gpa, chunk,
						    CHUNK * bytes)) {
				vlm_shadow_zap(sh, sp, flush);
				return false;
			}
			in_chunk = i / CHUNK;
		}
		memcpy(&gpte, chunk + i % CHUNK * bytes, bytes);
		sync_entry(sh, sp, i, paging, gpte, flush);
	}
	return true;
}

/* Take the rights from the leaves in one bag. */
static bool wrprot_chain(struct vlm_ptr_chain *chain)
{
	const u64 rights = vlm_spte_shadow.w | vlm_spte_shadow.mmu_w;
	struct vlm_ptr_iter iter;
	bool changed = false;
	u64 *sptep;

	vlm_for_each_ptr(sptep, chain, iter) {
		u64 spte = vlm_spte_read(sptep);

		if (!(spte & rights))
			continue;
		vlm_spte_xchg_exclusive(sptep, spte & ~rights);
		changed = true;
	}
	return changed;
}

bool vlm_shadow_wrprot_gfn(struct vlm_shadow *sh, u64 gfn)
{
	bool changed = false;
	unsigned int as_id;
	int level;

	lockdep_assert_held_write(&sh->mmu->lock);
	/* System-management mode sees most memory at the same place. */
	for (as_id = 0; as_id < VLM_AS_NUM; as_id++) {
		struct vlm_memslot *slot = vlm_memslot_find(vlm_memslots_get(sh->mmu, as_id), gfn);

		for (level = VLM_LEVEL_4K; slot && slot->rmap && level <= VLM_LEVEL_1G; level++)
			changed |= wrprot_chain(vlm_slot_leaves(slot, gfn, level));
	}
	return changed;
}

/* Everything in @vec, in the order that the rule at the top demands. */
static void sync_vec(struct vlm_shadow *sh, struct vlm_tdp_op *op, struct vlm_unsync_vec *vec,
		     const struct vlm_guest_paging *paging)
{
	bool protect = false;
	u32 i;

	for (i = 0; i < vec->nr; i++)
		protect |= vlm_shadow_wrprot_gfn(sh, vec->pages[i]->page.gfn);
	if (protect)
		vlm_flush_now(sh->mmu);
	for (i = 0; i < vec->nr; i++) {
		vec->pages[i]->unsync = false;
		sh->stats.synced++;
		vlm_shadow_sync_page(sh, vec->pages[i], paging, &op->flush);
		op->visited += VLM_TABLE_ENTRIES;
	}
}

enum vlm_sync_result vlm_shadow_sync_children(struct vlm_shadow *sh, struct vlm_tdp_op *op,
					      struct vlm_shadow_page *sp,
					      const struct vlm_guest_paging *paging)
{
	while (sp->unsync_children) {
		struct vlm_unsync_vec vec = { .max = VLM_SYNC_BATCH };
		bool all;

		/* Whoever looks without the lock must not take cleared bits for work done. */
		WRITE_ONCE(sh->syncing, sh->syncing + 1);
		smp_wmb();
		all = vlm_shadow_unsync_walk(sp, &vec);
		sync_vec(sh, op, &vec, paging);
		smp_wmb();
		WRITE_ONCE(sh->syncing, sh->syncing - 1);

		if (all)
			break;
		if (op->yield == VLM_NEVER_YIELD)
			return VLM_SYNC_AGAIN;
		vlm_tdp_try_break(op);
		if (vlm_shadow_is_obsolete(sh, sp))
			break;
	}
	return VLM_SYNC_DONE;
}

/* True if nothing below @root waits to be made current. No lock. */
static bool is_current(const struct vlm_shadow *sh, const struct vlm_shadow_page *root)
{
	/* Pairs with vlm_shadow_try_unsync(): the guest wrote before it flushed. */
	smp_rmb();
	if (READ_ONCE(root->unsync_children))
		return false;
	/* Pairs with vlm_shadow_sync_children(). */
	smp_rmb();
	return !READ_ONCE(sh->syncing);
}

void vlm_shadow_sync(struct vlm_shadow_vcpu *sv)
{
	struct vlm_shadow *sh = sv->sh;
	struct vlm_tdp_op op;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sv->roots); i++) {
		struct vlm_shadow_page *root = sv->roots[i];

		if (!root || is_current(sh, root))
			continue;
		vlm_tdp_begin(&op, sh->mmu, VLM_LOCK_EXCLUSIVE, VLM_MAY_YIELD);
		vlm_shadow_sync_children(sh, &op, root, &sv->paging);
		vlm_tdp_end(&op);
	}
}

void vlm_shadow_invlpg(struct vlm_shadow_vcpu *sv, u64 gva)
{
	struct vlm_shadow *sh = sv->sh;
	struct vlm_shadow_page *sp = vlm_shadow_root_of(sv, gva);
	struct vlm_tdp_op op;
	unsigned int index;
	u64 gpte = 0;

	vlm_tdp_begin(&op, sh->mmu, VLM_LOCK_EXCLUSIVE, VLM_NEVER_YIELD);
	while (sp && sp->role.level > VLM_LEVEL_4K)
		sp = vlm_shadow_child(sp, vlm_level_index(gva >> PAGE_SHIFT, (int)sp->role.level));
	index = vlm_level_index(gva >> PAGE_SHIFT, VLM_LEVEL_4K);
	if (sp && sp->unsync && vlm_spte_is_present(vlm_spte_read(sp->page.table + index))) {
		if (vlm_platform_guest_peek(sh->mmu, sp->role.as_id, vlm_shadow_gpte_gpa(sp, index),
					    &gpte, sp->role.mode == VLM_SHADOW_32 ? 4 : 8))
			vlm_shadow_drop(sh, sp, index, &op.flush);
		else
			sync_entry(sh, sp, index, &sv->paging, gpte, &op.flush);
	}
	vlm_tdp_end(&op);
}
