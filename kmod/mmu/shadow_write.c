// SPDX-License-Identifier: GPL-2.0-only
/* Writes to guest tables that are emulated, because the frame is protected. */
#include "guest_pt.h"
#include "shadow.h"

/* A frame that is written like this is no table any more, or never was one. */
static bool is_odd(const struct vlm_shadow_page *sp, u64 gpa, unsigned int bytes)
{
	unsigned int entry = sp->role.mode == VLM_SHADOW_32 ? 4 : 8;

	return bytes < 4 || gpa / entry != (gpa + bytes - 1) / entry;
}

/* Entries of @sp made from the guest's entry at @offset in the frame: [*first, *first + n). */
static unsigned int entries_of(const struct vlm_shadow_page *sp, u64 offset, unsigned int *first)
{
	if (sp->role.mode != VLM_SHADOW_32) {
		*first = (unsigned int)(offset / 8);
		return 1;
	}
	/* See vlm_shadow_gpte_gpa(). */
	if (sp->role.level == VLM_LEVEL_4K) {
		*first = (unsigned int)(offset % 2048 / 4);
		return offset / 2048 == sp->role.quadrant;
	}
	*first = (unsigned int)(offset % 1024 / 4 * 2);
	return offset / 1024 == sp->role.quadrant ? 2 : 0;
}

static void written(struct vlm_shadow *sh, struct vlm_shadow_page *sp, u64 gpa,
		    unsigned int bytes, struct vlm_tdp_op *op)
{
	unsigned int first, n;

	op->visited++;
	/* A table of level 1 turns unsync once the guest writes to it itself: not flooded. */
	if (sp->role.level > VLM_LEVEL_4K && ++sp->writes >= VLM_SHADOW_FLOOD) {
		sh->stats.flooded++;
		vlm_shadow_zap(sh, sp, &op->flush);
		op->visited += VLM_TABLE_ENTRIES;
		return;
	}
	if (is_odd(sp, gpa, bytes)) {
		vlm_shadow_zap(sh, sp, &op->flush);
		op->visited += VLM_TABLE_ENTRIES;
		return;
	}
	for (n = entries_of(sp, gpa & (PAGE_SIZE - 1), &first); n; n--)
		vlm_shadow_drop(sh, sp, first++, &op->flush);
}

bool vlm_shadow_unprotect(struct vlm_shadow *sh, u64 gfn)
{
	struct vlm_shadow_page *sp, *next;
	struct vlm_tdp_op op;
	bool found = false;

	vlm_tdp_begin(&op, sh->mmu, VLM_LOCK_EXCLUSIVE, VLM_NEVER_YIELD);
	list_for_each_entry_safe(sp, next, vlm_shadow_bucket(sh, gfn), hash) {
		if (sp->page.gfn != gfn || sp->role.direct || vlm_shadow_is_obsolete(sh, sp))
			continue;
		vlm_shadow_zap(sh, sp, &op.flush);
		op.visited += VLM_TABLE_ENTRIES;
		found = true;
	}
	vlm_tdp_end(&op);
	return found;
}

void vlm_shadow_written(struct vlm_shadow *sh, u64 gpa, unsigned int bytes)
{
	u64 gfn = gpa >> PAGE_SHIFT;
	struct vlm_shadow_page *sp, *next;
	struct vlm_tdp_op op;

	/* Pairs with vlm_shadow_get(): who makes a table after this reads what was written. */
	smp_mb();
	if (!READ_ONCE(sh->nr_indirect))
		return;
	vlm_tdp_begin(&op, sh->mmu, VLM_LOCK_EXCLUSIVE, VLM_NEVER_YIELD);
	list_for_each_entry_safe(sp, next, vlm_shadow_bucket(sh, gfn), hash) {
		if (sp->page.gfn == gfn && !sp->role.direct && !vlm_shadow_is_obsolete(sh, sp))
			written(sh, sp, gpa, bytes, &op);
	}
	vlm_tdp_end(&op);
}
