/* SPDX-License-Identifier: GPL-2.0-only */
/* The tables of a machine as ranges, for whoever looks inside. */
#ifndef VLM_MMU_DUMP_H
#define VLM_MMU_DUMP_H

#include "mmu.h"

/* Attributes of a run. */
#define VLM_DUMP_R		BIT(0)
#define VLM_DUMP_W		BIT(1)
#define VLM_DUMP_X		BIT(2)
#define VLM_DUMP_ACCESSED	BIT(3)
#define VLM_DUMP_DIRTY		BIT(4)
#define VLM_DUMP_DEVICE		BIT(5)	/* uncached */
#define VLM_DUMP_MMIO		BIT(6)	/* no memory; nothing but the generation means anything */

/* Entries that one call visits inside a run before it ends the run: 1 GiB of 4-KiB pages. */
#define VLM_DUMP_STEP		(512u * 512u)

/**
 * struct vlm_dump_cursor - where to go on; zeroed: at the beginning
 * @root:	position in the list of roots; when one before it goes, the next is missed
 * @gfn:	next frame
 */
struct vlm_dump_cursor {
	u32 root;
	u64 gfn;
};

/**
 * struct vlm_dump_run - frames that are next to each other and mapped alike
 * @start, @end: frames
 * @pfn:	host frame of the first
 * @generation:	low bits, with VLM_DUMP_MMIO
 * @attrs:	VLM_DUMP_*
 * @level:	of the entries
 * @contiguous:	the host frames are next to each other, too
 * @invalid:	no vCPU runs on this root any more
 * @root, @role_level, @as_id: which root; its levels; address space
 */
struct vlm_dump_run {
	u64 start;
	u64 end;
	u64 pfn;
	u64 generation;
	u32 attrs;
	u32 root;
	u8 level;
	u8 role_level;
	u8 as_id;
	bool contiguous;
	bool invalid;
};

/*
 * The next run at @cursor or behind it, and move @cursor past it. False at the end. Takes
 * the mmu lock for read and yields; what changes meanwhile is seen as it was or as it is.
 * Sleeps.
 */
bool vlm_dump_next(struct vlm_mmu *mmu, struct vlm_dump_cursor *cursor, struct vlm_dump_run *run);

#endif
