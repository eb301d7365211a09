/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tables of the shadow MMU: one stands for one table of the guest (indirect), or maps
 * a linear range of frames (direct: the guest does not page, or its page is larger than
 * what the host can map at once).
 *
 * Everything here is read and written with the mmu lock held for write, unless a
 * function says otherwise.
 */
#ifndef VLM_MMU_SHADOW_PAGE_H
#define VLM_MMU_SHADOW_PAGE_H

#include "flush.h"
#include "page.h"
#include "ptr_chain.h"

struct vlm_shadow;
struct vlm_guest_paging;
struct guest_pt_format;

/* What the guest's entries allow, all levels together. */
#define VLM_GACC_WRITE	1u
#define VLM_GACC_USER	2u
#define VLM_GACC_EXEC	4u
#define VLM_GACC_ALL	(VLM_GACC_WRITE | VLM_GACC_USER | VLM_GACC_EXEC)

/* struct guest_pt_format by number. */
enum vlm_shadow_mode {
	VLM_SHADOW_NONPAGING,
	VLM_SHADOW_32,
	VLM_SHADOW_PAE,
	VLM_SHADOW_4LEVEL,
	VLM_SHADOW_5LEVEL,
};

/*
 * What makes two tables for the same frame different. It comes from the guest's registers
 * and from the place in the walk, never from what the host allows, so that a table found
 * by (gfn, role) means the same to every vCPU.
 */
union vlm_shadow_role {
	u32 word;
	struct {
		u32 level : 4;		/* of the entries inside */
		u32 direct : 1;
		u32 access : 3;		/* VLM_GACC_* that all entries above allow */
		u32 quadrant : 2;	/* which part of a table of 4-byte entries */
		u32 mode : 3;		/* enum vlm_shadow_mode */
		u32 pse : 1;		/* 4-MiB pages exist */
		u32 nx : 1;		/* bit 63 is a permission, not reserved */
		u32 cr0_wp : 1;
		u32 smep_andnot_wp : 1;	/* matters where user pages turn into the kernel's */
		u32 smap_andnot_wp : 1;
		u32 as_id : 1;
	};
};

/**
 * struct vlm_shadow_page - header of a shadow table
 * @page:	the part that all tables share. page.gfn: of the guest's table, or the first
 *		frame mapped if direct. page.invalid: unlinked, off @link, waits for its
 *		last root reference. page.link: vlm_shadow::active, then a struct vlm_flush.
 *		page.parent and page.refs are not used.
 * @role:	constant once hashed
 * @hash:	in the bucket of page.gfn; empty once zapped: no lookup finds it
 * @parents:	entries that point here
 * @guest:	indirect: by entry, frame << 12 | VLM_GACC_* that it was made from
 * @gen:	vlm_shadow::gen at creation; another value means obsolete
 * @root_count:	vCPUs that have it loaded
 * @writes:	emulated writes to the guest's table since it was last walked
 * @unsync:	the guest may write its table unseen (level 1, indirect)
 * @unsync_children: bits set in @unsync_bits
 * @unsync_bits: entries whose child is unsync, or has unsync children itself; may be stale
 */
struct vlm_shadow_page {
	struct vlm_mmu_page page;
	union vlm_shadow_role role;
	struct list_head hash;
	struct vlm_ptr_chain parents;
	u64 *guest;
	u64 gen;
	u32 root_count;
	u8 writes;
	bool unsync;
	u16 unsync_children;
	unsigned long unsync_bits[BITS_TO_LONGS(VLM_TABLE_ENTRIES)];
};

/* Tables for one fault: below the root at every level; or four roots and one to spare. */
#define VLM_SHADOW_CACHE_MAX	5

/* Filled where sleeping is allowed, used where it is not. */
struct vlm_shadow_cache {
	u32 nr;
	struct vlm_shadow_page *pages[VLM_SHADOW_CACHE_MAX];
	struct vlm_ptr_desc_cache descs;
};

static inline struct vlm_shadow_page *vlm_shadow_of(struct vlm_mmu_page *page)
{
	return container_of(page, struct vlm_shadow_page, page);
}

/* Once per module. */
int vlm_shadow_page_module_init(void);
void vlm_shadow_page_module_exit(void);
/* For page.c: free the header of a page whose table is gone. */
void vlm_shadow_header_free(struct vlm_mmu_page *page);

/* Fill for one fault or load. Sleeps. 0 or -ENOMEM; what was got is kept. */
int vlm_shadow_cache_fill(struct vlm_mmu *mmu, struct vlm_shadow_cache *cache);
void vlm_shadow_cache_drain(struct vlm_mmu *mmu, struct vlm_shadow_cache *cache);

/* The role of a root under @paging; quadrant and as_id included, @index of the four PAE roots. */
union vlm_shadow_role vlm_shadow_root_role(const struct vlm_guest_paging *paging,
					   unsigned int index);
/* Of the table that entry @index of a table with @role points at, which all above allow @access. */
union vlm_shadow_role vlm_shadow_child_role(union vlm_shadow_role role, unsigned int index,
					    u32 access);
/* NULL without paging. */
const struct guest_pt_format *vlm_shadow_format(union vlm_shadow_role role);

/* No vCPU may run on it, no lookup may find it. */
bool vlm_shadow_is_obsolete(const struct vlm_shadow *sh, const struct vlm_shadow_page *sp);

/* The table that the entry stands in, and its index there. */
struct vlm_shadow_page *vlm_shadow_page_of(u64 *sptep);
unsigned int vlm_shadow_index_of(const u64 *sptep);
/* The table below an entry of @sp, NULL if there is none. */
struct vlm_shadow_page *vlm_shadow_child(struct vlm_shadow_page *sp, unsigned int index);
/* The frame that entry @index of @sp maps. */
u64 vlm_shadow_entry_gfn(const struct vlm_shadow_page *sp, unsigned int index);

/* The valid page with (@gfn, @role), or NULL. */
struct vlm_shadow_page *vlm_shadow_find(struct vlm_shadow *sh, u64 gfn,
					union vlm_shadow_role role);
/* Make a page from @cache and hash it; it is empty and has no parents. */
struct vlm_shadow_page *vlm_shadow_create(struct vlm_shadow *sh, u64 gfn,
					  union vlm_shadow_role role,
					  struct vlm_shadow_cache *cache);

#define vlm_for_each_shadow_of(sp, sh, gfn_)						\
	list_for_each_entry((sp), vlm_shadow_bucket((sh), (gfn_)), hash)			\
		if ((sp)->page.gfn != (gfn_) || (sp)->role.direct ||			\
		    vlm_shadow_is_obsolete((sh), (sp)))					\
			;								\
		else
/* Pages that shadow a guest table at @gfn stand in this bucket, among others. */
struct list_head *vlm_shadow_bucket(struct vlm_shadow *sh, u64 gfn);

/*
 * Change one entry. All of them keep the books: reverse map, parents, counters. What must be
 * flushed is added to @flush.
 */

/* Make the entry empty, whatever it holds. */
void vlm_shadow_drop(struct vlm_shadow *sh, struct vlm_shadow_page *sp, unsigned int index,
		     struct vlm_flush *flush);
/*
 * Install the leaf @spte, made from a guest entry for @gfn that allows @access, over an
 * empty entry or over a leaf of the same frame. False: no descriptor left.
 */
bool vlm_shadow_set_leaf(struct vlm_shadow *sh, struct vlm_shadow_page *sp, unsigned int index,
			 u64 spte, u64 gfn, u32 access, struct vlm_ptr_desc_cache *cache,
			 struct vlm_flush *flush);
/* Point the empty entry at @child. False: no descriptor left. */
bool vlm_shadow_link(struct vlm_shadow *sh, struct vlm_shadow_page *sp, unsigned int index,
		     struct vlm_shadow_page *child, struct vlm_ptr_desc_cache *cache,
		     struct vlm_flush *flush);

/* Empty all entries in the bag @leaves. Return how many there were. */
u32 vlm_shadow_drop_leaves(struct vlm_shadow *sh, struct vlm_ptr_chain *leaves,
			   struct vlm_flush *flush);

/*
 * Take one page out: entries, parents, hash, active list. Its table goes to @flush, or
 * waits for the last root reference. A bounded step: children stay, each can be found again
 * by (gfn, role) and is made current again before it is linked again. Already obsolete
 * pages owe no flush: no vCPU runs on them.
 */
void vlm_shadow_zap(struct vlm_shadow *sh, struct vlm_shadow_page *sp, struct vlm_flush *flush);

/* A vCPU loads @sp as root, or lets go of it. The last one frees an invalid page. */
void vlm_shadow_root_get(struct vlm_shadow_page *sp);
void vlm_shadow_root_put(struct vlm_shadow *sh, struct vlm_shadow_page *sp);

#endif
