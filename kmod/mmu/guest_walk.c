// SPDX-License-Identifier: GPL-2.0-only
/* Walk the guest's page tables. SDM volume 3, chapter "Paging". */
#include "guest_pt.h"

/* An entry changed under the walk this many times: let the guest run and try again. */
#define MAX_RESTARTS	64

const struct guest_pt_format vlm_guest_pt_32 = {
	.root_level = 2,
	.entry_bytes = 4,
	.index_bits = 10,
	.huge_levels = BIT(2),
	.cr3_mask = GENMASK_ULL(31, 12),
};

const struct guest_pt_format vlm_guest_pt_pae = {
	.root_level = 2,
	.entry_bytes = 8,
	.index_bits = 9,
	.huge_levels = BIT(2),
	.pae_root = true,
};

const struct guest_pt_format vlm_guest_pt_4level = {
	.root_level = 4,
	.entry_bytes = 8,
	.index_bits = 9,
	.huge_levels = BIT(2) | BIT(3),
	.cr3_mask = GENMASK_ULL(51, 12),
};

const struct guest_pt_format vlm_guest_pt_5level = {
	.root_level = 5,
	.entry_bytes = 8,
	.index_bits = 9,
	.huge_levels = BIT(2) | BIT(3),
	.cr3_mask = GENMASK_ULL(51, 12),
};

/* A walk under way. */
struct walk {
	struct vlm_mmu *mmu;
	const struct vlm_guest_paging *paging;
	u64 gva;
	u32 access;
	struct vlm_guest_path *path;
	u64 rights;		/* W and U of all entries together, NX of any */
};

/* Error code apart from P, RSVD and PK. */
static u32 pfec_of_access(const struct vlm_guest_paging *p, u32 access)
{
	u32 pfec = 0;

	if (access & VLM_ACCESS_WRITE)
		pfec |= VLM_PFEC_WRITE;
	if (access & VLM_ACCESS_USER)
		pfec |= VLM_PFEC_USER;
	/* Reported only where it can matter. */
	if ((access & VLM_ACCESS_EXEC) && (vlm_guest_has_nx(p) || (p->cr4 & GCR4_SMEP)))
		pfec |= VLM_PFEC_FETCH;
	return pfec;
}

enum step {
	STEP_DONE,	/* leaf found */
	STEP_FAULT,	/* *pfec is set */
};

/* Read entries from the root to the leaf. */
static __always_inline enum step descend(const struct guest_pt_format *fmt, struct walk *w,
					 u32 *pfec)
{
	const struct vlm_guest_paging *p = w->paging;
	const u64 index_mask = BIT_ULL(fmt->index_bits) - 1;
	u64 table = p->cr3 & fmt->cr3_mask;
	int level;

	w->rights = GPTE_WRITE | GPTE_USER;
	if (fmt->pae_root) {
		u64 pdpte = p->pdptrs[(w->gva >> 30) & 3];

		/* Checked for reserved bits when it was loaded. */
		if (!(pdpte & GPTE_PRESENT))
			return STEP_FAULT;
		table = pdpte & GENMASK_ULL(51, 12);
	}

	for (level = fmt->root_level;; level--) {
		unsigned int shift = 12 + fmt->index_bits * (unsigned int)(level - 1);
		u64 gpte_gpa = table + ((w->gva >> shift) & index_mask) * fmt->entry_bytes;
		u64 gpte = 0;

		/* Little endian: 4 bytes fill the lower half. */
		if (vlm_platform_guest_read(w->mmu, p->as_id, gpte_gpa, &gpte, fmt->entry_bytes))
			return STEP_FAULT;
		w->path->gpte[level] = gpte;
		w->path->gpte_gpa[level] = gpte_gpa;
		if (!(gpte & GPTE_PRESENT))
			return STEP_FAULT;
		if (gpte & vlm_gpte_reserved(fmt, p, gpte, level)) {
			*pfec |= VLM_PFEC_PRESENT | VLM_PFEC_RSVD;
			return STEP_FAULT;
		}
		w->rights = (w->rights & (gpte | GPTE_NX)) | (gpte & GPTE_NX);
		if (vlm_gpte_is_leaf(fmt, p, gpte, level)) {
			w->path->leaf = level;
			return STEP_DONE;
		}
		table = vlm_gpte_table(fmt, gpte);
	}
}

/* SDM "Protection Keys": does the key of the page forbid the access? */
static bool key_forbids(const struct walk *w)
{
	const struct vlm_guest_paging *p = w->paging;
	bool user_page = w->rights & GPTE_USER;
	u32 key = (u32)(w->path->gpte[w->path->leaf] >> GPTE_PK_SHIFT) & 15;
	u32 bits;

	if (!vlm_guest_is_long(p) || (w->access & VLM_ACCESS_EXEC))
		return false;
	if (user_page && (p->cr4 & GCR4_PKE))
		bits = p->pkru >> (2 * key);
	else if (!user_page && (p->cr4 & GCR4_PKS))
		bits = p->pkrs >> (2 * key);
	else
		return false;
	if (bits & 1)	/* access disable */
		return true;
	/* Write disable; CR0.WP = 0 lifts it for the supervisor. */
	return (bits & 2) && (w->access & VLM_ACCESS_WRITE) &&
	       ((w->access & VLM_ACCESS_USER) || (p->cr0 & GCR0_WP));
}

/* SDM "Determination of Access Rights". */
static bool is_allowed(const struct walk *w)
{
	const struct vlm_guest_paging *p = w->paging;
	bool user_page = w->rights & GPTE_USER;
	bool writable = w->rights & GPTE_WRITE;

	if ((w->access & VLM_ACCESS_EXEC) && vlm_guest_has_nx(p) && (w->rights & GPTE_NX))
		return false;
	if (w->access & VLM_ACCESS_USER)
		return user_page && (writable || !(w->access & VLM_ACCESS_WRITE));

	/* Supervisor. */
	if (w->access & VLM_ACCESS_EXEC)
		return !user_page || !(p->cr4 & GCR4_SMEP);
	if (user_page && (p->cr4 & GCR4_SMAP) &&
	    ((w->access & VLM_ACCESS_IMPLICIT) || !(p->rflags & GRFLAGS_AC)))
		return false;
	return writable || !(w->access & VLM_ACCESS_WRITE) || !(p->cr0 & GCR0_WP);
}

/* Set A in all entries used and D in the leaf. 0, -EAGAIN (an entry changed), -EFAULT. */
static __always_inline int set_flags(const struct guest_pt_format *fmt, struct walk *w)
{
	int level;

	if (w->access & VLM_ACCESS_PEEK)
		return 0;
	for (level = fmt->root_level; level >= w->path->leaf; level--) {
		u64 old = w->path->gpte[level];
		u64 val = old | GPTE_ACCESSED;
		int err;

		if (level == w->path->leaf && (w->access & VLM_ACCESS_WRITE))
			val |= GPTE_DIRTY;
		if (val == old)
			continue;
		err = vlm_platform_guest_cmpxchg(w->mmu, w->paging->as_id, w->path->gpte_gpa[level],
						 &old, val, fmt->entry_bytes);
		if (err)
			return err;
		w->path->gpte[level] = val;
	}
	return 0;
}

static __always_inline enum vlm_walk_status walk_format(const struct guest_pt_format *fmt,
							struct walk *w,
							struct vlm_guest_walk *out)
{
	unsigned int tries;

	for (tries = 0; tries < MAX_RESTARTS; tries++) {
		u64 offset;
		int err;

		out->pfec = pfec_of_access(w->paging, w->access);
		if (descend(fmt, w, &out->pfec) == STEP_FAULT)
			return VLM_WALK_FAULT;
		if (!is_allowed(w)) {
			out->pfec |= VLM_PFEC_PRESENT;
			/* The key is judged on its own, and both reasons are reported. */
			if (key_forbids(w))
				out->pfec |= VLM_PFEC_PK;
			return VLM_WALK_FAULT;
		}
		if (key_forbids(w)) {
			out->pfec |= VLM_PFEC_PRESENT | VLM_PFEC_PK;
			return VLM_WALK_FAULT;
		}
		err = set_flags(fmt, w);
		if (err == -EAGAIN)
			continue;
		if (err)
			return VLM_WALK_FAULT;

		out->page_bytes = vlm_gpte_page_bytes(fmt, w->path->leaf);
		offset = w->gva & (out->page_bytes - 1);
		out->gpa = vlm_gpte_leaf_base(fmt, w->path->gpte[w->path->leaf], w->path->leaf) |
			   offset;
		out->writable = w->rights & GPTE_WRITE;
		out->user = w->rights & GPTE_USER;
		out->executable = !vlm_guest_has_nx(w->paging) || !(w->rights & GPTE_NX);
		out->dirty = w->path->gpte[w->path->leaf] & GPTE_DIRTY;
		return VLM_WALK_OK;
	}
	/* The guest fights itself: as if the access came before the entry was present. */
	return VLM_WALK_FAULT;
}

const struct guest_pt_format *vlm_guest_pt_format(const struct vlm_guest_paging *p)
{
	if (!(p->cr0 & GCR0_PG))
		return NULL;
	if (vlm_guest_is_long(p))
		return p->cr4 & GCR4_LA57 ? &vlm_guest_pt_5level : &vlm_guest_pt_4level;
	return p->cr4 & GCR4_PAE ? &vlm_guest_pt_pae : &vlm_guest_pt_32;
}

enum vlm_walk_status vlm_guest_walk_path(struct vlm_mmu *mmu,
					 const struct vlm_guest_paging *paging, u64 gva,
					 u32 access, struct vlm_guest_walk *out,
					 struct vlm_guest_path *path)
{
	struct walk w = { .mmu = mmu, .paging = paging, .gva = gva, .access = access,
			  .path = path };

	memset(out, 0, sizeof(*out));
	path->fmt = vlm_guest_pt_format(paging);
	if (!path->fmt) {
		out->gpa = gva;
		out->page_bytes = PAGE_SIZE;
		out->writable = true;
		out->user = true;
		out->executable = true;
		out->dirty = true;
		return VLM_WALK_OK;
	}
	/* Each call is a walker of its own, made for constants of the format. */
	if (path->fmt == &vlm_guest_pt_5level)
		return walk_format(&vlm_guest_pt_5level, &w, out);
	if (path->fmt == &vlm_guest_pt_4level)
		return walk_format(&vlm_guest_pt_4level, &w, out);
	if (path->fmt == &vlm_guest_pt_pae)
		return walk_format(&vlm_guest_pt_pae, &w, out);
	return walk_format(&vlm_guest_pt_32, &w, out);
}

enum vlm_walk_status vlm_guest_walk(struct vlm_mmu *mmu, const struct vlm_guest_paging *paging,
				    u64 gva, u32 access, struct vlm_guest_walk *out)
{
	struct vlm_guest_path path;

	return vlm_guest_walk_path(mmu, paging, gva, access, out, &path);
}

int vlm_guest_load_pdptrs(struct vlm_mmu *mmu, unsigned int as_id, u64 cr3, u8 maxphyaddr,
			  u64 pdptrs[4])
{
	/* SDM "PDPTE Registers": bits that must be 0 in a present entry. */
	const u64 rsvd = GENMASK_ULL(2, 1) | GENMASK_ULL(8, 5) | GENMASK_ULL(63, 52) |
			 (GENMASK_ULL(51, 0) & ~(BIT_ULL(maxphyaddr) - 1));
	u64 fetched[4];
	int i;

	if (vlm_platform_guest_read(mmu, as_id, cr3 & GENMASK_ULL(31, 5), fetched, sizeof(fetched)))
		return -EFAULT;
	for (i = 0; i < 4; i++) {
		if ((fetched[i] & GPTE_PRESENT) && (fetched[i] & rsvd))
			return -EINVAL;
	}
	memcpy(pdptrs, fetched, sizeof(fetched));
	return 0;
}
