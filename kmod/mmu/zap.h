/* SPDX-License-Identifier: GPL-2.0-only */
/* Make all translations of a machine go away. */
#ifndef VLM_MMU_ZAP_H
#define VLM_MMU_ZAP_H

#include "state.h"

/* Cut-off roots that may wait for the reclaimer before the next caller empties them itself. */
#define VLM_RECLAIM_BACKLOG	8

/*
 * Cut off. On return no guest can use a translation installed before the call, nor can
 * one be installed by a fault that began before. vCPUs go on running and get new
 * roots. Costs O(roots + vCPUs): the old tables are given back by the reclaimer, or
 * here when it falls behind. Slots lock held throughout: two of these must not overlap.
 * Sleeps.
 */
void vlm_zap_all_fast(struct vlm_mmu *mmu);

#endif
