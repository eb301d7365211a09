/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memslots: which guest frames are memory, and where that memory is in the VMM.
 *
 * Two sets per address space. Readers see the active one; a writer (who holds the
 * slots lock of the machine) edits the idle one, publishes it, waits until no reader
 * can see the old one, and repeats the edit there. Readers are in the platform's
 * read section (SRCU in the kernel) from the lookup to the last use of the slot.
 */
#ifndef VLM_MMU_MEMSLOT_H
#define VLM_MMU_MEMSLOT_H

#include "platform.h"
#include "slot_set.h"

#define VLM_AS_NUM		2	/* 0: normal, 1: system-management mode */
#define VLM_MEMSLOTS_MAX	32764	/* KVM_CAP_NR_MEMSLOTS, per address space */
#define VLM_MEMSLOT_PAGES_MAX	((1ul << 31) - 1)

struct vlm_slot_rmap;

/* Flags of a slot. The low bits are the ABI's. */
#define VLM_MEMSLOT_LOG_DIRTY	BIT(0)	/* KVM_MEM_LOG_DIRTY_PAGES */
#define VLM_MEMSLOT_READONLY	BIT(1)	/* KVM_MEM_READONLY */
#define VLM_MEMSLOT_INVALID	BIT(16)	/* being deleted or moved: faults retry */
#define VLM_MEMSLOT_ABI_FLAGS	(VLM_MEMSLOT_LOG_DIRTY | VLM_MEMSLOT_READONLY)

/* Bit of a generation: an update of this address space has not finished. */
#define VLM_GEN_UPDATING	BIT_ULL(63)

/**
 * struct vlm_memslot - one range of guest memory; constant once published, but
 *	for how it hangs in the version that has no readers
 * @base_gfn:	first frame
 * @npages:	length, never 0
 * @hva:	host virtual address of the first byte
 * @flags:	VLM_MEMSLOT_*
 * @id:		number given by user space
 * @as_id:	address space
 * @dirty:	one bit per page, or NULL when not logged, or logged by rings; bits are
 *		set and cleared atomically; shared by successive versions of the slot
 * @rmap:	reverse map, shared likewise; NULL in a machine that does not shadow
 * @nodes:	of the two versions of the address space; the set's that they hang in
 */
struct vlm_memslot {
	u64 base_gfn;
	u64 npages;
	unsigned long hva;
	u32 flags;
	u16 id;
	u8 as_id;
	unsigned long *dirty;
	struct vlm_slot_rmap *rmap;
	struct vlm_memslot_node nodes[2];
};

/**
 * struct vlm_memslot_space - one address space
 * @active:	what readers see
 * @sets:	the two versions
 * @by_id:	slot number -> slot; slots lock
 * @ids:	length of @by_id
 */
struct vlm_memslot_space {
	struct vlm_memslots __rcu *active;
	struct vlm_memslots sets[2];
	struct vlm_memslot **by_id;
	u32 ids;
};

/* What goes from the tables with a slot that is deleted or moved. */
enum vlm_slot_zap {
	VLM_SLOT_ZAP_ALL,	/* every translation of the machine */
	VLM_SLOT_ZAP_OWN,	/* the slot's */
};

/* What user space asks for; alignment and access to the hva range were not checked. */
struct vlm_memslot_request {
	u32 slot;		/* address space in the upper half */
	u32 flags;
	u64 gpa;
	u64 size_bytes;		/* 0 deletes */
	u64 hva;
	enum vlm_slot_zap zap;
};

int vlm_memslots_init(struct vlm_mmu *mmu);
void vlm_memslots_destroy(struct vlm_mmu *mmu);

/*
 * Create, delete, move a slot or change its flags, and bring the tables in line before
 * returning. Caller holds the slots lock and is not in a read section. Sleeps.
 * Return 0, -EINVAL, -EEXIST (overlap), -ENOMEM, as KVM_SET_USER_MEMORY_REGION does.
 */
int vlm_memslot_set(struct vlm_mmu *mmu, const struct vlm_memslot_request *req);

/* Updates until the mmio generation of an address space wraps, the last of which wraps. Slots lock. */
u64 vlm_memslots_updates_left(struct vlm_mmu *mmu);

/*
 * For tests: let generations pass in every address space as if slots had been updated,
 * until the @left-th update from now makes the mmio generation wrap. Entries that remember an mmio
 * access go stale. Never backwards, which would make entries of the past look
 * current: -EINVAL. Slots lock.
 */
int vlm_memslots_skip_generations(struct vlm_mmu *mmu, u64 left);

/* The current version. Valid within the read section, or under the slots lock. */
struct vlm_memslots *vlm_memslots_get(struct vlm_mmu *mmu, unsigned int as_id);
/* The slot numbered @slot (address space in the upper half), or NULL. Slots lock. */
struct vlm_memslot *vlm_memslot_by_id(struct vlm_mmu *mmu, u32 slot);

static inline unsigned long vlm_memslot_hva_of(const struct vlm_memslot *slot, u64 gfn)
{
	return slot->hva + (unsigned long)((gfn - slot->base_gfn) << PAGE_SHIFT);
}

/* Largest level <= @max at which @slot can map @gfn: it fits and hva and gfn are congruent. */
int vlm_memslot_fit_level(const struct vlm_memslot *slot, u64 gfn, int max);

#endif
