/* SPDX-License-Identifier: GPL-2.0-only */
/* Private to vm/: the memslot behind a guest-physical address. */
#ifndef VLM_VM_SLOTS_H
#define VLM_VM_SLOTS_H

#include "mmu/mmu.h"

/* The usable slot that holds @gpa, or NULL. Slots read section. */
static inline struct vlm_memslot *vlm_slot_at(struct vlm_mmu *mmu, unsigned int as_id, u64 gpa)
{
	struct vlm_memslot *slot = vlm_memslot_find(vlm_memslots_get(mmu, as_id),
						    gpa >> PAGE_SHIFT);

	return slot && !(slot->flags & VLM_MEMSLOT_INVALID) ? slot : NULL;
}

static inline unsigned long vlm_slot_hva(const struct vlm_memslot *slot, u64 gpa)
{
	return vlm_memslot_hva_of(slot, gpa >> PAGE_SHIFT) + offset_in_page(gpa);
}

#endif
