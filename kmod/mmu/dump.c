// SPDX-License-Identifier: GPL-2.0-only
/* Walk the tables and put together what is alike. */
#include "dump.h"
#include "spte.h"
#include "tdp.h"

static u32 attrs_of(u64 spte)
{
	const struct spte_format *fmt = &vlm_spte_ept;
	u64 memtype = fmt->memtype_ram | fmt->memtype_device;
	u32 attrs = 0;

	if (vlm_spte_is_mmio(fmt, spte))
		return VLM_DUMP_MMIO;
	if (spte & fmt->r)
		attrs |= VLM_DUMP_R;
	if (spte & fmt->w)
		attrs |= VLM_DUMP_W;
	if (spte & fmt->x)
		attrs |= VLM_DUMP_X;
	if (vlm_spte_is_accessed(fmt, spte))
		attrs |= VLM_DUMP_ACCESSED;
	if (spte & fmt->dirty)
		attrs |= VLM_DUMP_DIRTY;
	if ((spte & memtype) == fmt->memtype_device)
		attrs |= VLM_DUMP_DEVICE;
	return attrs;
}

/* What one entry says about the frames from @start on; the start of a run. */
static struct vlm_dump_run run_of(const struct vlm_tdp_iter *iter, u64 start)
{
	struct vlm_dump_run run = {
		.start = start,
		.end = iter->gfn + vlm_level_pages(iter->level),
		.attrs = attrs_of(iter->old),
		.level = (u8)iter->level,
		.contiguous = true,
	};

	if (run.attrs & VLM_DUMP_MMIO)
		run.generation = vlm_spte_mmio_gen(iter->old);
	else
		run.pfn = vlm_spte_pfn(iter->old) + (start - iter->gfn);
	return run;
}

/* Append @next to @run. False: it is not alike, or not next to it. */
static bool extend(struct vlm_dump_run *run, const struct vlm_dump_run *next)
{
	if (next->start != run->end || next->attrs != run->attrs || next->level != run->level ||
	    next->generation != run->generation)
		return false;
	if (!(run->attrs & VLM_DUMP_MMIO) && next->pfn != run->pfn + (run->end - run->start))
		run->contiguous = false;
	run->end = next->end;
	return true;
}

/* The next run of @root at *@gfn or behind it. */
static bool next_in_root(struct vlm_tdp_op *op, struct vlm_mmu_page *root, u64 *gfn,
			 struct vlm_dump_run *run)
{
	unsigned int entries = 0;
	struct vlm_tdp_iter iter;
	bool found = false;

	vlm_tdp_for_each(iter, root, *gfn, ~0ull, VLM_LEVEL_4K) {
		struct vlm_dump_run next;

		if (vlm_tdp_yield(op, &iter))
			continue;
		op->visited++;
		if (!vlm_spte_is_leaf(iter.old, iter.level) &&
		    !vlm_spte_is_mmio(&vlm_spte_ept, iter.old))
			continue;
		/* After a yield a larger entry may reach back to what was told already. */
		next = run_of(&iter, iter.gfn > *gfn ? iter.gfn : *gfn);
		if (!found)
			*run = next;
		else if (!extend(run, &next))
			break;
		found = true;
		*gfn = run->end;
		if (++entries == VLM_DUMP_STEP)
			break;
	}
	return found;
}

bool vlm_dump_next(struct vlm_mmu *mmu, struct vlm_dump_cursor *cursor, struct vlm_dump_run *run)
{
	struct vlm_mmu_page *root;
	struct vlm_tdp_op op;
	bool found = false;
	u32 nr = 0;

	vlm_tdp_begin(&op, mmu, VLM_LOCK_SHARED, VLM_MAY_YIELD);
	vlm_for_each_root(mmu, root, VLM_ROOTS_ALL) {
		if (nr++ < cursor->root)
			continue;
		found = next_in_root(&op, root, &cursor->gfn, run);
		if (found) {
			run->root = cursor->root;
			run->role_level = (u8)root->role.level;
			run->as_id = root->role.as_id;
			run->invalid = root->invalid;
			vlm_root_put(mmu, root);
			break;
		}
		cursor->root++;
		cursor->gfn = 0;
	}
	vlm_tdp_end(&op);
	return found;
}
