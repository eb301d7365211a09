/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Formats of guest page tables and the meaning of one entry, SDM volume 3, chapter
 * "Paging". Shared by the walk of guest tables and by the shadow MMU.
 */
#ifndef VLM_MMU_GUEST_PT_H
#define VLM_MMU_GUEST_PT_H

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

#define VLM_GUEST_LEVEL_MAX 5

/* Bits of an entry, in every format. */
#define GPTE_PRESENT	BIT_ULL(0)
#define GPTE_WRITE	BIT_ULL(1)
#define GPTE_USER	BIT_ULL(2)
#define GPTE_ACCESSED	BIT_ULL(5)
#define GPTE_DIRTY	BIT_ULL(6)
#define GPTE_HUGE	BIT_ULL(7)
#define GPTE_NX		BIT_ULL(63)
#define GPTE_PK_SHIFT	59

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

extern const struct guest_pt_format vlm_guest_pt_32;
extern const struct guest_pt_format vlm_guest_pt_pae;
extern const struct guest_pt_format vlm_guest_pt_4level;
extern const struct guest_pt_format vlm_guest_pt_5level;

static inline bool vlm_guest_is_long(const struct vlm_guest_paging *p)
{
	return p->efer & GEFER_LMA;
}

static inline bool vlm_guest_has_nx(const struct vlm_guest_paging *p)
{
	return (p->efer & GEFER_NXE) && (p->cr4 & GCR4_PAE);
}

/* Physical-address bits that the guest does not have. */
static inline u64 vlm_gpte_beyond_maxphyaddr(const struct vlm_guest_paging *p)
{
	return GENMASK_ULL(51, 0) & ~(BIT_ULL(p->maxphyaddr) - 1);
}

/* SDM tables "Format of ... Entry": which bits of @gpte must be 0 at @level. */
static __always_inline u64 vlm_gpte_reserved(const struct guest_pt_format *fmt,
					     const struct vlm_guest_paging *p, u64 gpte, int level)
{
	bool huge = gpte & GPTE_HUGE;
	u64 rsvd = 0;

	if (fmt->entry_bytes == 4) {
		/* PSE-36: bits 20..13 are address bits 39..32, as far as the guest has them. */
		if (level == 2 && huge && (p->cr4 & GCR4_PSE)) {
			u64 high = vlm_gpte_beyond_maxphyaddr(p) & GENMASK_ULL(39, 32);

			rsvd = BIT_ULL(21) | high >> (32 - 13);
		}
		return rsvd;
	}

	rsvd = vlm_gpte_beyond_maxphyaddr(p);
	if (!vlm_guest_has_nx(p))
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

static __always_inline bool vlm_gpte_is_leaf(const struct guest_pt_format *fmt,
					     const struct vlm_guest_paging *p, u64 gpte, int level)
{
	if (level == 1 || !(gpte & GPTE_HUGE) || !(fmt->huge_levels & BIT(level)))
		return level == 1;
	/* Without CR4.PSE the bit is ignored in 32-bit paging. */
	return fmt->entry_bytes == 8 || (p->cr4 & GCR4_PSE);
}

static __always_inline u64 vlm_gpte_page_bytes(const struct guest_pt_format *fmt, int level)
{
	return 4096ull << (fmt->index_bits * (unsigned int)(level - 1));
}

/* Address that a leaf at @level maps. */
static __always_inline u64 vlm_gpte_leaf_base(const struct guest_pt_format *fmt, u64 gpte,
					      int level)
{
	if (fmt->entry_bytes == 4) {
		if (level == 1)
			return gpte & GENMASK_ULL(31, 12);
		return (gpte & GENMASK_ULL(31, 22)) | (gpte & GENMASK_ULL(20, 13)) << (32 - 13);
	}
	return gpte & GENMASK_ULL(51, 12) & ~(vlm_gpte_page_bytes(fmt, level) - 1);
}

/* Where the table that @gpte points at begins. */
static __always_inline u64 vlm_gpte_table(const struct guest_pt_format *fmt, u64 gpte)
{
	return gpte & (fmt->entry_bytes == 4 ? GENMASK_ULL(31, 12) : GENMASK_ULL(51, 12));
}

/* The format that the registers choose, or NULL without paging. */
const struct guest_pt_format *vlm_guest_pt_format(const struct vlm_guest_paging *p);

/**
 * struct vlm_guest_path - the entries that a walk used
 * @fmt:	NULL without paging
 * @leaf:	level of the entry that maps the page
 * @gpte:	the entries, by level, with the flags that the walk set
 * @gpte_gpa:	where they stand
 */
struct vlm_guest_path {
	const struct guest_pt_format *fmt;
	int leaf;
	u64 gpte[VLM_GUEST_LEVEL_MAX + 1];
	u64 gpte_gpa[VLM_GUEST_LEVEL_MAX + 1];
};

/* As vlm_guest_walk(), and report the path when the walk succeeds. */
enum vlm_walk_status vlm_guest_walk_path(struct vlm_mmu *mmu,
					 const struct vlm_guest_paging *paging, u64 gva,
					 u32 access, struct vlm_guest_walk *out,
					 struct vlm_guest_path *path);

#endif
