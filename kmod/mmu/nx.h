/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * NX huge pages: while the mitigation is on, no leaf above 4 KiB is executable, so that an
 * instruction fetch never meets two sizes of one page (iTLB multihit). Execution splits
 * what could be huge; the tables that exist for no other reason are kept in one list per
 * machine, oldest first, and recovered after a while. Private to mmu/.
 */
#ifndef VLM_MMU_NX_H
#define VLM_MMU_NX_H

#include "page.h"

/*
 * vlm_mmu_page::nx. The maker of a table sets KEPT before others can see the table, and
 * lists it after that; who unlinks the table first takes it off under the pages lock. So a
 * table that went in between is never listed.
 */
enum vlm_nx_state {
	VLM_NX_NONE,	/* may give way to a huge leaf at any time */
	VLM_NX_KEPT,	/* execution alone keeps it small: no fault may put a huge leaf there */
	VLM_NX_LISTED,	/* likewise, and it waits in vlm_mmu::nx_pages to be recovered */
};

static inline bool vlm_nx_is_kept(const struct vlm_mmu_page *sp)
{
	return READ_ONCE(sp->nx) != VLM_NX_NONE;
}

/* List a table that is still KEPT, as the youngest. Inside the op that linked it. */
void vlm_nx_add(struct vlm_mmu *mmu, struct vlm_mmu_page *sp);
/* The table is unlinked, or something else keeps it small. mmu lock in any mode. */
void vlm_nx_forget(struct vlm_mmu *mmu, struct vlm_mmu_page *sp);

#endif
