// SPDX-License-Identifier: GPL-2.0-only
/* Keep the memslots: their publication, and the checks of a request. */
#include "dirty.h"
#include "generation.h"
#include "memslot.h"
#include "memslot_change.h"
#include "notifier.h"
#include "rmap.h"
#include "spte.h"
#include "state.h"
#include "trace.h"
#include "zap.h"

struct vlm_memslots *vlm_memslots_get(struct vlm_mmu *mmu, unsigned int as_id)
{
	return rcu_dereference_check(mmu->space[as_id].active, true);
}

static void set_apply(struct vlm_memslots *slots, struct vlm_memslot *old, struct vlm_memslot *fresh)
{
	if (old)
		vlm_memslots_remove(slots, old);
	if (fresh)
		vlm_memslots_insert(slots, fresh);
}

/*
 * Replace @old (or nothing) by @fresh (or nothing) in the address space. On return no
 * reader sees @old.
 */
static void publish(struct vlm_mmu *mmu, unsigned int as_id, struct vlm_memslot *old,
		    struct vlm_memslot *fresh)
{
	struct vlm_memslot_space *space = &mmu->space[as_id];
	struct vlm_memslots *active = vlm_memslots_get(mmu, as_id);
	struct vlm_memslots *idle = &space->sets[active == &space->sets[0]];
	u64 gen = active->generation;

	set_apply(idle, old, fresh);
	WRITE_ONCE(idle->generation, gen | VLM_GEN_UPDATING);
	vlm_notifier_publish(mmu, space, idle);
	vlm_platform_slots_sync(mmu);

	gen = vlm_generation_next(gen);
	if (vlm_generation_wrapped(gen)) {
		mmu->mmio_gen_zaps++;
		vlm_zap_cut_off(mmu);
	}
	WRITE_ONCE(idle->generation, gen);
	vlm_trace_slot_update(mmu, old, fresh, gen);

	/* The former set is nobody's now. */
	set_apply(active, old, fresh);
}

u64 vlm_memslots_updates_left(struct vlm_mmu *mmu)
{
	u64 least = ~0ull;
	unsigned int as_id;

	for (as_id = 0; as_id < VLM_AS_NUM; as_id++) {
		u64 left = vlm_generation_updates_left(vlm_memslots_get(mmu, as_id)->generation);

		least = left < least ? left : least;
	}
	return least;
}

int vlm_memslots_skip_generations(struct vlm_mmu *mmu, u64 left)
{
	unsigned int as_id;

	if (!left || left > vlm_memslots_updates_left(mmu))
		return -EINVAL;
	for (as_id = 0; as_id < VLM_AS_NUM; as_id++) {
		struct vlm_memslots *slots = vlm_memslots_get(mmu, as_id);
		u64 gen = slots->generation;

		gen += (vlm_generation_updates_left(gen) - left) * VLM_AS_NUM;
		/* A fault that runs now remembers the old one, which is not current any more. */
		WRITE_ONCE(slots->generation, gen);
	}
	return 0;
}

int vlm_memslots_init(struct vlm_mmu *mmu)
{
	unsigned int as_id;

	for (as_id = 0; as_id < VLM_AS_NUM; as_id++) {
		struct vlm_memslot_space *space = &mmu->space[as_id];

		memset(space, 0, sizeof(*space));
		vlm_memslots_clear(&space->sets[0], 0);
		vlm_memslots_clear(&space->sets[1], 1);
		space->sets[0].generation = vlm_generation_first(as_id);
		RCU_INIT_POINTER(space->active, &space->sets[0]);
	}
	mmu->nr_slot_pages = 0;
	return 0;
}

/* Free @slot and, unless @keeper has them now, its dirty log and its reverse map. */
static void slot_free(struct vlm_memslot *slot, const struct vlm_memslot *keeper)
{
	if (!keeper || keeper->dirty != slot->dirty)
		kvfree(slot->dirty);
	if (!keeper || keeper->rmap != slot->rmap)
		vlm_slot_rmap_free(slot->rmap);
	kfree(slot);
}

void vlm_memslots_destroy(struct vlm_mmu *mmu)
{
	unsigned int as_id;

	for (as_id = 0; as_id < VLM_AS_NUM; as_id++) {
		struct vlm_memslot_space *space = &mmu->space[as_id];
		struct vlm_memslots *slots = vlm_memslots_get(mmu, as_id);
		struct vlm_memslot *slot;

		while (slots && (slot = vlm_memslot_first(slots))) {
			vlm_memslots_remove(slots, slot);
			slot_free(slot, NULL);
		}
		kvfree(space->by_id);
		memset(space, 0, sizeof(*space));
	}
}

struct vlm_memslot *vlm_memslot_by_id(struct vlm_mmu *mmu, u32 slot)
{
	unsigned int as_id = slot >> 16;
	u32 id = slot & 0xffff;

	if (as_id >= VLM_AS_NUM || id >= mmu->space[as_id].ids)
		return NULL;
	return mmu->space[as_id].by_id[id];
}

/* Room for @id in the table of numbers. */
static int reserve_id(struct vlm_memslot_space *space, u32 id)
{
	struct vlm_memslot **by_id;
	u32 ids = space->ids ? space->ids : 64;

	if (id < space->ids)
		return 0;
	while (ids <= id)
		ids *= 2;
	by_id = (struct vlm_memslot **)kvcalloc(ids, sizeof(*by_id), GFP_KERNEL_ACCOUNT);
	if (!by_id)
		return -ENOMEM;
	if (space->ids)
		memcpy(by_id, space->by_id, space->ids * sizeof(*by_id));
	kvfree(space->by_id);
	space->by_id = by_id;
	space->ids = ids;
	return 0;
}

static bool overlaps(const struct vlm_memslots *slots, const struct vlm_memslot *slot,
		     const struct vlm_memslot *except)
{
	struct vlm_memslot *other = vlm_memslot_floor(slots, slot->base_gfn + slot->npages - 1);

	/* Without overlap among themselves, only the nearest two below can matter. */
	if (other && other == except)
		other = vlm_memslot_prev(slots, other);
	return other && other->base_gfn + other->npages > slot->base_gfn;
}

/* A version of the slot in @req with room for its dirty log. */
static struct vlm_memslot *slot_alloc(struct vlm_mmu *mmu, const struct vlm_memslot_request *req,
				      const struct vlm_memslot *old)
{
	struct vlm_memslot *slot = (struct vlm_memslot *)kzalloc(sizeof(*slot),
								 GFP_KERNEL_ACCOUNT);

	if (!slot)
		return NULL;
	slot->base_gfn = req->gpa >> PAGE_SHIFT;
	slot->npages = req->size_bytes >> PAGE_SHIFT;
	slot->hva = (unsigned long)req->hva;
	slot->flags = req->flags;
	slot->id = (u16)req->slot;
	slot->as_id = (u8)(req->slot >> 16);
	if (mmu->shadow) {
		bool moved = !old || old->base_gfn != slot->base_gfn;

		slot->rmap = moved ? vlm_slot_rmap_alloc(slot->base_gfn, slot->npages) : old->rmap;
		if (!slot->rmap) {
			kfree(slot);
			return NULL;
		}
	}
	if (!(req->flags & VLM_MEMSLOT_LOG_DIRTY))
		return slot;
	if (mmu->log_flags & VLM_LOG_RINGS)
		return slot;
	slot->dirty = old && old->dirty ? old->dirty : vlm_dirty_log_alloc(mmu, slot->npages);
	if (slot->dirty)
		return slot;
	slot_free(slot, old);
	return NULL;
}

static int slot_create(struct vlm_mmu *mmu, const struct vlm_memslot_request *req)
{
	struct vlm_memslot *slot = slot_alloc(mmu, req, NULL);
	struct vlm_memslot_space *space;
	int err;

	if (!slot)
		return -ENOMEM;
	space = &mmu->space[slot->as_id];
	err = overlaps(vlm_memslots_get(mmu, slot->as_id), slot, NULL) ? -EEXIST : 0;
	if (!err)
		err = reserve_id(space, slot->id);
	if (err) {
		slot_free(slot, NULL);
		return err;
	}
	space->by_id[slot->id] = slot;
	mmu->nr_slot_pages += slot->npages;
	publish(mmu, slot->as_id, NULL, slot);
	return 0;
}

/* Delete @old, or put @fresh in its place elsewhere. Takes both over. */
static int slot_replace(struct vlm_mmu *mmu, struct vlm_memslot *old, struct vlm_memslot *fresh,
			enum vlm_slot_zap zap)
{
	struct vlm_memslot *invalid = (struct vlm_memslot *)kmemdup(old, sizeof(*old),
								    GFP_KERNEL_ACCOUNT);

	if (!invalid)
		return -ENOMEM;
	/* First stop faults from installing, then cut the vCPUs off, then let the slot go. */
	invalid->flags |= VLM_MEMSLOT_INVALID;
	publish(mmu, old->as_id, old, invalid);
	if (zap == VLM_SLOT_ZAP_OWN)
		vlm_zap_slot(mmu, invalid);
	else
		vlm_zap_cut_off(mmu);
	mmu->space[old->as_id].by_id[old->id] = fresh;
	publish(mmu, old->as_id, invalid, fresh);
	kfree(invalid);
	return 0;
}

static int slot_delete(struct vlm_mmu *mmu, struct vlm_memslot *old, enum vlm_slot_zap zap)
{
	int err = slot_replace(mmu, old, NULL, zap);

	if (err)
		return err;
	mmu->nr_slot_pages -= old->npages;
	slot_free(old, NULL);
	return 0;
}

static int slot_move(struct vlm_mmu *mmu, struct vlm_memslot *old,
		     const struct vlm_memslot_request *req)
{
	struct vlm_memslot *slot = slot_alloc(mmu, req, old);
	int err;

	if (!slot)
		return -ENOMEM;
	err = overlaps(vlm_memslots_get(mmu, old->as_id), slot, old) ? -EEXIST : 0;
	if (!err)
		err = slot_replace(mmu, old, slot, req->zap);
	if (err) {
		slot_free(slot, old);
		return err;
	}
	slot_free(old, slot);
	return 0;
}

static int slot_change_flags(struct vlm_mmu *mmu, struct vlm_memslot *old,
			     const struct vlm_memslot_request *req)
{
	struct vlm_memslot *slot = slot_alloc(mmu, req, old);

	if (!slot)
		return -ENOMEM;
	mmu->space[old->as_id].by_id[old->id] = slot;
	publish(mmu, old->as_id, old, slot);
	if (slot->flags & VLM_MEMSLOT_LOG_DIRTY)
		vlm_memslot_start_logging(mmu, slot);
	else
		vlm_memslot_stop_logging(mmu, slot);
	slot_free(old, slot);
	return 0;
}

static int check_request(const struct vlm_memslot_request *req)
{
	const u64 in_page = PAGE_SIZE - 1;

	if (req->flags & ~(u32)VLM_MEMSLOT_ABI_FLAGS)
		return -EINVAL;
	if ((req->size_bytes & in_page) || (req->gpa & in_page) || (req->hva & in_page))
		return -EINVAL;
	if (req->slot >> 16 >= VLM_AS_NUM || (req->slot & 0xffff) >= VLM_MEMSLOTS_MAX)
		return -EINVAL;
	if (req->gpa + req->size_bytes < req->gpa || req->hva + req->size_bytes < req->hva)
		return -EINVAL;
	if (req->size_bytes >> PAGE_SHIFT > VLM_MEMSLOT_PAGES_MAX)
		return -EINVAL;
	return 0;
}

/* The guest must be able to address the last page. */
static bool beyond_reach(const struct vlm_memslot_request *req)
{
	return (req->gpa + req->size_bytes - 1) >> PAGE_SHIFT > vlm_spte_ept.max_pfn;
}

static int set_slot(struct vlm_mmu *mmu, const struct vlm_memslot_request *req)
{
	struct vlm_memslot *old = vlm_memslot_by_id(mmu, req->slot);
	int err = check_request(req);

	if (err)
		return err;
	if (!req->size_bytes)
		return old ? slot_delete(mmu, old, req->zap) : -EINVAL;

	if (!old) {
		if (mmu->nr_slot_pages + (req->size_bytes >> PAGE_SHIFT) < mmu->nr_slot_pages ||
		    beyond_reach(req))
			return -EINVAL;
		return slot_create(mmu, req);
	}
	if (req->hva != old->hva || req->size_bytes >> PAGE_SHIFT != old->npages ||
	    ((req->flags ^ old->flags) & VLM_MEMSLOT_READONLY))
		return -EINVAL;
	if (req->gpa >> PAGE_SHIFT != old->base_gfn)
		return beyond_reach(req) ? -EINVAL : slot_move(mmu, old, req);
	return req->flags == old->flags ? 0 : slot_change_flags(mmu, old, req);
}

int vlm_memslot_set(struct vlm_mmu *mmu, const struct vlm_memslot_request *req)
{
	int err = set_slot(mmu, req);

	vlm_zap_hand_over(mmu);
	return err;
}

int vlm_memslot_fit_level(const struct vlm_memslot *slot, u64 gfn, int max)
{
	int level;

	for (level = max; level > VLM_LEVEL_4K; level--) {
		u64 pages = vlm_level_pages(level);
		u64 base = vlm_level_base(gfn, level);

		if (base >= slot->base_gfn && base + pages <= slot->base_gfn + slot->npages &&
		    !((slot->base_gfn ^ (slot->hva >> PAGE_SHIFT)) & (pages - 1)))
			break;
	}
	return level;
}
