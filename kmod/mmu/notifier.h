/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The protocol between host invalidations and faults.
 *
 * Invalidation: begin() marks the range as in progress and zaps it; end() first advances
 * the sequence, then clears the mark. Fault: take a snapshot of the sequence, resolve the
 * host page, take the mmu lock, and go on only if vlm_notifier_must_retry() says no. The
 * snapshot comes before the host page, the test after the lock.
 *
 * begin() and end() also count as active, whether or not they meet a slot; a new set
 * of slots is published only while nothing is active, so that both see the same slots.
 */
#ifndef VLM_MMU_NOTIFIER_H
#define VLM_MMU_NOTIFIER_H

#include "state.h"

void vlm_notifier_init(struct vlm_notifier_state *n);

enum vlm_notifier_block {
	VLM_NOTIFIER_MAY_BLOCK,
	VLM_NOTIFIER_ATOMIC,
};

/*
 * The host is about to change [start, end): no translation to it is left on return.
 * Caller is in the slots read section, and may sleep unless ATOMIC is given. Every
 * begin() is followed by an end() with the same range.
 */
void vlm_notifier_begin(struct vlm_mmu *mmu, unsigned long start, unsigned long end,
			enum vlm_notifier_block block);
/* The host has changed the range. Slots read section. Does not sleep. */
void vlm_notifier_end(struct vlm_mmu *mmu, unsigned long start, unsigned long end);

/*
 * Entries, and parts of slots, that one aging call visits at most: more than the host's 2-MiB page
 * takes when it stands in both address spaces twice and is mapped by 4 KiB.
 */
#define VLM_AGE_BUDGET		2304

/*
 * Was anything in [start, end) accessed since the last time? Slots read section. No sleep, for
 * the caller holds a lock of the host's page tables; so of a range with more entries than
 * VLM_AGE_BUDGET only the first ones are looked at, and the others stay as young as they are.
 */
bool vlm_notifier_clear_young(struct vlm_mmu *mmu, unsigned long start, unsigned long end);
bool vlm_notifier_test_young(struct vlm_mmu *mmu, unsigned long start, unsigned long end);

/* Before the host page is resolved. */
static inline unsigned long vlm_notifier_snapshot(struct vlm_mmu *mmu)
{
	unsigned long seq = READ_ONCE(mmu->notifier.seq);

	/* Pairs with the barrier in vlm_notifier_end(). */
	smp_rmb();
	return seq;
}

/* mmu lock held in either mode. */
static inline bool vlm_notifier_must_retry(struct vlm_mmu *mmu, unsigned long seq,
					   unsigned long hva)
{
	const struct vlm_notifier_state *n = &mmu->notifier;

	lockdep_assert_held(&mmu->lock);
	if (n->in_progress && hva >= n->start && hva < n->end)
		return true;
	return READ_ONCE(n->seq) != seq;
}

/* The host changes a part of [start, end), hva, right now. mmu lock held in either mode. */
static inline bool vlm_notifier_is_changing(struct vlm_mmu *mmu, unsigned long start,
					    unsigned long end)
{
	const struct vlm_notifier_state *n = &mmu->notifier;

	lockdep_assert_held(&mmu->lock);
	return n->in_progress && start < n->end && end > n->start;
}

/*
 * Publish @slots as the active set of @space once no invalidation is active. Slots
 * lock; sleeps.
 */
void vlm_notifier_publish(struct vlm_mmu *mmu, struct vlm_memslot_space *space,
			  struct vlm_memslots *slots);

#endif
