// SPDX-License-Identifier: GPL-2.0-only
/* Host invalidations and aging. The protocol stands in notifier.h. */
#include "mmu.h"
#include "notifier.h"
#include "spte.h"
#include "shadow.h"
#include "tdp.h"

void vlm_notifier_init(struct vlm_notifier_state *n)
{
	spin_lock_init(&n->lock);
	init_waitqueue_head(&n->wait);
}

/* A part of a slot. */
struct hva_part {
	u64 start;	/* gfn */
	u64 end;
};

/* What of @slot lies in [start, end), which it meets. */
static struct hva_part part_of(const struct vlm_memslot *slot, unsigned long start,
			       unsigned long end)
{
	unsigned long slot_last = vlm_memslot_hva_of(slot, slot->base_gfn + slot->npages) - 1;
	unsigned long first = start > slot->hva ? start : slot->hva;
	unsigned long last = end - 1 < slot_last ? end - 1 : slot_last;

	return (struct hva_part){
		.start = slot->base_gfn + ((first - slot->hva) >> PAGE_SHIFT),
		.end = slot->base_gfn + ((last - slot->hva) >> PAGE_SHIFT) + 1,
	};
}

/* Each slot whose host memory meets [start, end). */
#define for_each_hva_slot(slots, slot, start, end)				\
	for ((slot) = vlm_memslot_first_hva((slots), (start), (end)); (slot);	\
	     (slot) = vlm_memslot_next_hva((slots), (slot), (start), (end)))

static bool meets_slot(struct vlm_mmu *mmu, unsigned long start, unsigned long end)
{
	unsigned int as_id;

	for (as_id = 0; as_id < VLM_AS_NUM; as_id++) {
		if (vlm_memslot_first_hva(vlm_memslots_get(mmu, as_id), start, end))
			return true;
	}
	return false;
}

static void set_active(struct vlm_mmu *mmu)
{
	spin_lock(&mmu->notifier.lock);
	mmu->notifier.active++;
	spin_unlock(&mmu->notifier.lock);
}

static void clear_active(struct vlm_mmu *mmu)
{
	struct vlm_notifier_state *n = &mmu->notifier;
	bool last;

	spin_lock(&n->lock);
	last = --n->active == 0;
	spin_unlock(&n->lock);
	if (last)
		wake_up_all(&n->wait);
}

static bool try_publish(struct vlm_mmu *mmu, struct vlm_memslot_space *space,
			struct vlm_memslots *slots)
{
	struct vlm_notifier_state *n = &mmu->notifier;
	bool idle;

	spin_lock(&n->lock);
	idle = !n->active;
	if (idle)
		rcu_assign_pointer(space->active, slots);
	spin_unlock(&n->lock);
	return idle;
}

void vlm_notifier_publish(struct vlm_mmu *mmu, struct vlm_memslot_space *space,
			  struct vlm_memslots *slots)
{
	wait_event(mmu->notifier.wait, try_publish(mmu, space, slots));
}

/* mmu lock held for write. */
static void range_enter(struct vlm_notifier_state *n, unsigned long start, unsigned long end)
{
	if (!n->in_progress++) {
		n->start = start;
		n->end = end;
		return;
	}
	/* Keep the hull of all: precise enough, and of constant size. */
	if (start < n->start)
		n->start = start;
	if (end > n->end)
		n->end = end;
}

static void zap_parts(struct vlm_tdp_op *op, unsigned int as_id, unsigned long start,
		      unsigned long end)
{
	const struct vlm_memslots *slots = vlm_memslots_get(op->mmu, as_id);
	struct vlm_mmu_page *root;
	struct vlm_memslot *slot;

	for_each_hva_slot(slots, slot, start, end) {
		struct hva_part part = part_of(slot, start, end);

		/* Work also where nothing is mapped: there may be 32,764 of them. */
		op->visited++;
		vlm_tdp_try_break(op);
		/* Invalid roots too: until they are empty they lead to host pages. */
		vlm_for_each_root(op->mmu, root, VLM_ROOTS_ALL) {
			if (root->role.as_id == as_id)
				vlm_tdp_zap_leaves(op, root, part.start, part.end);
		}
		if (op->mmu->shadow)
			vlm_shadow_zap_gfns(op->mmu->shadow, op, slot, part.start, part.end);
	}
}

void vlm_notifier_begin(struct vlm_mmu *mmu, unsigned long start, unsigned long end,
			enum vlm_notifier_block block)
{
	struct vlm_tdp_op op;
	unsigned int as_id;

	/* Before the slots are looked at. */
	set_active(mmu);
	if (!meets_slot(mmu, start, end))
		return;

	vlm_stat_add(&mmu->stats, VLM_STAT_INVALIDATIONS, 1);
	vlm_tdp_begin(&op, mmu, VLM_LOCK_EXCLUSIVE,
		      block == VLM_NOTIFIER_MAY_BLOCK ? VLM_MAY_YIELD : VLM_NEVER_YIELD);
	range_enter(&mmu->notifier, start, end);
	for (as_id = 0; as_id < VLM_AS_NUM; as_id++)
		zap_parts(&op, as_id, start, end);
	vlm_tdp_end(&op);
}

void vlm_notifier_end(struct vlm_mmu *mmu, unsigned long start, unsigned long end)
{
	struct vlm_notifier_state *n = &mmu->notifier;

	/* No slots were published since begin(): the answer is the same. */
	if (meets_slot(mmu, start, end)) {
		write_lock(&mmu->lock);
		WRITE_ONCE(n->seq, n->seq + 1);
		/* A fault that sees the range free must see the new sequence. */
		smp_wmb();
		n->in_progress--;
		write_unlock(&mmu->lock);
	}
	clear_active(mmu);
}

static bool age_part(struct vlm_mmu *mmu, unsigned int as_id, const struct hva_part *part,
		     enum vlm_age what, u32 *budget)
{
	struct vlm_mmu_page *root;
	bool young = false;

	/*
	 * No reference, which takes the lock: what is looked at in RCU is not freed in RCU, and
	 * to age a table that is being taken apart changes nothing that matters.
	 */
	list_for_each_entry_rcu(root, &mmu->roots, link) {
		if (root->role.as_id == as_id && !READ_ONCE(root->invalid))
			young |= vlm_tdp_age(root, part->start, part->end, what, budget);
	}
	return young;
}

static bool age_range(struct vlm_mmu *mmu, unsigned long start, unsigned long end,
		      enum vlm_age what)
{
	u32 budget = VLM_AGE_BUDGET;
	unsigned int as_id;
	bool young = false;

	rcu_read_lock();
	for (as_id = 0; as_id < VLM_AS_NUM; as_id++) {
		const struct vlm_memslots *slots = vlm_memslots_get(mmu, as_id);
		struct vlm_memslot *slot;

		for_each_hva_slot(slots, slot, start, end) {
			struct hva_part part = part_of(slot, start, end);

			/* No slot is for nothing, or a thousand empty ones would be. */
			if (!budget)
				break;
			budget--;
			young |= age_part(mmu, as_id, &part, what, &budget);
		}
	}
	rcu_read_unlock();
	/* Permissions were taken to see the next access. */
	if (young && what == VLM_AGE_CLEAR && !vlm_spte_ept.accessed)
		vlm_flush_now(mmu);
	return young;
}

bool vlm_notifier_clear_young(struct vlm_mmu *mmu, unsigned long start, unsigned long end)
{
	return age_range(mmu, start, end, VLM_AGE_CLEAR);
}

bool vlm_notifier_test_young(struct vlm_mmu *mmu, unsigned long start, unsigned long end)
{
	return age_range(mmu, start, end, VLM_AGE_TEST);
}
