// SPDX-License-Identifier: GPL-2.0-only
/* Resolve page faults of a guest whose tables are shadowed. */
#include "guest_pt.h"
#include "notifier.h"
#include "rmap.h"
#include "shadow.h"
#include "spte_store.h"

/* One fault on its way. */
struct fault {
	struct vlm_shadow_vcpu *sv;
	struct vlm_tdp_op *op;
	u64 gva;
	u32 access;		/* asked for */
	u32 rights;		/* VLM_GACC_* that the guest's entries give so far */
	struct vlm_guest_walk *walk;
	struct vlm_guest_path path;
	const struct vlm_memslot *slot;
	u64 gfn;
	struct vlm_host_page host;
	bool wrote;		/* a leaf that allows writes was installed */
};

static enum vlm_shadow_result fault_failed(struct vlm_shadow_vcpu *sv, int err)
{
	sv->fault_errno = err;
	return VLM_SHADOW_ERROR;
}

/*
 * A table above level 1 will be write-protected for good: tables of level 1 that shadow
 * the same frame must not let it be written unseen any longer.
 */
static void zap_unsync_of(struct vlm_shadow *sh, u64 gfn, struct vlm_flush *flush)
{
	struct vlm_shadow_page *sp, *next;

	list_for_each_entry_safe(sp, next, vlm_shadow_bucket(sh, gfn), hash) {
		if (sp->page.gfn == gfn && sp->unsync && !vlm_shadow_is_obsolete(sh, sp))
			vlm_shadow_zap(sh, sp, flush);
	}
}

struct vlm_shadow_page *vlm_shadow_get(struct vlm_shadow_vcpu *sv, u64 gfn,
				       union vlm_shadow_role role, struct vlm_flush *flush)
{
	struct vlm_shadow *sh = sv->sh;
	struct vlm_shadow_page *sp = vlm_shadow_find(sh, gfn, role);

	/* Current before it is linked: what was not present needs no flush by the guest. */
	if (sp && sp->unsync && !vlm_shadow_sync_page(sh, sp, &sv->paging, flush))
		sp = NULL;
	if (sp)
		return sp;
	if (!role.direct && role.level > VLM_LEVEL_4K)
		zap_unsync_of(sh, gfn, flush);
	sp = vlm_shadow_create(sh, gfn, role, &sv->cache);
	if (!sp || role.direct)
		return sp;
	/* From here on writes to the table are seen, so that what is read next stays true. */
	if (vlm_shadow_wrprot_gfn(sh, gfn))
		vlm_flush_now(sh->mmu);
	/* Pairs with vlm_shadow_written(): it sees the table, or the caller sees the write. */
	smp_mb();
	return sp;
}

/* The entry that the walk used at @level still stands in the guest's table. */
static bool gpte_stands(const struct fault *f, int level)
{
	const struct guest_pt_format *fmt = f->path.fmt;
	u64 gpte = 0;

	return !vlm_platform_guest_peek(f->sv->sh->mmu, f->sv->paging.as_id,
					f->path.gpte_gpa[level], &gpte, fmt->entry_bytes) &&
	       gpte == f->path.gpte[level];
}

/* Have (@gfn, @role) below entry @index of @sp; whatever stands there goes. NULL: retry. */
static struct vlm_shadow_page *step_down(struct fault *f, struct vlm_shadow_page *sp,
					 unsigned int index, u64 gfn, union vlm_shadow_role role)
{
	struct vlm_shadow_vcpu *sv = f->sv;
	struct vlm_shadow_page *child = vlm_shadow_child(sp, index);

	f->op->visited++;
	if (child && child->page.gfn == gfn && child->role.word == role.word &&
	    !vlm_shadow_is_obsolete(sv->sh, child))
		return child;
	vlm_shadow_drop(sv->sh, sp, index, &f->op->flush);
	child = vlm_shadow_get(sv, gfn, role, &f->op->flush);
	if (!child)
		return NULL;
	/* A batch an attempt: the next one goes on where this one ends. */
	if (child->unsync_children &&
	    vlm_shadow_sync_children(sv->sh, f->op, child, &sv->paging) == VLM_SYNC_AGAIN)
		return NULL;
	if (!vlm_shadow_link(sv->sh, sp, index, child, &sv->cache.descs, &f->op->flush))
		return NULL;
	return child;
}

/*
 * CR0.WP = 0: the kernel writes to a page that its tables say is read-only. The real WP is
 * always 1, so the page turns into a writable one of the kernel until a user touches it.
 * With SMAP it must not: the kernel could then read it without the right to.
 */
static enum vlm_shadow_result flip_to_kernel(struct fault *f, union vlm_shadow_role role)
{
	if (!(f->access & VLM_ACCESS_WRITE) || (f->rights & VLM_GACC_WRITE))
		return VLM_SHADOW_FIXED;
	if ((f->rights & VLM_GACC_USER) && role.smap_andnot_wp)
		return VLM_SHADOW_EMULATE;
	/* SMEP looks at the user bit, which goes: have NX do its work. */
	if ((f->rights & VLM_GACC_USER) && role.smep_andnot_wp)
		f->rights &= ~VLM_GACC_EXEC;
	f->rights |= VLM_GACC_WRITE;
	f->rights &= ~VLM_GACC_USER;
	return VLM_SHADOW_FIXED;
}

static int choose_level(const struct fault *f, int max)
{
	int level;

	if (max > vlm_spte_shadow.max_level)
		max = vlm_spte_shadow.max_level;
	if (f->host.device || (f->slot->flags & VLM_MEMSLOT_LOG_DIRTY))
		return VLM_LEVEL_4K;
	level = vlm_memslot_fit_level(f->slot, f->gfn, max);
	if (level > VLM_LEVEL_4K) {
		unsigned long hva = vlm_memslot_hva_of(f->slot, f->gfn);
		int host = vlm_platform_host_level(f->sv->sh->mmu, hva);

		level = host < level ? host : level;
	}
	/* Never over a guest table: it could not be protected without its surroundings. */
	while (level > VLM_LEVEL_4K &&
	       (((f->host.pfn ^ f->gfn) & (vlm_level_pages(level) - 1)) ||
		*vlm_slot_tables(f->slot, f->gfn, level)))
		level--;
	return level;
}

static enum vlm_shadow_result install_leaf(struct fault *f, struct vlm_shadow_page *sp,
					   unsigned int index)
{
	struct vlm_shadow *sh = f->sv->sh;
	int level = (int)sp->role.level;
	u64 old = vlm_spte_read(sp->page.table + index);
	u64 pfn = vlm_level_base(f->host.pfn, level);
	bool may_write = f->host.writable && !(f->slot->flags & VLM_MEMSLOT_READONLY);
	unsigned int flags = f->host.device ? VLM_LEAF_DEVICE : 0;
	bool writable, protected = false;
	u64 spte;

	if (vlm_spte_is_nonleaf(old, level) ||
	    (vlm_spte_is_present(old) &&
	     (vlm_spte_pfn(old) != pfn ||
	      vlm_shadow_entry_gfn(sp, index) != vlm_level_base(f->gfn, level)))) {
		vlm_shadow_drop(sh, sp, index, &f->op->flush);
		old = 0;
	}
	/* With dirty logging a page becomes writable by a write only. */
	writable = may_write && (f->rights & VLM_GACC_WRITE) &&
		   (!(f->slot->flags & VLM_MEMSLOT_LOG_DIRTY) || (f->access & VLM_ACCESS_WRITE));
	/* What is writable already was asked for then. */
	if (writable && !vlm_spte_is_writable(&vlm_spte_shadow, old) &&
	    !vlm_shadow_try_unsync(sh, f->gfn, VLM_UNSYNC_ALLOWED)) {
		writable = false;
		protected = true;
	}
	if (may_write)
		flags |= VLM_LEAF_HOST_W;
	if (writable)
		flags |= VLM_LEAF_WRITABLE;
	spte = vlm_spte_make_leaf(&vlm_spte_shadow, pfn, level, flags);
	if (!writable)
		spte &= ~vlm_spte_shadow.mmu_w;
	if (f->rights & VLM_GACC_USER)
		spte |= vlm_spte_shadow.user;
	if (!(f->rights & VLM_GACC_EXEC))
		spte |= vlm_spte_shadow.nx;
	if (!vlm_shadow_set_leaf(sh, sp, index, spte, vlm_level_base(f->gfn, level), f->rights,
				 &f->sv->cache.descs, &f->op->flush))
		return VLM_SHADOW_RETRY;
	/* Install first, mark second: a harvest in between finds the one or the other. */
	if (writable)
		vlm_memslot_mark_dirty(sh->mmu, f->slot, f->gfn);
	f->wrote = writable;
	return protected && (f->access & VLM_ACCESS_WRITE) ? VLM_SHADOW_EMULATE : VLM_SHADOW_FIXED;
}

/* Direct tables between the guest's leaf and a smaller one of the host's. */
static enum vlm_shadow_result map_leaf(struct fault *f, struct vlm_shadow_page *sp)
{
	int target = choose_level(f, (int)sp->role.level);
	u64 gva_gfn = f->gva >> PAGE_SHIFT;

	while ((int)sp->role.level > target) {
		int level = (int)sp->role.level;
		unsigned int index = vlm_level_index(gva_gfn, level);
		union vlm_shadow_role role = sp->role;

		role.direct = 1;
		role = vlm_shadow_child_role(role, index, f->rights);
		sp = step_down(f, sp, index, vlm_level_base(f->gfn, level), role);
		if (!sp)
			return VLM_SHADOW_RETRY;
	}
	return install_leaf(f, sp, vlm_level_index(gva_gfn, (int)sp->role.level));
}

static enum vlm_shadow_result map(struct fault *f)
{
	struct vlm_shadow_page *sp = vlm_shadow_root_of(f->sv, f->gva);
	enum vlm_shadow_result res;

	f->rights = VLM_GACC_ALL;
	while (!sp->role.direct) {
		int level = (int)sp->role.level;
		unsigned int index = vlm_level_index(f->gva >> PAGE_SHIFT, level);
		u64 gpte = f->path.gpte[level];

		sp->writes = 0;
		/* Read again now that the table is protected, or marked: only then use it. */
		if (!gpte_stands(f, level))
			return VLM_SHADOW_RETRY;
		f->rights &= vlm_gpte_access(gpte);
		if (level == f->path.leaf)
			break;
		sp = step_down(f, sp, index, vlm_gpte_table(f->path.fmt, gpte) >> PAGE_SHIFT,
			       vlm_shadow_child_role(sp->role, index, f->rights));
		if (!sp)
			return VLM_SHADOW_RETRY;
	}
	/* The first write must come back, to set the guest's dirty flag. */
	if (!f->walk->dirty)
		f->rights &= ~VLM_GACC_WRITE;
	res = flip_to_kernel(f, sp->role);
	return res == VLM_SHADOW_FIXED ? map_leaf(f, sp) : res;
}

/* The slot may have changed since the walk: it lies in one read section, but is it all there? */
static bool is_stale(const struct fault *f, unsigned long seq)
{
	struct vlm_shadow_page *root = vlm_shadow_root_of(f->sv, f->gva);
	struct vlm_shadow *sh = f->sv->sh;

	return !root || vlm_shadow_is_obsolete(sh, root) ||
	       vlm_notifier_must_retry(sh->mmu, seq, vlm_memslot_hva_of(f->slot, f->gfn));
}

static enum vlm_shadow_result fault_memory(struct fault *f)
{
	struct vlm_shadow_vcpu *sv = f->sv;
	struct vlm_mmu *mmu = sv->sh->mmu;
	enum vlm_shadow_result res = VLM_SHADOW_RETRY;
	struct vlm_tdp_op op;
	unsigned long seq;
	int err;

	if (vlm_shadow_cache_fill(mmu, &sv->cache))
		return fault_failed(sv, -ENOMEM);
	vlm_shadow_make_room(sv->sh);
	seq = vlm_notifier_snapshot(mmu);
	err = vlm_platform_host_get(mmu, vlm_memslot_hva_of(f->slot, f->gfn),
				    f->access & VLM_ACCESS_WRITE, &f->host);
	if (err)
		return err == -EAGAIN ? VLM_SHADOW_RETRY : fault_failed(sv, err);

	vlm_tdp_begin(&op, mmu, VLM_LOCK_EXCLUSIVE, VLM_NEVER_YIELD);
	f->op = &op;
	if (!is_stale(f, seq))
		res = map(f);
	vlm_tdp_end(&op);
	vlm_platform_host_put(&f->host, f->wrote);
	return res;
}

static enum vlm_shadow_result resolve(struct vlm_shadow_vcpu *sv, u64 gva, u32 access,
				      struct vlm_guest_walk *walk)
{
	struct vlm_mmu *mmu = sv->sh->mmu;
	struct fault f = { .sv = sv, .gva = gva, .access = access, .walk = walk };

	if (READ_ONCE(mmu->dead))
		return fault_failed(sv, -EIO);
	if (vlm_guest_walk_path(mmu, &sv->paging, gva, access, walk, &f.path) == VLM_WALK_FAULT)
		return VLM_SHADOW_INJECT;
	f.gfn = walk->gpa >> PAGE_SHIFT;
	f.slot = vlm_memslot_find(vlm_memslots_get(mmu, sv->paging.as_id), f.gfn);
	if (!f.slot)
		return VLM_SHADOW_EMULATE;
	if (f.slot->flags & VLM_MEMSLOT_INVALID)
		return VLM_SHADOW_RETRY;
	if ((access & VLM_ACCESS_WRITE) && (f.slot->flags & VLM_MEMSLOT_READONLY))
		return VLM_SHADOW_EMULATE;
	return fault_memory(&f);
}

enum vlm_shadow_result vlm_shadow_fault(struct vlm_shadow_vcpu *sv, u64 gva, u32 access,
					struct vlm_guest_walk *walk)
{
	enum vlm_shadow_result res = resolve(sv, gva, access, walk);

	vlm_pf_count(&sv->stats, VLM_PF_TAKEN);
	if (res == VLM_SHADOW_FIXED)
		vlm_pf_count(&sv->stats, VLM_PF_FIXED);
	else if (res == VLM_SHADOW_RETRY)
		vlm_pf_count(&sv->stats, VLM_PF_RETRIED);
	else if (res == VLM_SHADOW_EMULATE)
		vlm_pf_count(&sv->stats, VLM_PF_EMULATED);
	return res;
}
