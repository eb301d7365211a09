// SPDX-License-Identifier: GPL-2.0-only
/* Names of the counters, and maxima that outlive their machine. */
#include "stats.h"
#include "tdp.h"

static atomic64_t module_max[VLM_NR_MMU_STATS];

/* Returns true if *@max was lower. */
static bool raise_max(atomic64_t *max, u64 n)
{
	s64 old = atomic64_read(max);

	while ((u64)old < n) {
		if (atomic64_try_cmpxchg(max, &old, (s64)n))
			return true;
	}
	return false;
}

void vlm_stat_max(struct vlm_mmu_stats *stats, enum vlm_mmu_stat stat, u64 n)
{
	/* Most calls read one word: a new maximum of a machine is rare. */
	if (raise_max(&stats->v[stat], n))
		raise_max(&module_max[stat], n);
}

u64 vlm_stat_module_max(enum vlm_mmu_stat stat)
{
	return (u64)atomic64_read(&module_max[stat]);
}

#define ONE(index, label, type, of)						\
	{ .name = (label), .kind = (type), .unit = (of), .nr = 1, .word = (index) }
#define HOLD(mode, label)							\
	{ .name = (label), .kind = VLM_STAT_LOG_HIST, .unit = VLM_UNIT_NONE,	\
	  .nr = VLM_HOLD_BUCKETS, .word = VLM_NR_MMU_STATS + (mode) * VLM_HOLD_BUCKETS }

static const struct vlm_stat_desc mmu_descs[] = {
	ONE(VLM_STAT_PAGES_4K, "pages_4k", VLM_STAT_INSTANT, VLM_UNIT_NONE),
	ONE(VLM_STAT_PAGES_2M, "pages_2m", VLM_STAT_INSTANT, VLM_UNIT_NONE),
	ONE(VLM_STAT_PAGES_1G, "pages_1g", VLM_STAT_INSTANT, VLM_UNIT_NONE),
	ONE(VLM_STAT_TABLES, "mmu_tables", VLM_STAT_INSTANT, VLM_UNIT_NONE),
	ONE(VLM_STAT_ROOTS, "mmu_roots", VLM_STAT_INSTANT, VLM_UNIT_NONE),
	ONE(VLM_STAT_RECLAIM_BACKLOG, "mmu_reclaim_backlog", VLM_STAT_INSTANT, VLM_UNIT_NONE),
	ONE(VLM_STAT_NX_LPAGE_SPLITS, "nx_lpage_splits", VLM_STAT_INSTANT, VLM_UNIT_NONE),
	ONE(VLM_STAT_ZAPPED, "mmu_zapped", VLM_STAT_CUMULATIVE, VLM_UNIT_NONE),
	ONE(VLM_STAT_TABLES_ZAPPED, "mmu_shadow_zapped", VLM_STAT_CUMULATIVE, VLM_UNIT_NONE),
	ONE(VLM_STAT_YIELDS, "mmu_yields", VLM_STAT_CUMULATIVE, VLM_UNIT_NONE),
	ONE(VLM_STAT_FLUSHES, "remote_tlb_flush_requests", VLM_STAT_CUMULATIVE, VLM_UNIT_NONE),
	ONE(VLM_STAT_FLUSH_IPIS, "remote_tlb_flush", VLM_STAT_CUMULATIVE, VLM_UNIT_NONE),
	ONE(VLM_STAT_SPLITS, "mmu_splits", VLM_STAT_CUMULATIVE, VLM_UNIT_NONE),
	ONE(VLM_STAT_COLLAPSES, "mmu_collapses", VLM_STAT_CUMULATIVE, VLM_UNIT_NONE),
	ONE(VLM_STAT_NX_RECOVERIES, "mmu_nx_recoveries", VLM_STAT_CUMULATIVE, VLM_UNIT_NONE),
	ONE(VLM_STAT_INVALIDATIONS, "mmu_invalidations", VLM_STAT_CUMULATIVE, VLM_UNIT_NONE),
	ONE(VLM_STAT_ZAP_ALL_FAST, "mmu_zap_all_fast", VLM_STAT_CUMULATIVE, VLM_UNIT_NONE),
	ONE(VLM_STAT_ZAP_SLOT, "mmu_zap_slot", VLM_STAT_CUMULATIVE, VLM_UNIT_NONE),
	ONE(VLM_STAT_MAX_HOLD, "mmu_max_hold", VLM_STAT_PEAK, VLM_UNIT_NONE),
	ONE(VLM_STAT_MAX_TICKS_READ, "mmu_max_hold_read_cycles", VLM_STAT_PEAK, VLM_UNIT_TICKS),
	ONE(VLM_STAT_MAX_TICKS_WRITE, "mmu_max_hold_write_cycles", VLM_STAT_PEAK, VLM_UNIT_TICKS),
	HOLD(VLM_LOCK_SHARED, "mmu_hold_read_hist"),
	HOLD(VLM_LOCK_EXCLUSIVE, "mmu_hold_write_hist"),
};

void vlm_mmu_stat_block(const struct vlm_mmu_stats *stats, struct vlm_stat_block *block)
{
	BUILD_BUG_ON(VLM_HOLD_BUDGET != VLM_YIELD_BUDGET + 2 * VLM_STEP_MAX);
	/* An atomic64_t is a word. */
	BUILD_BUG_ON(sizeof(*stats) != (VLM_NR_MMU_STATS + 2 * VLM_HOLD_BUCKETS) * sizeof(u64));
	block->descs = mmu_descs;
	block->nr_descs = ARRAY_SIZE(mmu_descs);
	block->words = (const u64 *)stats;
}

static const struct vlm_stat_desc pf_descs[] = {
	ONE(VLM_PF_TAKEN, "pf_taken", VLM_STAT_CUMULATIVE, VLM_UNIT_NONE),
	ONE(VLM_PF_FIXED, "pf_fixed", VLM_STAT_CUMULATIVE, VLM_UNIT_NONE),
	ONE(VLM_PF_SPURIOUS, "pf_spurious", VLM_STAT_CUMULATIVE, VLM_UNIT_NONE),
	ONE(VLM_PF_FAST, "pf_fast", VLM_STAT_CUMULATIVE, VLM_UNIT_NONE),
	ONE(VLM_PF_RETRIED, "pf_retried", VLM_STAT_CUMULATIVE, VLM_UNIT_NONE),
	ONE(VLM_PF_EMULATED, "pf_emulate", VLM_STAT_CUMULATIVE, VLM_UNIT_NONE),
	ONE(VLM_PF_MMIO_CREATED, "pf_mmio_spte_created", VLM_STAT_CUMULATIVE, VLM_UNIT_NONE),
	ONE(VLM_PF_MMIO_HIT, "mmio_spte_hits", VLM_STAT_CUMULATIVE, VLM_UNIT_NONE),
};

void vlm_pf_stat_block(const struct vlm_pf_stats *stats, struct vlm_stat_block *block)
{
	block->descs = pf_descs;
	block->nr_descs = ARRAY_SIZE(pf_descs);
	block->words = stats->v;
}
