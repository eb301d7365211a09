/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Visit the entries of one root that cover a range of frames, parents before children.
 *
 * Never inside a table that is gone: the walk holds RCU, and after a yield it starts
 * again at the root, at the frame where it stood. Upper entries are then seen twice.
 */
#ifndef VLM_MMU_TDP_ITER_H
#define VLM_MMU_TDP_ITER_H

#include "page.h"

/**
 * struct vlm_tdp_iter - a position in a walk
 * @sptep, @old, @level, @gfn: the entry visited: place, value when read, level, first frame
 * @pos:	next frame to visit at the lowest level; >= @gfn
 * @end:	first frame not to visit
 * @yield_pos:	@pos at the last yield: do not yield again before there is progress
 * @yielded:	restart at the root on the next step
 * @valid:	false when the walk is over
 */
struct vlm_tdp_iter {
	struct vlm_mmu_page *root;
	u64 *tables[VLM_LEVEL_MAX + 1];
	u64 *sptep;
	u64 old;
	u64 gfn;
	u64 pos;
	u64 end;
	u64 yield_pos;
	int level;
	int min_level;
	bool yielded;
	bool valid;
};

/* Walk [start, end) of @root down to @min_level. RCU read section. */
void vlm_tdp_iter_start(struct vlm_tdp_iter *iter, struct vlm_mmu_page *root, u64 start, u64 end,
			int min_level);
/* Read the entry again, then go on: into the table it points at, or past it. */
void vlm_tdp_iter_next(struct vlm_tdp_iter *iter);
/* Tell the iterator that RCU was left. True if it may: there was progress since the last time. */
bool vlm_tdp_iter_try_yield(struct vlm_tdp_iter *iter);

#define vlm_tdp_for_each(iter, root, start, end, min_level)			\
	for (vlm_tdp_iter_start(&(iter), (root), (start), (end), (min_level));	\
	     (iter).valid;							\
	     vlm_tdp_iter_next(&(iter)))

#endif
