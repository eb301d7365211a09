/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The only way to write an SPTE. Each function is one store, and tells the observer
 * of the tests; the kernel has no observer and nothing is left of the calls.
 *
 * With the mmu lock held for read, other threads and the hardware write too: use
 * compare-exchange, and xchg only on tables that nobody can reach any more. With the
 * lock held for write the hardware still sets accessed and dirty flags.
 */
#ifndef VLM_MMU_SPTE_STORE_H
#define VLM_MMU_SPTE_STORE_H

#include "platform.h"

/* How an entry was written; for the observer. */
enum vlm_store_kind {
	VLM_STORE_FILL,		/* into a table that is not linked yet */
	VLM_STORE_EXCLUSIVE,	/* lock held for write */
	VLM_STORE_SHARED,	/* compare-exchange */
	VLM_STORE_COLLAPSE,	/* compare-exchange of a table and a leaf that translate alike */
	VLM_STORE_OWNED,	/* by the thread that froze the entry */
	VLM_STORE_LOCKLESS,	/* compare-exchange in RCU, without the mmu lock */
	VLM_STORE_DETACHED,	/* in a table that was unlinked */
};

#ifdef VLM_SPTE_OBSERVER
void vlm_spte_observe(u64 *sptep, u64 old, u64 val, enum vlm_store_kind kind);
#else
static inline void vlm_spte_observe(u64 *sptep, u64 old, u64 val, enum vlm_store_kind kind)
{
}
#endif

/* Acquire: what was filled into a table before it was linked is seen through the link. */
static inline u64 vlm_spte_read(u64 *sptep)
{
	return smp_load_acquire(sptep);
}

/* Fill an entry of a table that only this thread can see. */
static inline void vlm_spte_fill(u64 *sptep, u64 val)
{
	u64 old = READ_ONCE(*sptep);

	WRITE_ONCE(*sptep, val);
	vlm_spte_observe(sptep, old, val, VLM_STORE_FILL);
}

/* Replace *@old by @val; on failure *@old is what stands there. Full barrier on success. */
static inline bool vlm_spte_try_cmpxchg(u64 *sptep, u64 *old, u64 val)
{
	if (!try_cmpxchg64(sptep, old, val))
		return false;
	vlm_spte_observe(sptep, *old, val, VLM_STORE_SHARED);
	return true;
}

/* Likewise; @val is a huge leaf that translates as the table @*old does. */
static inline bool vlm_spte_try_collapse(u64 *sptep, u64 *old, u64 val)
{
	bool done = try_cmpxchg64(sptep, old, val);

	if (done)
		vlm_spte_observe(sptep, *old, val, VLM_STORE_COLLAPSE);
	return done;
}

/*
 * The same in RCU alone. @val maps what *@old maps; flags and permissions may differ. The
 * table may be unlinked meanwhile: then its entries are frozen, and this fails.
 */
static inline bool vlm_spte_try_cmpxchg_lockless(u64 *sptep, u64 *old, u64 val)
{
	if (!try_cmpxchg64(sptep, old, val))
		return false;
	vlm_spte_observe(sptep, *old, val, VLM_STORE_LOCKLESS);
	return true;
}

/* Lock held for write. Return the value replaced, with the flags that hardware set. */
static inline u64 vlm_spte_xchg_exclusive(u64 *sptep, u64 val)
{
	u64 old = xchg(sptep, val);

	vlm_spte_observe(sptep, old, val, VLM_STORE_EXCLUSIVE);
	return old;
}

/* End the freeze that this thread began. Release: what was done before is visible. */
static inline void vlm_spte_unfreeze(u64 *sptep, u64 frozen, u64 val)
{
	smp_store_release(sptep, val);
	vlm_spte_observe(sptep, frozen, val, VLM_STORE_OWNED);
}

/* Take the entry of an unlinked table. A late fault may still write there: see tdp.c. */
static inline u64 vlm_spte_xchg_detached(u64 *sptep, u64 val)
{
	u64 old = xchg(sptep, val);

	vlm_spte_observe(sptep, old, val, VLM_STORE_DETACHED);
	return old;
}

#endif
