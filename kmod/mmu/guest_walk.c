// SPDX-License-Identifier: GPL-2.0-only
/* Walk the guest's page tables. SDM volume 3, chapter "Paging". */
#include "guest_walk.h"

/* Bits of the guest's registers. */
#define GCR0_WP		BIT_ULL(16)
#define GCR0_PG		BIT_ULL(31)
#define GCR4_PSE		BIT_ULL(4)
#define GCR4_PAE		BIT_ULL(5)
#define GCR4_LA57	BIT_ULL(12)
#define GCR4_SMEP	BIT_ULL(20)
#define GCR4_SMAP	BIT_ULL(21)
#define GCR4_PKE		BIT_ULL(22)
#define GCR4_PKS		BIT_ULL(24)
#define GEFER_LMA	BIT_ULL(10)
#define GEFER_NXE	BIT_ULL(11)
#define GRFLAGS_AC	BIT_ULL(18)

/* Bits of an entry, in every format. */
#define GPTE_PRESENT	BIT_ULL(0)
#define GPTE_WRITE	BIT_ULL(1)
#define GPTE_USER	BIT_ULL(2)
#define GPTE_ACCESSED	BIT_ULL(5)
#define GPTE_DIRTY	BIT_ULL(6)
#define GPTE_HUGE	BIT_ULL(7)
#define GPTE_NX		BIT_ULL(63)
#define GPTE_PK_SHIFT	59

/* An entry changed under the walk this many times: let the guest run and try again. */
#define MAX_RESTARTS	64

/**
 * struct guest_pt_format - one of the paging modes
 * @root_level:	of the table that CR3, or a PDPTE, points at
 * @entry_bytes: 4 or 8
 * @index_bits:	of one table
 * @huge_levels: bit n: an entry at level n may map a page
 * @cr3_mask:	address bits of CR3
 * @pae_root:	the walk begins at the PDPTE registers
 */
struct guest_pt_format {
	int root_level;
	unsigned int entry_bytes;
	unsigned int index_bits;
	u32 huge_levels;
	u64 cr3_mask;
	bool pae_root;
};

static const struct guest_pt_format format_32 = {
	.root_level = 2,
	.entry_bytes = 4,
	.index_bits = 10,
	.huge_levels = BIT(2),
	.cr3_mask = GENMASK_ULL(31, 12),
};

static const struct guest_pt_format format_pae = {
	.root_level = 2,
	.entry_bytes = 8,
	.index_bits = 9,
	.huge_levels = BIT(2),
	.pae_root = true,
};

static const struct guest_pt_format format_4level = {
	.root_level = 4,
	.entry_bytes = 8,
	.index_bits = 9,
	.huge_levels = BIT(2) | BIT(3),
	.cr3_mask = GENMASK_ULL(51, 12),
};

static const struct guest_pt_format format_5level = {
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
	u64 gpte[6];		/* the entries used, by level */
	u64 gpte_gpa[6];
	int leaf;		/* level of the page */
	u64 rights;		/* W and U of all entries together, NX of any */
};

static bool is_long(const struct vlm_guest_paging *p)
{
	return p->efer & GEFER_LMA;
}

static bool has_nx(const struct vlm_guest_paging *p)
{
	return (p->efer & GEFER_NXE) && (p->cr4 & GCR4_PAE);
}

/* Error code apart from P, RSVD and PK. */
static u32 pfec_of_access(const struct vlm_guest_paging *p, u32 access)
{
	u32 pfec = 0;

	if (access & VLM_ACCESS_WRITE)
		pfec |= VLM_PFEC_WRITE;
	if (access & VLM_ACCESS_USER)
		pfec |= VLM_PFEC_USER;
	/* Reported only where it can matter. */
	if ((access & VLM_ACCESS_EXEC) && (has_nx(p) || (p->cr4 & GCR4_SMEP)))
		pfec |= VLM_PFEC_FETCH;
	return pfec;
}

/* Physical-address bits that the guest does not have. */
static u64 beyond_maxphyaddr(const struct vlm_guest_paging *p)
{
	return GENMASK_ULL(51, 0) & ~(BIT_ULL(p->maxphyaddr) - 1);
}

/* SDM tables "Format of ... Entry": which bits of @gpte must be 0 at @level. */
static __always_inline u64 reserved_bits(const struct guest_pt_format *fmt,
					 const struct vlm_guest_paging *p, u64 gpte, int level)
{
	bool huge = gpte & GPTE_HUGE;
	u64 rsvd = 0;

	if (fmt->entry_bytes == 4) {
		/* PSE-36: bits 20..13 are address bits 39..32, as far as the guest has them. */
		if (level == 2 && huge && (p->cr4 & GCR4_PSE)) {
			u64 high = beyond_maxphyaddr(p) & GENMASK_ULL(39, 32);

			rsvd = BIT_ULL(21) | high >> (32 - 13);
		}
		return rsvd;
	}

	rsvd = beyond_maxphyaddr(p);
	if (!has_nx(p))
		rsvd |= GPTE_NX;
	/* PAE entries have no ignored bits above the address. */
	if (fmt->pae_root)
		rsvd |= GENMASK_ULL(62, 52);
	if (level >= 4 || (level == 3 && !p->gbpages))
		rsvd |= GPTE_HUGE;
	if (huge && level == 3 && p->gbpages)
		rsvd |= GENMASK_ULL(29, 13);
	if (huge && level == 2)
		rsvd |= GENMASK_ULL(20, 13);
	return rsvd;
}

static __always_inline bool is_huge(const struct guest_pt_format *fmt,
				    const struct vlm_guest_paging *p, u64 gpte, int level)
{
	if (level == 1 || !(gpte & GPTE_HUGE) || !(fmt->huge_levels & BIT(level)))
		return level == 1;
	/* Without CR4.PSE the bit is ignored in 32-bit paging. */
	return fmt->entry_bytes == 8 || (p->cr4 & GCR4_PSE);
}

static __always_inline u64 page_bytes(const struct guest_pt_format *fmt, int level)
{
	return 4096ull << (fmt->index_bits * (unsigned int)(level - 1));
}

/* Address that a leaf at @level maps. */
static __always_inline u64 leaf_base(const struct guest_pt_format *fmt, u64 gpte, int level)
{
	if (fmt->entry_bytes == 4) {
		if (level == 1)
			return gpte & GENMASK_ULL(31, 12);
		return (gpte & GENMASK_ULL(31, 22)) | (gpte & GENMASK_ULL(20, 13)) << (32 - 13);
	}
	return gpte & GENMASK_ULL(51, 12) & ~(page_bytes(fmt, level) - 1);
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
		w->gpte[level] = gpte;
		w->gpte_gpa[level] = gpte_gpa;
		if (!(gpte & GPTE_PRESENT))
			return STEP_FAULT;
		if (gpte & reserved_bits(fmt, p, gpte, level)) {
			*pfec |= VLM_PFEC_PRESENT | VLM_PFEC_RSVD;
			return STEP_FAULT;
		}
		w->rights = (w->rights & (gpte | GPTE_NX)) | (gpte & GPTE_NX);
		if (is_huge(fmt, p, gpte, level)) {
			w->leaf = level;
			return STEP_DONE;
		}
		table = gpte & (fmt->entry_bytes == 4 ? GENMASK_ULL(31, 12) : GENMASK_ULL(51, 12));
	}
}

/* SDM "Protection Keys": does the key of the page forbid the access? */
static bool key_forbids(const struct walk *w)
{
	const struct vlm_guest_paging *p = w->paging;
	bool user_page = w->rights & GPTE_USER;
	u32 key = (u32)(w->gpte[w->leaf] >> GPTE_PK_SHIFT) & 15;
	u32 bits;

	if (!is_long(p) || (w->access & VLM_ACCESS_EXEC))
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

	if ((w->access & VLM_ACCESS_EXEC) && has_nx(p) && (w->rights & GPTE_NX))
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
	for (level = fmt->root_level; level >= w->leaf; level--) {
		u64 old = w->gpte[level];
		u64 val = old | GPTE_ACCESSED;
		int err;

		if (level == w->leaf && (w->access & VLM_ACCESS_WRITE))
			val |= GPTE_DIRTY;
		if (val == old)
			continue;
		err = vlm_platform_guest_cmpxchg(w->mmu, w->paging->as_id, w->gpte_gpa[level],
						 &old, val, fmt->entry_bytes);
		if (err)
			return err;
		w->gpte[level] = val;
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

		out->page_bytes = page_bytes(fmt, w->leaf);
		offset = w->gva & (out->page_bytes - 1);
		out->gpa = leaf_base(fmt, w->gpte[w->leaf], w->leaf) | offset;
		out->writable = w->rights & GPTE_WRITE;
		out->user = w->rights & GPTE_USER;
		out->executable = !has_nx(w->paging) || !(w->rights & GPTE_NX);
		out->dirty = w->gpte[w->leaf] & GPTE_DIRTY;
		return VLM_WALK_OK;
	}
	/* The guest fights itself: as if the access came before the entry was present. */
	return VLM_WALK_FAULT;
}

enum vlm_walk_status vlm_guest_walk(struct vlm_mmu *mmu, const struct vlm_guest_paging *paging,
				    u64 gva, u32 access, struct vlm_guest_walk *out)
{
	struct walk w;

	w.mmu = mmu;
	w.paging = paging;
	w.gva = gva;
	w.access = access;
	memset(out, 0, sizeof(*out));
	if (!(paging->cr0 & GCR0_PG)) {
		out->gpa = gva;
		out->page_bytes = PAGE_SIZE;
		out->writable = true;
		out->user = true;
		out->executable = true;
		out->dirty = true;
		return VLM_WALK_OK;
	}
	if (is_long(paging))
		return paging->cr4 & GCR4_LA57 ? walk_format(&format_5level, &w, out)
					      : walk_format(&format_4level, &w, out);
	return paging->cr4 & GCR4_PAE ? walk_format(&format_pae, &w, out)
				     : walk_format(&format_32, &w, out);
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
