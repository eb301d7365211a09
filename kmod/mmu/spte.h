/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Bits of an SPTE. This file and spte.c are the only places that know them.
 *
 * An entry is one of:
 *   empty     0
 *   frozen    one thread owns the entry, nobody else may write it
 *   mmio      no memory there; raises an EPT misconfiguration; carries a generation
 *   nonleaf   points at a table
 *   leaf      maps memory
 * Only nonleaf and leaf entries are present. SDM "The Extended Page Table Mechanism
 * (EPT)", "Format of an EPT ... Entry".
 */
#ifndef VLM_MMU_SPTE_H
#define VLM_MMU_SPTE_H

#include "platform.h"

#define VLM_LEVEL_4K	1
#define VLM_LEVEL_2M	2
#define VLM_LEVEL_1G	3
#define VLM_LEVEL_MAX	5
#define VLM_TABLE_ENTRIES 512

/* Software bit that hardware ignores in every format used here. */
#define VLM_SPTE_PRESENT	BIT_ULL(11)	/* present from the MMU's view */

/* Those of an EPT entry. */
#define VLM_SPTE_HOST_W		BIT_ULL(52)	/* the host mapping is writable */
#define VLM_SPTE_MMU_W		BIT_ULL(53)	/* not write-protected for shadow paging */
#define VLM_SPTE_SAVED_R	BIT_ULL(54)	/* access-tracked: permissions to restore */
#define VLM_SPTE_SAVED_X	BIT_ULL(55)

/* Hardware bits that all formats share. */
#define VLM_SPTE_HUGE		BIT_ULL(7)
#define VLM_SPTE_ADDR		GENMASK_ULL(51, 12)

/* Never present, whatever the format, and equal to no other entry. */
#define VLM_SPTE_FROZEN		(BIT_ULL(60) | BIT_ULL(9))

/* Generation in an mmio entry: low 8 bits at 3..10, next 11 at 52..62. */
#define VLM_MMIO_GEN_BITS	19
#define VLM_MMIO_GEN_MASK	GENMASK_ULL(VLM_MMIO_GEN_BITS - 1, 0)
#define VLM_MMIO_GEN_LOW	GENMASK_ULL(10, 3)
#define VLM_MMIO_GEN_HIGH	GENMASK_ULL(62, 52)

/**
 * struct spte_format - meaning of the hardware bits; constant after module init
 * @r, @w, @x:	permissions
 * @user:	access by user code; 0 where there is no such right (EPT)
 * @nx:		no execution; 0 where @x says it
 * @accessed, @dirty: 0 when the hardware has no such flags
 * @host_w, @mmu_w: software bits: the host mapping is writable, and the entry is not
 *		write-protected for shadow paging
 * @log:	what dirty logging takes from a 4-KiB leaf, to have the next write seen: @w, then it
 *		faults, or @dirty, then the hardware logs it (SDM "Page-Modification Logging")
 * @memtype_ram, @memtype_device: memory-type bits of a leaf
 * @mmio:	value of the low three bits of an mmio entry
 * @mmio_mask:	bits that tell an mmio entry
 * @max_level:	of a leaf
 * @root_level:	of the tables
 * @max_pfn:	that fits in an entry
 */
struct spte_format {
	u64 r;
	u64 w;
	u64 x;
	u64 user;
	u64 nx;
	u64 accessed;
	u64 dirty;
	u64 host_w;
	u64 mmu_w;
	u64 log;
	u64 memtype_ram;
	u64 memtype_device;
	u64 mmio;
	u64 mmio_mask;
	int max_level;
	int root_level;
	u64 max_pfn;
};

struct vlm_mmu_caps;

/* The format of EPT entries under @caps. */
void vlm_spte_format_ept(struct spte_format *fmt, const struct vlm_mmu_caps *caps);

/* The format of entries that the CPU walks without EPT; nothing caches mmio in it. */
void vlm_spte_format_shadow(struct spte_format *fmt, const struct vlm_mmu_caps *caps);

/* The formats in use. */
extern struct spte_format vlm_spte_ept;
extern struct spte_format vlm_spte_shadow;

static inline bool vlm_spte_is_present(u64 spte)
{
	return spte & VLM_SPTE_PRESENT;
}

static inline bool vlm_spte_is_frozen(u64 spte)
{
	return spte == VLM_SPTE_FROZEN;
}

static inline bool vlm_spte_is_leaf(u64 spte, int level)
{
	return vlm_spte_is_present(spte) && (level == VLM_LEVEL_4K || (spte & VLM_SPTE_HUGE));
}

static inline bool vlm_spte_is_nonleaf(u64 spte, int level)
{
	return vlm_spte_is_present(spte) && !vlm_spte_is_leaf(spte, level);
}

static inline u64 vlm_spte_pa(u64 spte)
{
	return spte & VLM_SPTE_ADDR;
}

static inline u64 vlm_spte_pfn(u64 spte)
{
	return vlm_spte_pa(spte) >> PAGE_SHIFT;
}

static inline bool vlm_spte_is_mmio(const struct spte_format *fmt, u64 spte)
{
	return !vlm_spte_is_present(spte) && (spte & fmt->mmio_mask) == fmt->mmio;
}

static inline bool vlm_spte_is_ram(const struct spte_format *fmt, u64 leaf)
{
	return (leaf & fmt->memtype_ram) == fmt->memtype_ram;
}

static inline bool vlm_spte_is_writable(const struct spte_format *fmt, u64 spte)
{
	return spte & fmt->w;
}

/* The hardware logs writes: a 4-KiB leaf that is writable and not dirty hides none. */
static inline bool vlm_spte_hardware_logs(const struct spte_format *fmt)
{
	return fmt->log != fmt->w;
}

/*
 * What logging takes from a leaf at @level. A huge one has a single D for all its pages: it
 * loses W, and is split by the next write.
 */
static inline u64 vlm_spte_log_bit(const struct spte_format *fmt, int level)
{
	return level == VLM_LEVEL_4K ? fmt->log : fmt->w;
}

/* True if the guest can write through @leaf unseen by dirty logging. */
static inline bool vlm_spte_hides_writes(const struct spte_format *fmt, u64 leaf, int level)
{
	u64 bits = fmt->w | vlm_spte_log_bit(fmt, level);

	return (leaf & bits) == bits;
}

/* Without accessed flags a leaf is aged by taking its permissions away. */
static inline bool vlm_spte_is_tracked(const struct spte_format *fmt, u64 spte)
{
	return !fmt->accessed && vlm_spte_is_present(spte) && !(spte & (fmt->r | fmt->w | fmt->x));
}

static inline bool vlm_spte_is_accessed(const struct spte_format *fmt, u64 spte)
{
	return fmt->accessed ? !!(spte & fmt->accessed) : !vlm_spte_is_tracked(fmt, spte);
}

/* Pages that one entry at @level covers. */
static inline u64 vlm_level_pages(int level)
{
	return 1ull << (9 * (level - 1));
}

static inline u64 vlm_level_base(u64 gfn, int level)
{
	return gfn & ~(vlm_level_pages(level) - 1);
}

static inline unsigned int vlm_level_index(u64 gfn, int level)
{
	return (unsigned int)(gfn >> (9 * (level - 1))) & (VLM_TABLE_ENTRIES - 1);
}

/* What a new leaf should allow; see vlm_spte_make_leaf(). */
#define VLM_LEAF_WRITABLE	BIT(0)	/* hardware may write now */
#define VLM_LEAF_HOST_W		BIT(1)	/* the host allows writes */
#define VLM_LEAF_DEVICE		BIT(2)	/* uncached */
#define VLM_LEAF_NX		BIT(3)	/* not executable if larger than 4 KiB */
#define VLM_LEAF_CLEAN		BIT(4)	/* hardware may write now, and logs that: 4 KiB, with hardware logs */

/*
 * A readable and executable leaf for @pfn (aligned to @level), accessed, and dirty if
 * writable but not VLM_LEAF_CLEAN. Both require VLM_LEAF_HOST_W. A 4-KiB leaf is always executable:
 * VLM_LEAF_NX is about page sizes, not about what the guest may do.
 */
u64 vlm_spte_make_leaf(const struct spte_format *fmt, u64 pfn, int level, unsigned int flags);
u64 vlm_spte_make_nonleaf(const struct spte_format *fmt, u64 table_pa);
/*
 * The @index-th leaf at @level - 1 of the huge leaf @huge at @level, with all its flags;
 * one of 4 KiB is executable, whatever @huge is.
 */
u64 vlm_spte_make_split(const struct spte_format *fmt, u64 huge, int level, unsigned int index);
u64 vlm_spte_make_mmio(const struct spte_format *fmt, u64 generation);
/* Generation bits that a mmio entry carries. */
u64 vlm_spte_mmio_gen(u64 spte);

/* @leaf so that the next write through it is seen. */
static inline u64 vlm_spte_make_logged(const struct spte_format *fmt, u64 leaf, int level)
{
	return leaf & ~vlm_spte_log_bit(fmt, level);
}

/* @leaf as not used since now. */
u64 vlm_spte_make_old(const struct spte_format *fmt, u64 leaf);

/*
 * @leaf with what aging took from it, and with write permission if @access needs that and
 * nothing but dirty logging can have taken it.
 */
u64 vlm_spte_make_repaired(const struct spte_format *fmt, u64 leaf, u32 access);

/* True if @leaf permits @access (VLM_ACCESS_* bits of mmu.h) right now. */
bool vlm_spte_allows(const struct spte_format *fmt, u64 leaf, u32 access);

/* False if @spte, as read at @level, is one that the MMU never writes. */
bool vlm_spte_is_sane(const struct spte_format *fmt, u64 spte, int level);

#endif
