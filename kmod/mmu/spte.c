// SPDX-License-Identifier: GPL-2.0-only
/* Make SPTEs. */
#include "mmu.h"
#include "spte.h"

/* EPT entry, SDM "Format of an EPT Page-Table Entry that Maps a 4-KByte Page". */
#define EPT_R			BIT_ULL(0)
#define EPT_W			BIT_ULL(1)
#define EPT_X			BIT_ULL(2)
#define EPT_MEMTYPE_UC		(0ull << 3)
#define EPT_MEMTYPE_WB		(6ull << 3)
#define EPT_IGNORE_PAT		BIT_ULL(6)
#define EPT_ACCESSED		BIT_ULL(8)
#define EPT_DIRTY		BIT_ULL(9)

/* SDM "Format of a Page-Table Entry that Maps a 4-KByte Page", 4-level and PAE paging. */
#define PT_P			BIT_ULL(0)
#define PT_W			BIT_ULL(1)
#define PT_U			BIT_ULL(2)
#define PT_UNCACHED		(BIT_ULL(3) | BIT_ULL(4))
#define PT_ACCESSED		BIT_ULL(5)
#define PT_DIRTY		BIT_ULL(6)
/* PAE paging ignores no bit above the address: software's bits are below. */
#define PT_SOFT_9		BIT_ULL(9)
#define PT_SOFT_10		BIT_ULL(10)
#define PT_NX			BIT_ULL(63)

struct spte_format vlm_spte_ept __ro_after_init;
struct spte_format vlm_spte_shadow __ro_after_init;

void vlm_spte_format_ept(struct spte_format *fmt, const struct vlm_mmu_caps *caps)
{
	*fmt = (struct spte_format) {
		.r = EPT_R,
		.w = EPT_W,
		.x = EPT_X,
		.accessed = caps->ept_ad ? EPT_ACCESSED : 0,
		.dirty = caps->ept_ad ? EPT_DIRTY : 0,
		.host_w = VLM_SPTE_HOST_W,
		.mmu_w = VLM_SPTE_MMU_W,
		.log = caps->ept_ad && caps->pml ? EPT_DIRTY : EPT_W,
		.memtype_ram = EPT_MEMTYPE_WB | EPT_IGNORE_PAT,
		.memtype_device = EPT_MEMTYPE_UC,
		/* Write and execute without read: always misconfigured. */
		.mmio = EPT_W | EPT_X,
		.mmio_mask = EPT_R | EPT_W | EPT_X,
		.max_level = caps->ept_1g && caps->ept_2m ? VLM_LEVEL_1G :
			     caps->ept_2m ? VLM_LEVEL_2M : VLM_LEVEL_4K,
		/* Five levels only where four cannot cover what a guest may address. */
		.max_pfn = (1ull << (caps->maxphyaddr - PAGE_SHIFT)) - 1,
		.root_level = caps->ept_5level && caps->maxphyaddr > 48 ? 5 : 4,
	};
}

void vlm_spte_format_shadow(struct spte_format *fmt, const struct vlm_mmu_caps *caps)
{
	*fmt = (struct spte_format) {
		.r = PT_P,
		.w = PT_W,
		.user = PT_U,
		.nx = PT_NX,
		.accessed = PT_ACCESSED,
		.dirty = PT_DIRTY,
		.host_w = PT_SOFT_9,
		.mmu_w = PT_SOFT_10,
		.log = PT_W,
		.memtype_device = PT_UNCACHED,
		/* Equal to no entry. */
		.mmio = 1,
		.max_level = caps->gbpages ? VLM_LEVEL_1G : VLM_LEVEL_2M,
		.max_pfn = (1ull << (caps->maxphyaddr - PAGE_SHIFT)) - 1,
	};
}

u64 vlm_spte_make_leaf(const struct spte_format *fmt, u64 pfn, int level, unsigned int flags)
{
	u64 spte = VLM_SPTE_PRESENT | fmt->r | fmt->x | fmt->accessed |
		   ((pfn << PAGE_SHIFT) & VLM_SPTE_ADDR) | fmt->mmu_w;

	spte |= flags & VLM_LEAF_DEVICE ? fmt->memtype_device : fmt->memtype_ram;
	if (level > VLM_LEVEL_4K) {
		spte |= VLM_SPTE_HUGE;
		if (flags & VLM_LEAF_NX)
			spte &= ~fmt->x;
	}
	if (flags & VLM_LEAF_HOST_W)
		spte |= fmt->host_w;
	else
		spte &= ~fmt->mmu_w;
	if (flags & VLM_LEAF_WRITABLE)
		spte |= fmt->w | fmt->dirty;
	else if (flags & VLM_LEAF_CLEAN)
		spte |= fmt->w;
	return spte;
}

u64 vlm_spte_make_nonleaf(const struct spte_format *fmt, u64 table_pa)
{
	return VLM_SPTE_PRESENT | fmt->r | fmt->w | fmt->x | fmt->accessed | table_pa;
}

u64 vlm_spte_make_split(const struct spte_format *fmt, u64 huge, int level, unsigned int index)
{
	u64 spte = huge + ((u64)index << PAGE_SHIFT) * vlm_level_pages(level - 1);

	if (level - 1 > VLM_LEVEL_4K)
		return spte;
	spte &= ~VLM_SPTE_HUGE;
	/* An aged leaf gets its permissions back from where they are saved. */
	return spte | (vlm_spte_is_tracked(fmt, spte) ? VLM_SPTE_SAVED_X : fmt->x);
}

u64 vlm_spte_make_mmio(const struct spte_format *fmt, u64 generation)
{
	/*
	 * No address: the CPU reports the guest-physical address with the
	 * misconfiguration, and address bits of a guest's choice in an entry that the
	 * CPU takes for a terminal fault would be an offer to L1TF.
	 */
	return fmt->mmio | ((generation << 3) & VLM_MMIO_GEN_LOW) |
	       ((generation << (52 - 8)) & VLM_MMIO_GEN_HIGH);
}

u64 vlm_spte_mmio_gen(u64 spte)
{
	return (spte & VLM_MMIO_GEN_LOW) >> 3 | (spte & VLM_MMIO_GEN_HIGH) >> (52 - 8);
}

u64 vlm_spte_make_old(const struct spte_format *fmt, u64 leaf)
{
	if (fmt->accessed)
		return leaf & ~fmt->accessed;
	/* W is not saved: HOST_W and MMU_W say whether a fault may give it back. */
	if (leaf & fmt->r)
		leaf |= VLM_SPTE_SAVED_R;
	if (leaf & fmt->x)
		leaf |= VLM_SPTE_SAVED_X;
	return leaf & ~(fmt->r | fmt->w | fmt->x);
}

u64 vlm_spte_make_repaired(const struct spte_format *fmt, u64 leaf, u32 access)
{
	const u64 may_write = fmt->host_w | fmt->mmu_w;

	if (leaf & VLM_SPTE_SAVED_R)
		leaf |= fmt->r;
	if (leaf & VLM_SPTE_SAVED_X)
		leaf |= fmt->x;
	leaf &= ~(VLM_SPTE_SAVED_R | VLM_SPTE_SAVED_X);
	if ((access & VLM_ACCESS_WRITE) && (leaf & may_write) == may_write)
		leaf |= fmt->w | fmt->dirty;
	return leaf | fmt->accessed;
}

bool vlm_spte_allows(const struct spte_format *fmt, u64 leaf, u32 access)
{
	u64 need = 0;

	if (access & VLM_ACCESS_READ)
		need |= fmt->r;
	if (access & VLM_ACCESS_WRITE)
		need |= fmt->w;
	if (access & VLM_ACCESS_EXEC)
		need |= fmt->x;
	return vlm_spte_is_present(leaf) && (leaf & need) == need;
}

bool vlm_spte_is_sane(const struct spte_format *fmt, u64 spte, int level)
{
	u64 memtype = spte & (EPT_IGNORE_PAT | GENMASK_ULL(5, 3));

	if (!spte || vlm_spte_is_frozen(spte) || vlm_spte_is_mmio(fmt, spte))
		return true;
	if (!vlm_spte_is_present(spte) || vlm_spte_pfn(spte) > fmt->max_pfn)
		return false;
	if (!vlm_spte_is_leaf(spte, level))
		return (spte & (fmt->r | fmt->w | fmt->x)) == (fmt->r | fmt->w | fmt->x);
	if (memtype != fmt->memtype_ram && memtype != fmt->memtype_device)
		return false;
	if (level > fmt->max_level || (vlm_spte_pfn(spte) & (vlm_level_pages(level) - 1)))
		return false;
	/* Only HOST_W and MMU_W together allow W; MMU_W alone means nothing. */
	if (!(spte & fmt->host_w))
		return !(spte & (fmt->mmu_w | fmt->w));
	return (spte & fmt->mmu_w) || !(spte & fmt->w);
}
