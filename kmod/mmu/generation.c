// SPDX-License-Identifier: GPL-2.0-only
/* Memslot generations. Address spaces use disjoint residues modulo VLM_AS_NUM. */
#include "generation.h"
#include "spte.h"

u64 vlm_generation_first(unsigned int as_id)
{
	return as_id;
}

u64 vlm_generation_next(u64 gen)
{
	return (gen & ~VLM_GEN_UPDATING) + VLM_AS_NUM;
}

bool vlm_generation_wrapped(u64 gen)
{
	BUILD_BUG_ON(VLM_AS_NUM & (VLM_AS_NUM - 1));
	return !(gen & VLM_MMIO_GEN_MASK & ~(u64)(VLM_AS_NUM - 1));
}

u64 vlm_generation_updates_left(u64 gen)
{
	return (VLM_MMIO_GEN_MASK + 1 - (gen & VLM_MMIO_GEN_MASK & ~(u64)(VLM_AS_NUM - 1))) /
	       VLM_AS_NUM;
}

bool vlm_generation_matches(u64 gen, u64 spte)
{
	return !(gen & VLM_GEN_UPDATING) && (gen & VLM_MMIO_GEN_MASK) == vlm_spte_mmio_gen(spte);
}
