/* SPDX-License-Identifier: GPL-2.0-only */
/* What follows in the tables when dirty logging of a slot begins or ends. Private to mmu/. */
#ifndef VLM_MMU_MEMSLOT_CHANGE_H
#define VLM_MMU_MEMSLOT_CHANGE_H

#include "memslot.h"

/*
 * @slot was published with LOG_DIRTY: split what is huge and take write permission, so
 * that every later write is seen. Slots lock. Sleeps. Flushed on return.
 */
void vlm_memslot_start_logging(struct vlm_mmu *mmu, const struct vlm_memslot *slot);
/* @slot was published without LOG_DIRTY: let it be mapped huge again. Slots lock. Sleeps. */
void vlm_memslot_stop_logging(struct vlm_mmu *mmu, const struct vlm_memslot *slot);

#endif
