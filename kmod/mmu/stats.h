/* SPDX-License-Identifier: GPL-2.0-only */
/* What the MMU of one machine counts. Readable at any time without a lock. */
#ifndef VLM_MMU_STATS_H
#define VLM_MMU_STATS_H

#include "platform.h"

enum vlm_mmu_stat {
	/* Levels: what is there now. */
	VLM_STAT_PAGES_4K,		/* leaf entries by size */
	VLM_STAT_PAGES_2M,
	VLM_STAT_PAGES_1G,
	VLM_STAT_TABLES,		/* table pages, caches included, those awaiting a grace period not */
	VLM_STAT_ROOTS,			/* roots on the list, invalid ones included */
	VLM_STAT_RECLAIM_BACKLOG,	/* roots cut off whose tables were not given back yet */
	VLM_STAT_NX_LPAGE_SPLITS,	/* tables that only the NX mitigation keeps */
	/* Events: only grow. */
	VLM_STAT_FAULTS,		/* EPT violations handed to vlm_mmu_fault() */
	VLM_STAT_FAULTS_FIXED,
	VLM_STAT_FAULTS_SPURIOUS,
	VLM_STAT_FAULTS_RETRIED,
	VLM_STAT_FAULTS_MMIO,		/* violations outside memory, and misconfigurations */
	VLM_STAT_ZAPPED,		/* entries made non-present */
	VLM_STAT_YIELDS,		/* mmu lock dropped in the middle of an operation */
	VLM_STAT_FLUSHES,		/* remote TLB flushes */
	VLM_STAT_SPLITS,		/* huge leaf replaced by a table */
	VLM_STAT_COLLAPSES,		/* table removed to allow a huge leaf */
	VLM_STAT_INVALIDATIONS,		/* notifier ranges that met memory of this machine */
	VLM_STAT_ZAP_ALL_FAST,		/* whole root sets invalidated */
	VLM_STAT_MAX_HOLD,		/* most entries visited in one hold of the mmu lock */
	VLM_NR_MMU_STATS
};

struct vlm_mmu_stats {
	atomic64_t v[VLM_NR_MMU_STATS];
};

static inline void vlm_stat_add(struct vlm_mmu_stats *stats, enum vlm_mmu_stat stat, s64 n)
{
	atomic64_add(n, &stats->v[stat]);
}

static inline u64 vlm_stat_read(const struct vlm_mmu_stats *stats, enum vlm_mmu_stat stat)
{
	return (u64)atomic64_read(&stats->v[stat]);
}

/* Raise a maximum. */
static inline void vlm_stat_max(struct vlm_mmu_stats *stats, enum vlm_mmu_stat stat, s64 n)
{
	s64 old = atomic64_read(&stats->v[stat]);

	while (old < n && !atomic64_try_cmpxchg(&stats->v[stat], &old, n))
		;
}

/* Name of @stat as shown to the administrator, KVM's where KVM has the counter. */
const char *vlm_mmu_stat_name(enum vlm_mmu_stat stat);

#endif
