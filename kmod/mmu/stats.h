/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the MMU counts, and how counters describe themselves. Values are 64-bit words
 * that are readable at any time without a lock.
 */
#ifndef VLM_MMU_STATS_H
#define VLM_MMU_STATS_H

#include "platform.h"

enum vlm_stat_kind {
	VLM_STAT_CUMULATIVE,	/* only grows */
	VLM_STAT_INSTANT,	/* what is there now */
	VLM_STAT_PEAK,		/* the highest value so far */
	VLM_STAT_LOG_HIST,	/* see vlm_hist_bucket() */
};

enum vlm_stat_unit {
	VLM_UNIT_NONE,
	VLM_UNIT_NS,
	VLM_UNIT_TICKS,		/* of the time-stamp counter */
	VLM_UNIT_BOOL,
};

/**
 * struct vlm_stat_desc - one counter; a const table of these drives all that shows them
 * @name:	KVM's where KVM has the counter
 * @kind, @unit: enum vlm_stat_kind, enum vlm_stat_unit
 * @nr:		words
 * @word:	index of the first
 */
struct vlm_stat_desc {
	const char *name;
	u8 kind;
	u8 unit;
	u16 nr;
	u16 word;
};

/**
 * struct vlm_stat_block - counters with their values
 * @descs:	constant, @nr_descs of them, in the order of their words and without gaps
 * @words:	the values
 */
struct vlm_stat_block {
	const struct vlm_stat_desc *descs;
	u32 nr_descs;
	const u64 *words;
};

static inline u32 vlm_stat_block_words(const struct vlm_stat_block *block)
{
	const struct vlm_stat_desc *last = block->descs + block->nr_descs - 1;

	return last->word + last->nr;
}

/*
 * Bucket of @value in a histogram of @nr: the first holds 0, the n-th from there 2^(n-1) to
 * 2^n - 1, the last all above.
 */
static inline unsigned int vlm_hist_bucket(u64 value, unsigned int nr)
{
	unsigned int n = (unsigned int)fls64(value);

	return n < nr ? n : nr - 1;
}

/* One counter each; the comments say what one means. */
enum vlm_mmu_stat {
	/* What is there now. */
	VLM_STAT_PAGES_4K,		/* leaf entries by size */
	VLM_STAT_PAGES_2M,
	VLM_STAT_PAGES_1G,
	VLM_STAT_TABLES,		/* table pages, caches included, those awaiting a grace period not */
	VLM_STAT_ROOTS,			/* roots on the list, invalid ones included */
	VLM_STAT_RECLAIM_BACKLOG,	/* roots cut off whose tables were not given back yet */
	VLM_STAT_NX_LPAGE_SPLITS,	/* tables that only the NX mitigation keeps */
	/* Events. */
	VLM_STAT_ZAPPED,		/* entries made non-present */
	VLM_STAT_TABLES_ZAPPED,		/* tables unlinked */
	VLM_STAT_YIELDS,		/* mmu lock dropped in the middle of an operation */
	VLM_STAT_FLUSHES,		/* remote TLB flushes asked for */
	VLM_STAT_FLUSH_IPIS,		/* those that had to interrupt a vCPU */
	VLM_STAT_SPLITS,		/* huge leaf replaced by a table */
	VLM_STAT_COLLAPSES,		/* table replaced by the huge leaf that translates alike */
	VLM_STAT_NX_RECOVERIES,		/* tables of nx_lpage_splits that gave way to a huge page */
	VLM_STAT_INVALIDATIONS,		/* notifier ranges that met memory of this machine */
	VLM_STAT_ZAP_ALL_FAST,		/* whole root sets invalidated */
	VLM_STAT_ZAP_SLOT,		/* slots cut off by themselves */
	/*
	 * The longest hold of the mmu lock: what somebody who comes for it may have to wait. It
	 * ends when the lock is dropped, or when an operation that could drop it finds nobody.
	 */
	VLM_STAT_MAX_HOLD,		/* in entries visited, either mode */
	VLM_STAT_MAX_TICKS_READ,	/* in ticks, with all interrupts that came between */
	VLM_STAT_MAX_TICKS_WRITE,
	VLM_NR_MMU_STATS
};

/* The most entries that one hold may visit, see G7 in README.md: @VLM_YIELD_BUDGET and two steps. */
#define VLM_HOLD_BUDGET		1546
/* 0, 1, 2-3, ... 1024-2047, where the budget lies, ... 16384 and more. */
#define VLM_HOLD_BUCKETS	16

/**
 * struct vlm_mmu_stats - of one machine
 * @v:		by enum vlm_mmu_stat
 * @hold:	holds of the mmu lock, by enum vlm_lock_mode and entries visited
 */
struct vlm_mmu_stats {
	atomic64_t v[VLM_NR_MMU_STATS];
	atomic64_t hold[2][VLM_HOLD_BUCKETS];
};

/* What faults come to, per vCPU. */
enum vlm_pf_stat {
	VLM_PF_TAKEN,		/* EPT violations handed to vlm_mmu_fault() */
	VLM_PF_FIXED,
	VLM_PF_SPURIOUS,
	VLM_PF_FAST,		/* of these two, without the mmu lock */
	VLM_PF_RETRIED,
	VLM_PF_EMULATED,	/* no memory there, or not for writing */
	VLM_PF_MMIO_CREATED,		/* mmio entries installed ... */
	VLM_PF_MMIO_HIT,		/* ... and misconfigurations that one of them answered */
	VLM_NR_PF_STATS
};

/* Written by the vCPU's thread only. */
struct vlm_pf_stats {
	u64 v[VLM_NR_PF_STATS];
};

static inline void vlm_stat_add(struct vlm_mmu_stats *stats, enum vlm_mmu_stat stat, s64 n)
{
	atomic64_add(n, &stats->v[stat]);
}

static inline u64 vlm_stat_read(const struct vlm_mmu_stats *stats, enum vlm_mmu_stat stat)
{
	return (u64)atomic64_read(&stats->v[stat]);
}

static inline void vlm_pf_count(struct vlm_pf_stats *stats, enum vlm_pf_stat stat)
{
	WRITE_ONCE(stats->v[stat], stats->v[stat] + 1);
}

/* Raise a maximum, this machine's and the module's. */
void vlm_stat_max(struct vlm_mmu_stats *stats, enum vlm_mmu_stat stat, u64 n);
/* The highest value that any machine ever had since the module was loaded; VLM_STAT_MAX_* only. */
u64 vlm_stat_module_max(enum vlm_mmu_stat stat);

/* The counters of a machine, and those of a vCPU, to show. */
void vlm_mmu_stat_block(const struct vlm_mmu_stats *stats, struct vlm_stat_block *block);
void vlm_pf_stat_block(const struct vlm_pf_stats *stats, struct vlm_stat_block *block);

#endif
