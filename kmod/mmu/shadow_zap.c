// SPDX-License-Identifier: GPL-2.0-only
/* Make shadow tables go away: obsolete ones, the oldest ones, leaves of a range. */
#include "rmap.h"
#include "shadow.h"

static void commit_parked(struct vlm_shadow *sh)
{
	vlm_flush_commit(sh->mmu, &sh->parked);
	WRITE_ONCE(sh->nr_parked, 0);
}

/* Zap one page as a step of @op. */
static void zap_step(struct vlm_shadow *sh, struct vlm_tdp_op *op, struct vlm_shadow_page *sp,
		     struct vlm_flush *flush)
{
	op->visited += VLM_TABLE_ENTRIES + vlm_ptr_chain_count(&sp->parents);
	vlm_shadow_zap(sh, sp, flush);
}

static struct vlm_shadow_page *oldest_obsolete(struct vlm_shadow *sh)
{
	struct vlm_shadow_page *sp;

	if (list_empty(&sh->active))
		return NULL;
	sp = list_entry(sh->active.prev, struct vlm_shadow_page, page.link);
	return vlm_shadow_is_obsolete(sh, sp) ? sp : NULL;
}

/*
 * All obsolete pages, oldest first. The list is in order of age: behind the first live page
 * all are live, and pages made during a break come to the other end. So what is left to
 * do only shrinks, and each step begins anew at the oldest: no cursor can go astray,
 * whatever a step or a break took from the list.
 *
 * Work is counted whatever a page held and whoever uses it, and an unsync table that would be
 * left without a parent is a step of its own. Nothing is flushed in breaks: no vCPU
 * runs on what is obsolete, and walkers are waited for by RCU.
 */
static void zap_obsolete(struct vlm_shadow *sh, struct vlm_tdp_op *op)
{
	struct vlm_shadow_page *sp, *child;

	while (oldest_obsolete(sh)) {
		vlm_tdp_try_break(op);
		sp = oldest_obsolete(sh);
		if (!sp)
			return;
		if (sp->page.invalid) {
			vlm_platform_kill(sh->mmu, "an invalid page came back to the active list");
			return;
		}
		child = vlm_shadow_unsync_orphan(sp);
		if (child)
			sp = child;
		if (!sp->root_count)
			WRITE_ONCE(sh->nr_parked, sh->nr_parked + 1);
		zap_step(sh, op, sp, &sh->parked);
	}
}

void vlm_shadow_obsolete_all(struct vlm_shadow *sh)
{
	lockdep_assert_held_write(&sh->mmu->lock);
	sh->gen++;
}

void vlm_shadow_zap_obsolete(struct vlm_shadow *sh)
{
	struct vlm_tdp_op op;

	vlm_tdp_begin(&op, sh->mmu, VLM_LOCK_EXCLUSIVE, VLM_MAY_YIELD);
	op.budget = sh->zap_budget;
	zap_obsolete(sh, &op);
	commit_parked(sh);
	vlm_tdp_end(&op);
}

/* Up to @nr of the oldest pages that no vCPU has loaded. */
static void recycle(struct vlm_shadow *sh, struct vlm_tdp_op *op, u64 nr)
{
	while (nr--) {
		struct list_head *pos = sh->active.prev;
		struct vlm_shadow_page *sp = NULL;

		for (; pos != &sh->active; pos = pos->prev) {
			sp = list_entry(pos, struct vlm_shadow_page, page.link);
			if (!sp->root_count)
				break;
			sp = NULL;
		}
		if (!sp)
			return;
		sh->stats.recycled++;
		zap_step(sh, op, sp, &op->flush);
		vlm_tdp_try_break(op);
	}
}

/* Memory that waits for nothing but the end of a zap goes before pages that are in use. */
static bool release_parked(struct vlm_shadow *sh)
{
	if (!sh->nr_parked)
		return false;
	commit_parked(sh);
	return true;
}

static bool has_room(const struct vlm_shadow *sh)
{
	return READ_ONCE(sh->nr_pages) + READ_ONCE(sh->nr_parked) + VLM_SHADOW_RESERVE <=
	       sh->max_pages;
}

void vlm_shadow_make_room(struct vlm_shadow *sh)
{
	struct vlm_tdp_op op;

	if (has_room(sh))
		return;
	vlm_tdp_begin(&op, sh->mmu, VLM_LOCK_EXCLUSIVE, VLM_MAY_YIELD);
	release_parked(sh);
	if (!has_room(sh))
		recycle(sh, &op, VLM_SHADOW_RECYCLE);
	vlm_tdp_end(&op);
}

void vlm_shadow_shrink(struct vlm_shadow *sh, u64 nr)
{
	struct vlm_tdp_op op;

	vlm_tdp_begin(&op, sh->mmu, VLM_LOCK_EXCLUSIVE, VLM_MAY_YIELD);
	if (!release_parked(sh))
		recycle(sh, &op, nr);
	vlm_tdp_end(&op);
}

void vlm_shadow_zap_gfns(struct vlm_shadow *sh, struct vlm_tdp_op *op,
			 const struct vlm_memslot *slot, u64 start, u64 end)
{
	u64 gfn;

	lockdep_assert_held_write(&sh->mmu->lock);
	if (!slot->rmap)
		return;
	for (gfn = start; gfn < end; gfn++) {
		int level;

		op->visited++;
		for (level = VLM_LEVEL_4K; level <= VLM_LEVEL_1G; level++) {
			/* A huge leaf goes when the first frame in the range that it maps comes. */
			if (gfn != start && gfn != vlm_level_base(gfn, level))
				break;
			op->visited += vlm_shadow_drop_leaves(sh, vlm_slot_leaves(slot, gfn, level),
							      &op->flush);
		}
		vlm_tdp_try_break(op);
	}
}
