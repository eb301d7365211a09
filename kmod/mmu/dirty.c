// SPDX-License-Identifier: GPL-2.0-only
/* Dirty logs: have writes seen, and say what was seen. */
#include "collapse.h"
#include "dirty.h"
#include "memslot_change.h"
#include "mmu.h"
#include "spte.h"
#include "tdp.h"

/* Words whose bits are fetched before the tables are looked at: one lowest table's worth. */
#define BATCH_WORDS	(VLM_TABLE_ENTRIES / BITS_PER_LONG)

unsigned long *vlm_dirty_log_alloc(struct vlm_mmu *mmu, u64 npages)
{
	unsigned long *log = (unsigned long *)kvcalloc(BITS_TO_LONGS(npages), sizeof(long),
						       GFP_KERNEL_ACCOUNT);

	if (log && (mmu->log_flags & VLM_LOG_ALL_SET))
		bitmap_set(log, 0, (unsigned int)npages);
	return log;
}

void vlm_memslot_log_write(struct vlm_mmu *mmu, const struct vlm_memslot *slot, u64 gfn)
{
	u64 page = gfn - slot->base_gfn;
	struct vlm_dirty_ring *ring;

	if (!(mmu->log_flags & VLM_LOG_RINGS)) {
		set_bit((long)page, slot->dirty);
		return;
	}
	ring = vlm_platform_dirty_ring(mmu);
	if (!ring || !vlm_dirty_ring_push(ring, (u32)slot->as_id << 16 | slot->id, page))
		vlm_platform_kill(mmu, "a write has no place in a dirty ring");
}

/* Bits of one word of a log that are to be set. */
struct marks {
	unsigned long *word;
	unsigned long bits;
};

static void marks_commit(struct marks *marks)
{
	if (marks->bits)
		atomic_long_or((long)marks->bits, (atomic_long_t *)marks->word);
	marks->bits = 0;
}

/* Writes come in runs: the pages of one word are marked at once. */
static void marks_add(struct marks *marks, const struct vlm_memslot *slot, u64 page)
{
	unsigned long *word = slot->dirty + page / BITS_PER_LONG;

	if (word != marks->word)
		marks_commit(marks);
	marks->word = word;
	marks->bits |= BIT(page % BITS_PER_LONG);
}

void vlm_dirty_log_drain(struct vlm_mmu_vcpu *mv, const u64 *gpas, unsigned int n)
{
	struct vlm_memslots *slots = vlm_memslots_get(mv->mmu, mv->as_id);
	const struct vlm_memslot *slot = NULL;
	struct marks marks = { .word = NULL };

	while (n--) {
		u64 gfn = gpas[n] >> PAGE_SHIFT;

		if (!slot || gfn - slot->base_gfn >= slot->npages)
			slot = vlm_memslot_find(slots, gfn);
		/* Since the write the slot may have gone, or its log. */
		if (!slot || !(slot->flags & VLM_MEMSLOT_LOG_DIRTY))
			continue;
		if (slot->dirty)
			marks_add(&marks, slot, gfn - slot->base_gfn);
		else
			vlm_memslot_log_write(mv->mmu, slot, gfn);
	}
	marks_commit(&marks);
}

void vlm_dirty_log_sync(struct vlm_mmu *mmu)
{
	if (vlm_spte_hardware_logs(&vlm_spte_ept))
		vlm_platform_drain_logs(mmu);
}

/**
 * struct pass - one pass over a log, or over a slot
 * @op:		holds the mmu lock for read
 * @slot:	whose pages
 * @cache:	tables for splitting huge pages
 */
struct pass {
	struct vlm_tdp_op op;
	const struct vlm_memslot *slot;
	struct vlm_page_cache cache;
};

static void pass_begin(struct pass *p, struct vlm_mmu *mmu, const struct vlm_memslot *slot)
{
	p->slot = slot;
	p->cache.nr = 0;
	/*
	 * Shared mode is enough: faults install first and mark second, so a write that
	 * this pass does not report is either prevented here or marked after the bit was
	 * fetched.
	 */
	vlm_tdp_begin(&p->op, mmu, VLM_LOCK_SHARED, VLM_MAY_YIELD);
}

static void pass_end(struct pass *p)
{
	struct vlm_mmu *mmu = p->op.mmu;

	vlm_tdp_end(&p->op);
	vlm_page_cache_drain(mmu, &p->cache);
}

void vlm_memslot_start_logging(struct vlm_mmu *mmu, const struct vlm_memslot *slot)
{
	u64 start = slot->base_gfn, end = slot->base_gfn + slot->npages;
	struct vlm_mmu_page *root;
	struct pass p;

	/* Everything counts as written: the first clear of a page begins to look. */
	if ((mmu->log_flags & VLM_LOG_ALL_SET) && !(mmu->log_flags & VLM_LOG_RINGS))
		return;
	pass_begin(&p, mmu, slot);
	vlm_for_each_root(mmu, root, VLM_ROOTS_VALID) {
		if (root->role.as_id != slot->as_id)
			continue;
		/* A huge leaf that stays for want of memory is split by the first write to it. */
		vlm_tdp_split_range(&p.op, root, start, end, &p.cache);
		vlm_tdp_protect_range(&p.op, root, start, end);
	}
	/* Another thread may have taken a permission and not flushed yet. */
	p.op.flush.needed = true;
	pass_end(&p);
}

void vlm_memslot_stop_logging(struct vlm_mmu *mmu, const struct vlm_memslot *slot)
{
	struct vlm_mmu_page *root;
	struct vlm_tdp_op op;

	vlm_tdp_begin(&op, mmu, VLM_LOCK_SHARED, VLM_MAY_YIELD);
	vlm_for_each_root(mmu, root, VLM_ROOTS_VALID) {
		if (root->role.as_id == slot->as_id)
			vlm_tdp_collapse(&op, root, slot);
	}
	vlm_tdp_end(&op);
}

/* Have the next write seen to each page whose bit is set in @bits, for words from @first on. */
static void protect(struct pass *p, u64 first, const unsigned long *bits, unsigned int n)
{
	u64 base = p->slot->base_gfn + first * BITS_PER_LONG;
	struct vlm_mmu_page *root;
	u64 start, end;

	while (n && !bits[n - 1])
		n--;
	if (!n)
		return;
	end = base + (u64)n * BITS_PER_LONG - (BITS_PER_LONG - 1 - __fls(bits[n - 1]));
	for (; !bits[0]; bits++, n--)
		base += BITS_PER_LONG;
	start = base + __ffs(bits[0]);

	vlm_for_each_root(p->op.mmu, root, VLM_ROOTS_VALID) {
		if (root->role.as_id != p->slot->as_id)
			continue;
		/* Huge pages may be left when all bits were set at first, or memory was short. */
		vlm_tdp_split_range(&p->op, root, start, end, &p->cache);
		vlm_tdp_protect_bits(&p->op, root, base, bits, n);
	}
}

/* Words of the next batch when @left words are left. */
static unsigned int batch_len(u64 left)
{
	return left < BATCH_WORDS ? (unsigned int)left : BATCH_WORDS;
}

void vlm_memslot_harvest(struct vlm_mmu *mmu, const struct vlm_memslot *slot, u64 first,
			 u64 nwords, unsigned long *out)
{
	struct pass p;
	u64 i;

	pass_begin(&p, mmu, slot);
	for (i = 0; i < nwords; i += BATCH_WORDS) {
		unsigned int j, n = batch_len(nwords - i);
		unsigned long any = 0;

		for (j = 0; j < n; j++) {
			unsigned long *word = slot->dirty + first + i + j;

			out[i + j] = READ_ONCE(*word) ? xchg(word, 0) : 0;
			any |= out[i + j];
		}
		if (!any)
			continue;
		protect(&p, first + i, out + i, n);
		/* Another pass may have taken a permission and not flushed yet. */
		p.op.flush.needed = true;
		vlm_tdp_try_break(&p.op);
	}
	pass_end(&p);
}

/* Clear the bits of @mask in @word, before anything that follows. */
static void clear_bits(unsigned long *word, unsigned long mask)
{
	if (READ_ONCE(*word) & mask)
		atomic_long_fetch_andnot((long)mask, (atomic_long_t *)word);
}

/* Bits of word @word that stand for pages of @slot. */
static unsigned long pages_of_word(const struct vlm_memslot *slot, u64 word)
{
	u64 left = slot->npages - word * BITS_PER_LONG;

	return left < BITS_PER_LONG ? BIT(left) - 1 : ~0ul;
}

void vlm_memslot_clear_log(struct vlm_mmu *mmu, const struct vlm_memslot *slot, u64 first,
			   u64 nwords, const unsigned long *bits)
{
	struct pass p;
	u64 i;

	pass_begin(&p, mmu, slot);
	for (i = 0; i < nwords; i += BATCH_WORDS) {
		unsigned int j, n = batch_len(nwords - i);
		unsigned long asked[BATCH_WORDS], any = 0;

		for (j = 0; j < n; j++) {
			asked[j] = bits[i + j] & pages_of_word(slot, first + i + j);
			any |= asked[j];
			clear_bits(slot->dirty + first + i + j, asked[j]);
		}
		if (!any)
			continue;
		/*
		 * All that was asked for, not only what was left to clear: another thread may
		 * have cleared a bit and not taken the permission yet, or not flushed, and
		 * this caller relies on it too.
		 */
		protect(&p, first + i, asked, n);
		p.op.flush.needed = true;
		vlm_tdp_try_break(&p.op);
	}
	pass_end(&p);
}

/* Pages of one word of a slot. */
struct run {
	u32 slot;
	u64 word;
	unsigned long mask;
};

/* User space named the slot and the pages: they may be anything. */
static void protect_run(struct pass *p, const struct run *run)
{
	struct vlm_memslot *slot = vlm_memslot_by_id(p->op.mmu, run->slot);
	unsigned long mask;

	p->op.visited++;
	if (!slot || !(slot->flags & VLM_MEMSLOT_LOG_DIRTY) ||
	    run->word > (slot->npages - 1) / BITS_PER_LONG)
		return;
	mask = run->mask & pages_of_word(slot, run->word);
	p->slot = slot;
	protect(p, run->word, &mask, 1);
}

u32 vlm_dirty_ring_reset(struct vlm_mmu *mmu, struct vlm_dirty_ring *ring)
{
	struct vlm_dirty_entry entry;
	struct run run = { .mask = 0 };
	struct pass p;
	u32 n = 0;

	pass_begin(&p, mmu, NULL);
	/* No more than were there at first: the vCPU may go on to publish. */
	while (n < ring->size && vlm_dirty_ring_pop(ring, &entry)) {
		u64 word = entry.offset / BITS_PER_LONG;

		n++;
		if (run.mask && (entry.slot != run.slot || word != run.word)) {
			protect_run(&p, &run);
			p.op.flush.needed = true;
			run.mask = 0;
			vlm_tdp_try_break(&p.op);
		}
		run.slot = entry.slot;
		run.word = word;
		run.mask |= BIT(entry.offset % BITS_PER_LONG);
	}
	if (run.mask) {
		protect_run(&p, &run);
		p.op.flush.needed = true;
	}
	pass_end(&p);
	return n;
}
