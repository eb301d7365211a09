/* SPDX-License-Identifier: GPL-2.0-only */
/* Make all translations of a machine go away. */
#ifndef VLM_MMU_ZAP_H
#define VLM_MMU_ZAP_H

#include "state.h"

/*
 * On return no translation installed before the call is left, nor can one be installed
 * by a fault that began before. vCPUs go on running and get new roots.
 * Slots lock held throughout: two of these must not overlap. Sleeps.
 */
void vlm_zap_all_fast(struct vlm_mmu *mmu);

#endif
