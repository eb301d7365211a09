/* SPDX-License-Identifier: GPL-2.0-only */
/* Make all translations of a machine, or of a slot, go away. */
#ifndef VLM_MMU_ZAP_H
#define VLM_MMU_ZAP_H

#include "state.h"

/* Cut-off roots that may wait for the reclaimer before the next caller empties them itself. */
#define VLM_RECLAIM_BACKLOG	8

/*
 * Cut off. On return no guest can use a translation installed before the call, nor can
 * one be installed by a fault that began before. vCPUs go on running and get new
 * roots. Costs O(roots + vCPUs): the old tables wait for vlm_zap_hand_over(). Slots lock
 * held until after that: two of these must not overlap. Sleeps.
 */
void vlm_zap_cut_off(struct vlm_mmu *mmu);

/* vlm_zap_cut_off(), then vlm_zap_hand_over(). */
void vlm_zap_all_fast(struct vlm_mmu *mmu);

/*
 * The same for the frames of @slot only; all others stay mapped. @slot was published as
 * INVALID, so that no fault works on it. What lies wholly in the slot is unlinked at the
 * highest level that fits, so the cost depends on how the slot is aligned, by at most two
 * tables a level, and not on how much of it is mapped. Slots lock held throughout. Sleeps.
 */
void vlm_zap_slot(struct vlm_mmu *mmu, const struct vlm_memslot *slot);

/*
 * Have what was cut off given back: soon by the reclaimer, or here when it falls behind. The last
 * act of an update, as a reclaimer that is awake competes with it for the processor. Slots
 * lock. Sleeps.
 */
void vlm_zap_hand_over(struct vlm_mmu *mmu);

#endif
