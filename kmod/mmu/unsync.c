// SPDX-License-Identifier: GPL-2.0-only
/*
 * Unsync tables: the guest edits its own last-level tables without an exit per write, and
 * pays when it flushes. Invariants:
 *
 *  U1  unsync_children is the number of bits set in unsync_bits.
 *  U2  The bit of an entry is set if its child is unsync or has unsync children. The
 *      converse may fail: such a bit is stale, and the next walk clears it.
 *  U3  Marks come and go with the mmu lock held for write.
 *  U4  A frame that the guest may write is shadowed by unsync level-1 tables only.
 *  U5  Direct tables and those above level 1 are never unsync.
 *  U6  A mark climbs only where it sets a new bit in a table that had none.
 */
#include "shadow.h"

void vlm_shadow_mark_unsync(u64 *sptep)
{
	struct vlm_shadow_page *sp = vlm_shadow_page_of(sptep);
	unsigned int index = vlm_shadow_index_of(sptep);
	struct vlm_ptr_iter iter;
	u64 *parent;

	if (test_bit(index, sp->unsync_bits))
		return;
	__set_bit(index, sp->unsync_bits);
	WRITE_ONCE(sp->unsync_children, sp->unsync_children + 1);
	if (sp->unsync_children > 1)
		return;
	/* As deep as there are levels. */
	vlm_for_each_ptr(parent, &sp->parents, iter)
		vlm_shadow_mark_unsync(parent);
}

static void unsync_page(struct vlm_shadow *sh, struct vlm_shadow_page *sp)
{
	struct vlm_ptr_iter iter;
	u64 *parent;

	sh->stats.unsynced++;
	sp->unsync = true;
	vlm_for_each_ptr(parent, &sp->parents, iter)
		vlm_shadow_mark_unsync(parent);
}

bool vlm_shadow_try_unsync(struct vlm_shadow *sh, u64 gfn, enum vlm_unsync_policy policy)
{
	struct vlm_shadow_page *sp;

	lockdep_assert_held_write(&sh->mmu->lock);
	vlm_for_each_shadow_of(sp, sh, gfn) {
		if (sp->role.level > VLM_LEVEL_4K)
			return false;
		if (!sp->unsync && policy == VLM_UNSYNC_REFUSED)
			return false;
	}
	vlm_for_each_shadow_of(sp, sh, gfn) {
		if (!sp->unsync)
			unsync_page(sh, sp);
	}
	/*
	 * Marks first, then the entry that lets the guest write: who flushes after such a
	 * write finds the mark without the lock. Pairs with vlm_shadow_sync().
	 */
	smp_wmb();
	return true;
}

static void clear_child(struct vlm_shadow_page *sp, unsigned int index)
{
	__clear_bit(index, sp->unsync_bits);
	WRITE_ONCE(sp->unsync_children, sp->unsync_children - 1);
}

static bool vec_has(const struct vlm_unsync_vec *vec, const struct vlm_shadow_page *sp)
{
	u32 i;

	for (i = 0; i < vec->nr; i++) {
		if (vec->pages[i] == sp)
			return true;
	}
	return false;
}

static bool vec_is_full(const struct vlm_unsync_vec *vec)
{
	return vec->nr == vec->max;
}

/* There is room: the caller asked. */
static void vec_add(struct vlm_unsync_vec *vec, struct vlm_shadow_page *sp)
{
	vec->pages[vec->nr++] = sp;
}

bool vlm_shadow_unsync_walk(struct vlm_shadow_page *sp, struct vlm_unsync_vec *vec)
{
	unsigned int i;

	for (i = 0; i < VLM_TABLE_ENTRIES && sp->unsync_children; i++) {
		struct vlm_shadow_page *child;

		if (!test_bit(i, sp->unsync_bits))
			continue;
		child = vlm_shadow_child(sp, i);
		if (child && child->unsync_children && !vlm_shadow_unsync_walk(child, vec))
			return false;
		/* Another parent may have led here before. */
		if (child && child->unsync && !vec_has(vec, child)) {
			if (vec_is_full(vec))
				return false;
			vec_add(vec, child);
		}
		/* Stale, or all that is below is in the vector. */
		clear_child(sp, i);
	}
	return true;
}

struct vlm_shadow_page *vlm_shadow_unsync_orphan(struct vlm_shadow_page *sp)
{
	unsigned int i;

	for (i = 0; i < VLM_TABLE_ENTRIES && sp->unsync_children; i++) {
		struct vlm_shadow_page *child;

		if (!test_bit(i, sp->unsync_bits))
			continue;
		child = vlm_shadow_child(sp, i);
		if (!child || !(child->unsync || child->unsync_children))
			clear_child(sp, i);
		else if (child->unsync && vlm_ptr_chain_count(&child->parents) == 1)
			return child;
	}
	return NULL;
}
