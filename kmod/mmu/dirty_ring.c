// SPDX-License-Identifier: GPL-2.0-only
/* Dirty rings: the entries. What a reset does to the tables is in dirty.c. */
#include "dirty.h"
#include "mmu.h"
#include "spte.h"

u32 vlm_dirty_ring_reserve(void)
{
	return VLM_DIRTY_RING_RESERVE + (vlm_spte_hardware_logs(&vlm_spte_ept) ? VLM_HARDWARE_LOG : 0);
}

void vlm_dirty_ring_init(struct vlm_dirty_ring *ring, struct vlm_dirty_entry *entries, u32 size)
{
	ring->entries = entries;
	ring->size = size;
	ring->soft_limit = size - vlm_dirty_ring_reserve();
	ring->pushed = 0;
	ring->reset = 0;
}

static struct vlm_dirty_entry *entry_at(const struct vlm_dirty_ring *ring, u32 index)
{
	return &ring->entries[index & (ring->size - 1)];
}

/* The entry pushed last says the same, and will be collected after the write that is told of. */
static bool is_repeated(const struct vlm_dirty_ring *ring, u32 slot, u64 offset)
{
	const struct vlm_dirty_entry *last;

	if (ring->pushed == READ_ONCE(ring->reset))
		return false;
	last = entry_at(ring, ring->pushed - 1);
	if (READ_ONCE(last->slot) != slot || READ_ONCE(last->offset) != offset)
		return false;
	/* The write comes before the look at the flags; pairs with the collector's release. */
	smp_mb();
	return READ_ONCE(last->flags) == VLM_DIRTY_PUBLISHED;
}

bool vlm_dirty_ring_push(struct vlm_dirty_ring *ring, u32 slot, u64 offset)
{
	struct vlm_dirty_entry *entry = entry_at(ring, ring->pushed);

	/* An emulated string instruction tells of the same page again and again. */
	if (is_repeated(ring, slot, offset))
		return true;
	if (ring->pushed - smp_load_acquire(&ring->reset) >= ring->size)
		return false;
	WRITE_ONCE(entry->slot, slot);
	WRITE_ONCE(entry->offset, offset);
	/* Who sees the flag sees the rest. */
	smp_store_release(&entry->flags, VLM_DIRTY_PUBLISHED);
	smp_store_release(&ring->pushed, ring->pushed + 1);
	return true;
}

bool vlm_dirty_ring_pop(struct vlm_dirty_ring *ring, struct vlm_dirty_entry *out)
{
	struct vlm_dirty_entry *entry = entry_at(ring, ring->reset);

	/* Never beyond what was published, whatever the flags of free entries say. */
	if (ring->reset == smp_load_acquire(&ring->pushed))
		return false;
	out->flags = smp_load_acquire(&entry->flags);
	if (!(out->flags & VLM_DIRTY_COLLECTED))
		return false;
	out->slot = READ_ONCE(entry->slot);
	out->offset = READ_ONCE(entry->offset);
	/* Free before the vCPU learns that there is room. */
	smp_store_release(&entry->flags, 0);
	smp_store_release(&ring->reset, ring->reset + 1);
	return true;
}
