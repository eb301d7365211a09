/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The shadow MMU: page tables for guests without EPT, made from the guest's own. Rules:
 *
 *  - All of it runs with the mmu lock held for write. Guest memory is read under the lock
 *    only where it can be read without sleeping.
 *  - G4: a frame that is shadowed as a guest table is writable by the guest only if every
 *    table that shadows it is a level-1 table marked unsync.
 *  - A table is brought up to date before it is linked, whatever the vCPU flushed before.
 *  - Entries made under another generation are not looked up and not flushed: all vCPUs
 *    were told to reload in the write section that changed the generation.
 */
#ifndef VLM_MMU_SHADOW_H
#define VLM_MMU_SHADOW_H

#include "guest_walk.h"
#include "shadow_page.h"
#include "shadow_vcpu.h"
#include "tdp.h"

#define VLM_SHADOW_HASH_BITS	12
/* The limit on pages, unless user space sets one: of the slots' pages, and at least. */
#define VLM_SHADOW_PAGES_PERMILLE	20
#define VLM_SHADOW_PAGES_MIN	64
/* Pages that a fault may need: it recycles until so many may be made. */
#define VLM_SHADOW_RESERVE	5
/* Oldest pages recycled at a time, with one flush. */
#define VLM_SHADOW_RECYCLE	25
/* Emulated writes to a guest table without a walk through it: then it is no table any more. */
#define VLM_SHADOW_FLOOD	3

/**
 * struct vlm_shadow - the shadow MMU of one machine
 * Letters: c constant; w mmu lock held for write; b written with w, read without.
 * @mmu:	c
 * @hash:	w  all pages that a lookup may find, by page.gfn
 * @active:	w  the same pages, newest first
 * @gen:	w  of pages that are made now
 * @nr_pages:	w  on @active
 * @max_pages:	w  @nr_pages and @nr_parked together stay below
 * @nr_indirect: b  pages that shadow a guest table
 * @parked:	w  obsolete pages that were zapped and wait for one flush at the end
 * @nr_parked:	w
 * @syncing:	b  tables whose unsync bits are cleared but whose entries are not made anew yet
 * @zap_budget:	c  entries between two looks at whether somebody waits for the lock
 * @stats:	w  see below
 */
struct vlm_shadow {
	struct vlm_mmu *mmu;
	struct list_head *hash;
	struct list_head active;
	u64 gen;
	u64 nr_pages;
	u64 max_pages;
	u64 nr_indirect;
	struct vlm_flush parked;
	u64 nr_parked;
	u32 syncing;
	u32 zap_budget;
	struct {
		u64 unsynced;		/* pages that became unsync */
		u64 synced;		/* and that were made current again */
		u64 recycled;		/* pages zapped for want of room */
		u64 flooded;		/* pages zapped because the guest uses them as memory */
		u64 chains_dropped;	/* bags of VLM_PTR_CHAIN_MAX pointers */
	} stats;
};

/* -ENOMEM. Before the first slot. */
int vlm_shadow_init(struct vlm_shadow *sh, struct vlm_mmu *mmu, u64 max_pages);
/* After vlm_mmu_zap_all(), and no vCPU is left. */
void vlm_shadow_destroy(struct vlm_shadow *sh);

/*
 * The two halves of a cut-off, see vlm_zap_all_fast(). From the first on nothing that was made
 * before is found or loaded; the caller requests the reload in the same write section.
 */
void vlm_shadow_obsolete_all(struct vlm_shadow *sh);
/*
 * On return all of it is gone but for empty roots that a vCPU has yet to let go of. Slots
 * lock; yields.
 */
void vlm_shadow_zap_obsolete(struct vlm_shadow *sh);
/* Zap leaves that map [start, end), frames of @slot. Inside the caller's exclusive op. */
void vlm_shadow_zap_gfns(struct vlm_shadow *sh, struct vlm_tdp_op *op,
			 const struct vlm_memslot *slot, u64 start, u64 end);
/* Give back @nr pages: those that wait for a flush first, then the oldest. Yields. */
void vlm_shadow_shrink(struct vlm_shadow *sh, u64 nr);

/* Inside mmu/. */

/*
 * Before a fault makes pages: below the limit, or recycle the oldest. The limit is soft: others
 * may use up the room before the caller does. Takes the mmu lock; yields.
 */
void vlm_shadow_make_room(struct vlm_shadow *sh);

/* The rest: mmu lock held for write. */

/*
 * The page for (@gfn, @role), current but for what is unsync below it; made if there is none,
 * and then the guest's table is protected. NULL: the cache is empty.
 */
struct vlm_shadow_page *vlm_shadow_get(struct vlm_shadow_vcpu *sv, u64 gfn,
				       union vlm_shadow_role role, struct vlm_flush *flush);

/* Take W and MMU_W from all leaves that map @gfn. True: a TLB may hold what they were. */
bool vlm_shadow_wrprot_gfn(struct vlm_shadow *sh, u64 gfn);

/* Whether tables of level 1 may turn unsync to let the guest write. */
enum vlm_unsync_policy {
	VLM_UNSYNC_ALLOWED,
	VLM_UNSYNC_REFUSED,	/* the caller makes tables current: it would undo its own work */
};

/*
 * A leaf that lets the guest write to @gfn is about to be installed. False: it must not, the
 * frame holds a table above level 1. Barrier between the marks and the caller's entry.
 */
bool vlm_shadow_try_unsync(struct vlm_shadow *sh, u64 gfn, enum vlm_unsync_policy policy);
/* The child below @sptep is unsync, or has unsync children: tell all tables above. */
void vlm_shadow_mark_unsync(u64 *sptep);

/* Unsync tables found by one walk; fixed size, so that it fits on the stack. */
#define VLM_UNSYNC_VEC_MAX	16
/* Tables made current in one hold of the lock, with one flush: two steps, see G7. */
#define VLM_SYNC_BATCH		2

struct vlm_unsync_vec {
	u32 nr;
	u32 max;	/* <= VLM_UNSYNC_VEC_MAX */
	struct vlm_shadow_page *pages[VLM_UNSYNC_VEC_MAX];
};

/*
 * Collect unsync tables below @sp. True: all are in @vec. False: @vec is full, there are
 * more. Either way the bits that led to pages in @vec are cleared: the caller must sync or
 * zap every page in it before the lock is dropped.
 */
bool vlm_shadow_unsync_walk(struct vlm_shadow_page *sp, struct vlm_unsync_vec *vec);
/* An unsync child of @sp without another parent, or NULL. Clears stale bits on the way. */
struct vlm_shadow_page *vlm_shadow_unsync_orphan(struct vlm_shadow_page *sp);

/* Make the level-1 table @sp say what the guest's table says. False: it was zapped. */
bool vlm_shadow_sync_page(struct vlm_shadow *sh, struct vlm_shadow_page *sp,
			  const struct vlm_guest_paging *paging, struct vlm_flush *flush);

enum vlm_sync_result {
	VLM_SYNC_DONE,
	VLM_SYNC_AGAIN,	/* some were made current, more are left */
};

/*
 * Make current what is unsync below @sp: all of it if @op may yield, else VLM_SYNC_BATCH tables.
 * @sp may be obsolete on return if @op yielded.
 */
enum vlm_sync_result vlm_shadow_sync_children(struct vlm_shadow *sh, struct vlm_tdp_op *op,
					      struct vlm_shadow_page *sp,
					      const struct vlm_guest_paging *paging);

/* A guest entry as the shadow MMU sees it. */
struct vlm_gpte_leaf {
	u64 gfn;
	u32 access;	/* VLM_GACC_*; without W while the dirty flag is clear */
};

/* False: the entry maps nothing, or may not be used without a walk that sets its flags. */
bool vlm_shadow_read_gpte(const struct vlm_shadow_page *sp, const struct vlm_guest_paging *paging,
			  u64 gpte, struct vlm_gpte_leaf *leaf);
/* VLM_GACC_* of one entry. */
u32 vlm_gpte_access(u64 gpte);
/* Guest-physical address of the entry behind entry @index of @sp. */
u64 vlm_shadow_gpte_gpa(const struct vlm_shadow_page *sp, unsigned int index);

#endif
