/* SPDX-License-Identifier: GPL-2.0-only */
/* Faults that need neither the mmu lock nor the host. Private to mmu/. */
#ifndef VLM_MMU_FAULT_FAST_H
#define VLM_MMU_FAULT_FAST_H

#include "mmu.h"

/*
 * Resolve the fault if the leaf is there and lacks only what dirty logging or aging took
 * from it. @mv has a root; @slot is not INVALID and allows @access. Slots read section, so
 * that an update of the slot waits for this. True: *@res is FIXED or SPURIOUS.
 */
bool vlm_fault_try_fast(struct vlm_mmu_vcpu *mv, const struct vlm_memslot *slot, u64 gfn,
			u32 access, enum vlm_fault_result *res);

#endif
