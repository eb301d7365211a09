// SPDX-License-Identifier: GPL-2.0-only
/* Resolve EPT violations and misconfigurations. */
#include "fault_fast.h"
#include "generation.h"
#include "mmu.h"
#include "notifier.h"
#include "nx.h"
#include "spte.h"
#include "spte_store.h"
#include "tdp.h"
#include "trace.h"

/* One fault on its way. */
struct fault {
	struct vlm_mmu_vcpu *mv;
	u64 gfn;
	u32 access;
	const struct vlm_memslot *slot;
	unsigned long hva;
	struct vlm_host_page host;
	int fit_level;		/* largest leaf that host and slot allow */
	int level;		/* of the leaf to install: lower where NX splits */
	unsigned int flags;	/* VLM_LEAF_* of it */
};

static enum vlm_fault_result fault_failed(struct vlm_mmu_vcpu *mv, int err)
{
	mv->fault_errno = err;
	return VLM_FAULT_ERROR;
}

/* Under the mmu lock, after the notifier test: the host cannot change its mind now. */
static int choose_level(const struct fault *f)
{
	int level = vlm_spte_ept.max_level;

	if (f->host.device || (f->slot->flags & VLM_MEMSLOT_LOG_DIRTY))
		return VLM_LEVEL_4K;
	level = vlm_memslot_fit_level(f->slot, f->gfn, level);
	if (level > VLM_LEVEL_4K) {
		int host = vlm_platform_host_level(f->mv->mmu, f->hva);

		level = host < level ? host : level;
	}
	/* Equal offsets within the huge page follow from the above; do not bet the host on it. */
	while (level > VLM_LEVEL_4K && ((f->host.pfn ^ f->gfn) & (vlm_level_pages(level) - 1)))
		level--;
	return level;
}

/* With the NX mitigation, what is executed is small. */
static bool nx_splits(const struct fault *f)
{
	return f->mv->mmu->nx && (f->access & VLM_ACCESS_EXEC);
}

static unsigned int choose_flags(const struct fault *f)
{
	unsigned int flags = f->host.device ? VLM_LEAF_DEVICE : 0;

	if (f->mv->mmu->nx)
		flags |= VLM_LEAF_NX;
	if (!f->host.writable || (f->slot->flags & VLM_MEMSLOT_READONLY))
		return flags;
	flags |= VLM_LEAF_HOST_W;
	/* With dirty logging a page becomes writable by a write only, if not the hardware logs it. */
	if (!(f->slot->flags & VLM_MEMSLOT_LOG_DIRTY) || (f->access & VLM_ACCESS_WRITE))
		flags |= VLM_LEAF_WRITABLE;
	else if (vlm_spte_hardware_logs(&vlm_spte_ept))
		flags |= VLM_LEAF_CLEAN;
	return flags;
}

/* True if taking down @table, at @level, is one bounded step: nothing hangs below it. */
static bool is_shallow(struct vlm_tdp_op *op, u64 *table, int level)
{
	unsigned int i;

	if (level == VLM_LEVEL_4K)
		return true;
	for (i = 0; i < VLM_TABLE_ENTRIES; i++) {
		if (vlm_spte_is_nonleaf(vlm_spte_read(table + i), level))
			return false;
	}
	op->visited += VLM_TABLE_ENTRIES;
	return true;
}

/* Stand on the entry where the leaf goes. */
static enum vlm_fault_result install_leaf(struct vlm_tdp_op *op, struct fault *f, u64 *sptep,
					  u64 old, int level)
{
	u64 pfn = vlm_level_base(f->host.pfn, level);
	u64 val = vlm_spte_make_leaf(&vlm_spte_ept, pfn, level, f->flags);
	bool done;

	if (vlm_spte_is_leaf(old, level) && vlm_spte_pfn(old) == pfn) {
		/* The host did not take rights away, or the notifier would have been here. */
		val |= old & (VLM_SPTE_HOST_W | VLM_SPTE_MMU_W);
		if (val == old)
			return VLM_FAULT_SPURIOUS;
		done = vlm_tdp_set(op, sptep, old, val, level);
	} else if (vlm_spte_is_present(old)) {
		done = vlm_tdp_replace(op, sptep, old, val, level);
	} else {
		done = vlm_tdp_set(op, sptep, old, val, level);
	}
	if (!done)
		return VLM_FAULT_RETRY;
	/* Install first, mark second: a harvest in between finds the one or the other. */
	if (f->flags & VLM_LEAF_WRITABLE)
		vlm_memslot_mark_dirty(f->mv->mmu, f->slot, f->gfn);
	return VLM_FAULT_FIXED;
}

static enum vlm_fault_result map(struct vlm_tdp_op *op, struct fault *f)
{
	struct vlm_mmu_vcpu *mv = f->mv;
	struct vlm_mmu_page *root = mv->root;
	u64 *table = root->table;
	int level;

	for (level = root->role.level;; level--) {
		u64 *sptep = table + vlm_level_index(f->gfn, level);
		u64 old = vlm_spte_read(sptep);
		struct vlm_mmu_page *sp;

		op->visited++;
		if (vlm_spte_is_frozen(old))
			return VLM_FAULT_RETRY;
		if (vlm_spte_is_leaf(old, level) &&
		    vlm_spte_allows(&vlm_spte_ept, old, f->access))
			return VLM_FAULT_SPURIOUS;

		if (vlm_spte_is_nonleaf(old, level)) {
			u64 *below = vlm_platform_table_va(vlm_spte_pa(old));

			/* Or execution and data would take the page from each other for ever. */
			if (level <= f->level && vlm_nx_is_kept(vlm_page_of_spte(old)))
				f->level = level - 1;
			if (level > f->level || !is_shallow(op, below, level - 1)) {
				table = below;
				continue;
			}
		}
		if (level <= f->level)
			return install_leaf(op, f, sptep, old, level);

		sp = vlm_page_cache_pop(mv->mmu, &mv->cache);
		if (!sp)
			return VLM_FAULT_RETRY;
		/* If NX is the only obstacle to a huge leaf here, say so before others see it. */
		sp->nx = nx_splits(f) && level <= f->fit_level ? VLM_NX_KEPT : VLM_NX_NONE;
		if (vlm_spte_is_leaf(old, level)) {
			if (!vlm_tdp_split_entry(op, root, sptep, f->gfn, old, level, sp)) {
				vlm_page_free(mv->mmu, sp);
				return VLM_FAULT_RETRY;
			}
		} else if (!vlm_tdp_link(op, root, sptep, f->gfn, old, level, sp)) {
			sp->nx = VLM_NX_NONE;
			vlm_page_cache_push(mv->mmu, &mv->cache, sp);
			return VLM_FAULT_RETRY;
		}
		vlm_nx_add(mv->mmu, sp);
		table = sp->table;
	}
}

/* Where no memory is, unless it came meanwhile or somebody works here: the next access will tell. */
static void install_mmio(struct vlm_tdp_op *op, struct vlm_mmu_vcpu *mv, u64 gfn, u64 generation)
{
	u64 val = vlm_spte_make_mmio(&vlm_spte_ept, generation);
	u64 *sptep = vlm_tdp_make_entry(op, mv->root, gfn, VLM_LEVEL_4K, &mv->cache);
	u64 old;

	op->visited += mv->root->role.level;
	if (!sptep)
		return;
	old = vlm_spte_read(sptep);
	if (!vlm_spte_is_present(old) && old != val &&
	    vlm_tdp_set(op, sptep, old, val, VLM_LEVEL_4K))
		vlm_pf_count(&mv->stats, VLM_PF_MMIO_CREATED);
}

/* No memory at the gfn: remember that, so that the next access exits as a misconfiguration. */
static enum vlm_fault_result map_mmio(struct vlm_mmu_vcpu *mv, u64 gfn, u64 generation)
{
	struct vlm_tdp_op op;

	/*
	 * It would not hit while the update runs; and when the generation wraps in this update it
	 * would come after the zap, to hit when the same number comes round again.
	 */
	if (generation & VLM_GEN_UPDATING)
		return VLM_FAULT_EMULATE;
	vlm_tdp_begin(&op, mv->mmu, VLM_LOCK_SHARED, VLM_NEVER_YIELD);
	if (!mv->root->invalid)
		install_mmio(&op, mv, gfn, generation);
	vlm_tdp_end(&op);
	return VLM_FAULT_EMULATE;
}

static enum vlm_fault_result fault_memory(struct fault *f)
{
	struct vlm_mmu_vcpu *mv = f->mv;
	struct vlm_mmu *mmu = mv->mmu;
	enum vlm_fault_result res;
	struct vlm_tdp_op op;
	unsigned long seq;
	int err;

	seq = vlm_notifier_snapshot(mmu);
	err = vlm_platform_host_get(mmu, f->hva, f->access & VLM_ACCESS_WRITE, &f->host);
	if (err)
		return err == -EAGAIN ? VLM_FAULT_RETRY : fault_failed(mv, err);

	vlm_tdp_begin(&op, mmu, VLM_LOCK_SHARED, VLM_NEVER_YIELD);
	if (mv->root->invalid || vlm_notifier_must_retry(mmu, seq, f->hva)) {
		res = VLM_FAULT_RETRY;
	} else {
		f->fit_level = choose_level(f);
		f->level = nx_splits(f) ? VLM_LEVEL_4K : f->fit_level;
		f->flags = choose_flags(f);
		res = map(&op, f);
	}
	vlm_tdp_end(&op);
	/*
	 * Now, not when the entry goes away: a defunct table owes the host nothing. And not when
	 * it is made writable later, which needs no host page: HOST_W is the promise.
	 */
	vlm_platform_host_put(&f->host,
			      res == VLM_FAULT_FIXED && (f->flags & VLM_LEAF_HOST_W));
	return res;
}

static void count_result(struct vlm_mmu_vcpu *mv, enum vlm_fault_result res)
{
	vlm_pf_count(&mv->stats, VLM_PF_TAKEN);
	switch (res) {
	case VLM_FAULT_FIXED:
		vlm_pf_count(&mv->stats, VLM_PF_FIXED);
		break;
	case VLM_FAULT_SPURIOUS:
		vlm_pf_count(&mv->stats, VLM_PF_SPURIOUS);
		break;
	case VLM_FAULT_RETRY:
		vlm_pf_count(&mv->stats, VLM_PF_RETRIED);
		break;
	case VLM_FAULT_EMULATE:
		vlm_pf_count(&mv->stats, VLM_PF_EMULATED);
		break;
	case VLM_FAULT_ERROR:
		break;
	}
}

static enum vlm_fault_result resolve(struct vlm_mmu_vcpu *mv, u64 gpa, u32 access)
{
	struct vlm_mmu *mmu = mv->mmu;
	struct fault f = { .mv = mv, .gfn = gpa >> PAGE_SHIFT, .access = access };
	enum vlm_fault_result res;
	struct vlm_memslots *slots;

	if (READ_ONCE(mmu->dead))
		return fault_failed(mv, -EIO);
	/* Without a root the vCPU has a reload request pending. */
	if (!mv->root)
		return VLM_FAULT_RETRY;
	if (f.gfn >= vlm_level_pages(mv->root->role.level + 1))
		return VLM_FAULT_EMULATE;

	slots = vlm_memslots_get(mmu, mv->as_id);
	f.slot = vlm_memslot_find(slots, f.gfn);
	if (f.slot && (f.slot->flags & VLM_MEMSLOT_INVALID))
		return VLM_FAULT_RETRY;
	if (f.slot && (access & VLM_ACCESS_WRITE) && (f.slot->flags & VLM_MEMSLOT_READONLY))
		return VLM_FAULT_EMULATE;
	if (f.slot && vlm_fault_try_fast(mv, f.slot, f.gfn, access, &res))
		return res;
	if (vlm_page_cache_fill(mmu, &mv->cache, (u32)mv->root->role.level - 1))
		return fault_failed(mv, -ENOMEM);
	if (!f.slot)
		return map_mmio(mv, f.gfn, READ_ONCE(slots->generation));
	f.hva = vlm_memslot_hva_of(f.slot, f.gfn);
	return fault_memory(&f);
}

enum vlm_fault_result vlm_mmu_fault(struct vlm_mmu_vcpu *mv, u64 gpa, u32 access)
{
	enum vlm_fault_result res = resolve(mv, gpa, access);

	count_result(mv, res);
	vlm_trace_fault(mv, gpa, access, res);
	return res;
}

enum vlm_fault_result vlm_mmu_misconfig(struct vlm_mmu_vcpu *mv, u64 gpa)
{
	struct vlm_mmu *mmu = mv->mmu;
	int level;
	u64 spte;

	if (READ_ONCE(mmu->dead))
		return fault_failed(mv, -EIO);
	if (!mv->root)
		return VLM_FAULT_RETRY;
	rcu_read_lock();
	spte = vlm_tdp_lookup(mv->root, gpa >> PAGE_SHIFT, &level);
	rcu_read_unlock();

	if (vlm_spte_is_mmio(&vlm_spte_ept, spte)) {
		struct vlm_memslots *slots = vlm_memslots_get(mmu, mv->as_id);

		if (vlm_generation_matches(READ_ONCE(slots->generation), spte)) {
			vlm_pf_count(&mv->stats, VLM_PF_MMIO_HIT);
			return VLM_FAULT_EMULATE;
		}
		/* Stale: there may be memory now. The kind of access is not known, a read is safe. */
		return vlm_mmu_fault(mv, gpa, VLM_ACCESS_READ);
	}
	if (!vlm_spte_is_sane(&vlm_spte_ept, spte, level)) {
		vlm_platform_kill(mmu, "EPT misconfiguration by a corrupt entry");
		return fault_failed(mv, -EIO);
	}
	/* It was replaced since the exit. */
	return VLM_FAULT_RETRY;
}
