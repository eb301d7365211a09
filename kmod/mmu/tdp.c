// SPDX-License-Identifier: GPL-2.0-only
/* Change single TDP entries, and keep the books. The rules stand in README.md. */
#include "mmu.h"
#include "nx.h"
#include "spte.h"
#include "spte_store.h"
#include "tdp.h"
#include "trace.h"

static void op_lock(struct vlm_tdp_op *op)
{
	if (op->mode == VLM_LOCK_EXCLUSIVE)
		write_lock(&op->mmu->lock);
	else
		read_lock(&op->mmu->lock);
	rcu_read_lock();
	/* Ends in op_unlock(); sparse looks at one function at a time. */
	__release(RCU);
	__release(&op->mmu->lock);
	op->visited = 0;
	op->checked = 0;
	op->hold = 0;
	op->since = vlm_platform_ticks();
}

/*
 * One hold is over: the lock is about to be dropped, or nobody waits for it. Who waits does
 * not give up, so then nobody has waited since the last time either.
 */
static void account_hold(struct vlm_tdp_op *op)
{
	struct vlm_mmu_stats *stats = &op->mmu->stats;
	u64 entries = op->visited - op->hold, now = vlm_platform_ticks();

	atomic64_inc(&stats->hold[op->mode][vlm_hist_bucket(entries, VLM_HOLD_BUCKETS)]);
	vlm_stat_max(stats, VLM_STAT_MAX_HOLD, entries);
	vlm_stat_max(stats, op->mode == VLM_LOCK_EXCLUSIVE ? VLM_STAT_MAX_TICKS_WRITE :
							     VLM_STAT_MAX_TICKS_READ,
		     now - op->since);
	op->hold = op->visited;
	op->since = now;
}

static void op_unlock(struct vlm_tdp_op *op)
{
	vlm_flush_commit(op->mmu, &op->flush);
	account_hold(op);
	__acquire(&op->mmu->lock);
	__acquire(RCU);
	rcu_read_unlock();
	if (op->mode == VLM_LOCK_EXCLUSIVE)
		write_unlock(&op->mmu->lock);
	else
		read_unlock(&op->mmu->lock);
}

void vlm_tdp_begin(struct vlm_tdp_op *op, struct vlm_mmu *mmu, enum vlm_lock_mode mode,
		   enum vlm_yield yield)
{
	op->mmu = mmu;
	op->mode = mode;
	op->yield = yield;
	op->budget = VLM_YIELD_BUDGET;
	vlm_flush_init(&op->flush);
	op_lock(op);
}

void vlm_tdp_end(struct vlm_tdp_op *op)
{
	op_unlock(op);
}

void vlm_tdp_pause(struct vlm_tdp_op *op)
{
	vlm_stat_add(&op->mmu->stats, VLM_STAT_YIELDS, 1);
	op_unlock(op);
}

void vlm_tdp_resume(struct vlm_tdp_op *op)
{
	op_lock(op);
}

/* The budget is spent and somebody waits. */
static bool break_due(struct vlm_tdp_op *op)
{
	if (op->yield == VLM_NEVER_YIELD || op->visited - op->checked < op->budget)
		return false;
	op->checked = op->visited;
	if (vlm_platform_break_wanted(op->mmu))
		return true;
	account_hold(op);
	return false;
}

static void do_break(struct vlm_tdp_op *op)
{
	vlm_tdp_pause(op);
	vlm_platform_resched();
	vlm_tdp_resume(op);
}

bool vlm_tdp_yield(struct vlm_tdp_op *op, struct vlm_tdp_iter *iter)
{
	if (!break_due(op) || !vlm_tdp_iter_try_yield(iter))
		return false;
	do_break(op);
	return true;
}

void vlm_tdp_try_break(struct vlm_tdp_op *op)
{
	if (break_due(op))
		do_break(op);
}

static enum vlm_mmu_stat leaf_stat(int level)
{
	switch (level) {
	case VLM_LEVEL_4K:
		return VLM_STAT_PAGES_4K;
	case VLM_LEVEL_2M:
		return VLM_STAT_PAGES_2M;
	default:
		return VLM_STAT_PAGES_1G;
	}
}

/* @delta leaves at @level came or went. */
static void count_leaves(struct vlm_tdp_op *op, int level, s64 delta)
{
	vlm_stat_add(&op->mmu->stats, leaf_stat(level), delta);
}

static void detach(struct vlm_tdp_op *op, struct vlm_mmu_page *sp);

/* An entry at @level went from @old to @val: count, and take care of what hung below. */
static void entry_changed(struct vlm_tdp_op *op, u64 old, u64 val, int level)
{
	bool was_leaf = vlm_spte_is_leaf(old, level);
	bool is_leaf = vlm_spte_is_leaf(val, level);

	if (was_leaf != is_leaf)
		count_leaves(op, level, is_leaf ? 1 : -1);
	if (vlm_spte_is_present(old) && !vlm_spte_is_present(val))
		vlm_stat_add(&op->mmu->stats, VLM_STAT_ZAPPED, 1);
	if (vlm_spte_is_nonleaf(old, level))
		detach(op, vlm_page_of_spte(old));
}

/*
 * Empty a table that was just unlinked, so that nobody who still stands in it can
 * install anything: every entry is frozen for good. Recurses at most four deep; callers see to it
 * that no more than VLM_STEP_MAX entries are below.
 */
static void detach(struct vlm_tdp_op *op, struct vlm_mmu_page *sp)
{
	int level = sp->role.level;
	s64 leaves = 0, present = 0;
	unsigned int i;

	for (i = 0; i < VLM_TABLE_ENTRIES; i++) {
		u64 *sptep = sp->table + i;
		u64 old;

		/* Another thread that froze the entry will write it once more: wait for that. */
		while (vlm_spte_is_frozen(old = vlm_spte_xchg_detached(sptep, VLM_SPTE_FROZEN)))
			cpu_relax();
		present += vlm_spte_is_present(old);
		leaves += vlm_spte_is_leaf(old, level);
		if (vlm_spte_is_nonleaf(old, level))
			detach(op, vlm_page_of_spte(old));
	}
	vlm_stat_add(&op->mmu->stats, VLM_STAT_TABLES_ZAPPED, 1);
	vlm_trace_page_zap(op->mmu, sp);
	op->visited += VLM_TABLE_ENTRIES;
	if (leaves)
		count_leaves(op, level, -leaves);
	if (present)
		vlm_stat_add(&op->mmu->stats, VLM_STAT_ZAPPED, present);
	vlm_nx_forget(op->mmu, sp);
	list_add_tail(&sp->link, &op->flush.pages);
}

/*
 * Shared mode, entry in use by vCPUs. Freeze, flush, write: while a stale translation may be in a
 * TLB nobody can mistake the entry for one that needs no flush. What hung
 * below is taken apart last, to keep the freeze short.
 */
static bool freeze_and_write(struct vlm_tdp_op *op, u64 *sptep, u64 old, u64 val, int level)
{
	u64 seen = old;

	if (!vlm_spte_try_cmpxchg(sptep, &seen, VLM_SPTE_FROZEN))
		return false;
	vlm_flush_now(op->mmu);
	vlm_spte_unfreeze(sptep, VLM_SPTE_FROZEN, val);
	entry_changed(op, old, val, level);
	return true;
}

bool vlm_tdp_zap_entry(struct vlm_tdp_op *op, struct vlm_mmu_page *root, u64 *sptep, u64 old,
		       int level)
{
	op->visited++;
	if (op->mode == VLM_LOCK_EXCLUSIVE) {
		lockdep_assert_held_write(&op->mmu->lock);
		old = vlm_spte_xchg_exclusive(sptep, 0);
		if (vlm_spte_is_present(old) && !root->invalid)
			op->flush.needed = true;
		entry_changed(op, old, 0, level);
		return true;
	}

	lockdep_assert_held_read(&op->mmu->lock);
	if (vlm_spte_is_frozen(old))
		return false;
	/* No vCPU runs on an invalid root, and no fault installs there: nothing to flush. */
	if (!vlm_spte_is_present(old) || root->invalid) {
		if (!vlm_spte_try_cmpxchg(sptep, &old, 0))
			return false;
		entry_changed(op, old, 0, level);
		return true;
	}
	return freeze_and_write(op, sptep, old, 0, level);
}

bool vlm_tdp_replace(struct vlm_tdp_op *op, u64 *sptep, u64 old, u64 val, int level)
{
	lockdep_assert_held_read(&op->mmu->lock);
	op->visited++;
	return !vlm_spte_is_frozen(old) && freeze_and_write(op, sptep, old, val, level);
}

bool vlm_tdp_set(struct vlm_tdp_op *op, u64 *sptep, u64 old, u64 val, int level)
{
	lockdep_assert_held(&op->mmu->lock);
	op->visited++;
	if (vlm_spte_is_frozen(old) || !vlm_spte_try_cmpxchg(sptep, &old, val))
		return false;
	entry_changed(op, old, val, level);
	return true;
}

/* Make @sp the table below an entry of @root at @level. */
static void prepare_table(struct vlm_mmu_page *root, struct vlm_mmu_page *sp, u64 *sptep, u64 gfn,
			  int level)
{
	sp->role = root->role;
	sp->role.level = (u16)(level - 1);
	sp->gfn = vlm_level_base(gfn, level);
	sp->parent = sptep;
}

bool vlm_tdp_link(struct vlm_tdp_op *op, struct vlm_mmu_page *root, u64 *sptep, u64 gfn, u64 old,
		  int level, struct vlm_mmu_page *sp)
{
	u64 val = vlm_spte_make_nonleaf(&vlm_spte_ept, vlm_platform_table_pa(sp->table));

	prepare_table(root, sp, sptep, gfn, level);
	if (!vlm_tdp_set(op, sptep, old, val, level))
		return false;
	vlm_trace_page_create(op->mmu, sp);
	return true;
}

bool vlm_tdp_split_entry(struct vlm_tdp_op *op, struct vlm_mmu_page *root, u64 *sptep, u64 gfn,
			 u64 old, int level, struct vlm_mmu_page *sp)
{
	u64 val = vlm_spte_make_nonleaf(&vlm_spte_ept, vlm_platform_table_pa(sp->table));
	unsigned int i;

	lockdep_assert_held(&op->mmu->lock);
	prepare_table(root, sp, sptep, gfn, level);
	/* Fill first, then publish: a vCPU sees the old translation or the same one again. */
	for (i = 0; i < VLM_TABLE_ENTRIES; i++)
		vlm_spte_fill(sp->table + i, vlm_spte_make_split(&vlm_spte_ept, old, level, i));
	op->visited += VLM_TABLE_ENTRIES;
	if (!vlm_spte_try_cmpxchg(sptep, &old, val))
		return false;
	count_leaves(op, level, -1);
	count_leaves(op, level - 1, VLM_TABLE_ENTRIES);
	vlm_stat_add(&op->mmu->stats, VLM_STAT_SPLITS, 1);
	vlm_trace_page_create(op->mmu, sp);
	return true;
}

bool vlm_tdp_collapse_entry(struct vlm_tdp_op *op, u64 *sptep, u64 old, u64 val, int level)
{
	lockdep_assert_held_read(&op->mmu->lock);
	op->visited++;
	if (!vlm_spte_try_collapse(sptep, &old, val))
		return false;
	op->flush.needed = true;
	entry_changed(op, old, val, level);
	vlm_stat_add(&op->mmu->stats, VLM_STAT_COLLAPSES, 1);
	return true;
}

void vlm_tdp_move_table(struct vlm_tdp_op *op, u64 *sptep, u64 *to)
{
	u64 spte;

	lockdep_assert_held_write(&op->mmu->lock);
	op->visited++;
	spte = vlm_spte_xchg_exclusive(sptep, 0);
	op->flush.needed = true;
	/* Who climbs from a table below finds an invalid root from now on. */
	WRITE_ONCE(vlm_page_of_spte(spte)->parent, to);
	vlm_spte_xchg_exclusive(to, spte);
}

u64 *vlm_tdp_find(struct vlm_mmu_page *root, u64 gfn, u64 *spte, int *level)
{
	u64 *table = root->table;
	int l = root->role.level;

	for (;; l--) {
		u64 *sptep = table + vlm_level_index(gfn, l);

		*spte = vlm_spte_read(sptep);
		if (!vlm_spte_is_nonleaf(*spte, l)) {
			*level = l;
			return sptep;
		}
		table = vlm_platform_table_va(vlm_spte_pa(*spte));
	}
}

u64 *vlm_tdp_make_entry(struct vlm_tdp_op *op, struct vlm_mmu_page *root, u64 gfn, int level,
			struct vlm_page_cache *cache)
{
	u64 *table = root->table;
	int l;

	for (l = root->role.level; l > level; l--) {
		u64 *sptep = table + vlm_level_index(gfn, l);
		u64 old = vlm_spte_read(sptep);
		struct vlm_mmu_page *sp;

		if (vlm_spte_is_nonleaf(old, l)) {
			table = vlm_platform_table_va(vlm_spte_pa(old));
			continue;
		}
		if (vlm_spte_is_present(old))
			return NULL;
		sp = vlm_page_cache_pop(op->mmu, cache);
		if (!sp)
			return NULL;
		if (!vlm_tdp_link(op, root, sptep, gfn, old, l, sp)) {
			vlm_page_cache_push(op->mmu, cache, sp);
			return NULL;
		}
		table = sp->table;
	}
	return table + vlm_level_index(gfn, level);
}

u64 vlm_tdp_lookup(struct vlm_mmu_page *root, u64 gfn, int *level)
{
	u64 spte;

	vlm_tdp_find(root, gfn, &spte, level);
	return spte;
}
