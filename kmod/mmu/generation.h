/* SPDX-License-Identifier: GPL-2.0-only */
/* Generations of memslots, and how mmio entries go stale by them. */
#ifndef VLM_MMU_GENERATION_H
#define VLM_MMU_GENERATION_H

#include "memslot.h"

/* The first generation of address space @as_id. */
u64 vlm_generation_first(unsigned int as_id);
/* The generation after an update that ran under @gen (with or without VLM_GEN_UPDATING). */
u64 vlm_generation_next(u64 gen);
/* mmio entries of long ago would look current again: all must go before @gen is used. */
bool vlm_generation_wrapped(u64 gen);
/* Updates until the generation wraps, counted from @gen; the last of them wraps. 1 or more. */
u64 vlm_generation_updates_left(u64 gen);
/* Is the mmio entry @spte current under @gen? Never while an update runs. */
bool vlm_generation_matches(u64 gen, u64 spte);

#endif
