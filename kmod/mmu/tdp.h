/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Operations on TDP tables. Everything happens inside one struct vlm_tdp_op: it holds
 * the mmu lock and RCU, and what is owed.
 */
#ifndef VLM_MMU_TDP_H
#define VLM_MMU_TDP_H

#include "flush.h"
#include "page.h"
#include "root.h"
#include "tdp_iter.h"

enum vlm_lock_mode {
	VLM_LOCK_SHARED,	/* read: entries change by compare-exchange */
	VLM_LOCK_EXCLUSIVE,	/* write */
};

enum vlm_yield {
	VLM_MAY_YIELD,
	VLM_NEVER_YIELD,
};

/* Entries visited between two looks at whether somebody waits for the lock. */
#define VLM_YIELD_BUDGET	512
/* One step that cannot be interrupted visits no more than this: a table and what led there. */
#define VLM_STEP_MAX		(VLM_TABLE_ENTRIES + VLM_LEVEL_MAX)

/**
 * struct vlm_tdp_op - one critical section, or several when it yields
 * @flush:	owed; paid before the lock is dropped
 * @budget:	entries between two looks at whether somebody waits, VLM_YIELD_BUDGET
 * @visited:	entries visited since the lock was taken
 * @checked:	@visited at the last look at the lock
 * @hold:	@visited when the lock was taken, or when last nobody waited for it
 * @since:	when that was, in ticks
 */
struct vlm_tdp_op {
	struct vlm_mmu *mmu;
	enum vlm_lock_mode mode;
	enum vlm_yield yield;
	struct vlm_flush flush;
	u32 budget;
	u64 visited;
	u64 checked;
	u64 hold;
	u64 since;
};

void vlm_tdp_begin(struct vlm_tdp_op *op, struct vlm_mmu *mmu, enum vlm_lock_mode mode,
		   enum vlm_yield yield);
void vlm_tdp_end(struct vlm_tdp_op *op);
/* Pay and drop the lock, e.g. to allocate; take it again. Walks must restart. */
void vlm_tdp_pause(struct vlm_tdp_op *op);
void vlm_tdp_resume(struct vlm_tdp_op *op);
/*
 * Break if the budget is spent, somebody waits and the walk has progressed. True: it
 * happened, continue the loop at once, iter->sptep is no longer valid. The caller holds a
 * reference to the root. The root may have become invalid.
 */
bool vlm_tdp_yield(struct vlm_tdp_op *op, struct vlm_tdp_iter *iter);
/* The same between walks. */
void vlm_tdp_try_break(struct vlm_tdp_op *op);

/*
 * Make the entry empty, and unlink what is below. False: it changed meanwhile, look
 * again (shared mode only). On a valid root the translation is flushed, at once in
 * shared mode, by the op in exclusive mode.
 */
bool vlm_tdp_zap_entry(struct vlm_tdp_op *op, struct vlm_mmu_page *root, u64 *sptep, u64 old,
		       int level);
/* Replace a present entry that maps something else by @val; like zap, but leaves no hole. Shared. */
bool vlm_tdp_replace(struct vlm_tdp_op *op, u64 *sptep, u64 old, u64 val, int level);
/* Install @val over an empty entry, or the same frame with other flags. False: it changed. */
bool vlm_tdp_set(struct vlm_tdp_op *op, u64 *sptep, u64 old, u64 val, int level);
/* Link the empty table @sp over an entry that is not present. False: it changed. */
bool vlm_tdp_link(struct vlm_tdp_op *op, struct vlm_mmu_page *root, u64 *sptep, u64 gfn, u64 old,
		  int level, struct vlm_mmu_page *sp);
/*
 * Replace the huge leaf @old by the table @sp that translates alike. False: the entry
 * changed, and @sp is filled with rubbish now. Needs no flush.
 */
bool vlm_tdp_split_entry(struct vlm_tdp_op *op, struct vlm_mmu_page *root, u64 *sptep, u64 gfn,
			 u64 old, int level, struct vlm_mmu_page *sp);
/*
 * Replace the table @old by the huge leaf @val that translates alike: collapse.c says what
 * that means. False: the entry changed. Shared. The op owes a flush, which may wait.
 */
bool vlm_tdp_collapse_entry(struct vlm_tdp_op *op, u64 *sptep, u64 old, u64 val, int level);
/*
 * Move the table below *@sptep, whole, to the empty entry @to of a root that is invalid.
 * Exclusive. The op owes a flush then.
 */
void vlm_tdp_move_table(struct vlm_tdp_op *op, u64 *sptep, u64 *to);
/* Where the entry at the lowest level that exists for @gfn stands, and what. RCU, or the lock. */
u64 *vlm_tdp_find(struct vlm_mmu_page *root, u64 gfn, u64 *spte, int *level);
/*
 * The entry for @gfn at @level, through tables made on the way from @cache, which is large
 * enough. NULL: a leaf is in the way, somebody works there, or the entry of a table changed.
 * The way down is the caller's to count.
 */
u64 *vlm_tdp_make_entry(struct vlm_tdp_op *op, struct vlm_mmu_page *root, u64 gfn, int level,
			struct vlm_page_cache *cache);
/* Just what. */
u64 vlm_tdp_lookup(struct vlm_mmu_page *root, u64 gfn, int *level);

/*
 * Ranges of frames, tdp_range.c. Each is one step inside the caller's op. Those that yield do so
 * before they begin, too: a walk does not yield at its first entry, so many short ones in a row
 * would never.
 */

/* Zap all leaves that touch [start, end); tables stay. Exclusive. Breaks before it are the caller's. */
void vlm_tdp_zap_leaves(struct vlm_tdp_op *op, struct vlm_mmu_page *root, u64 start, u64 end);
/* Empty the whole of an invalid root. */
void vlm_tdp_zap_root(struct vlm_tdp_op *op, struct vlm_mmu_page *root);
/*
 * Split huge leaves wholly or partly in [start, end) down to 4 KiB. Shared. Sleeps in
 * between to fill @cache; best effort: 0 or -ENOMEM.
 */
int vlm_tdp_split_range(struct vlm_tdp_op *op, struct vlm_mmu_page *root, u64 start, u64 end,
			struct vlm_page_cache *cache);

/* Dirty logging, tdp_log.c: have the next write seen. Shared. */

/* Of all pages in [start, end). */
void vlm_tdp_protect_range(struct vlm_tdp_op *op, struct vlm_mmu_page *root, u64 start, u64 end);
/*
 * Of page @base + i for each bit i set in the @nwords words at @bits. Of a huge leaf that
 * holds one of them, all pages.
 */
void vlm_tdp_protect_bits(struct vlm_tdp_op *op, struct vlm_mmu_page *root, u64 base,
			  const unsigned long *bits, unsigned int nwords);

enum vlm_age {
	VLM_AGE_TEST,		/* say whether it was accessed */
	VLM_AGE_CLEAR,		/* and forget it */
};

/*
 * True if a leaf in [start, end) was accessed. RCU alone, without the mmu lock and without a
 * reference to @root. Visits *@budget entries at most, from @start on, and takes what it
 * visited from it; the rest stays as it is. Where the hardware has no accessed flags the caller
 * owes a flush after VLM_AGE_CLEAR found something.
 */
bool vlm_tdp_age(struct vlm_mmu_page *root, u64 start, u64 end, enum vlm_age what, u32 *budget);

#endif
