// SPDX-License-Identifier: GPL-2.0-only
/* Find slots by guest frame and by host address, and edit a set of them. */
#include "memslot.h"

static struct vlm_memslot *gfn_entry(const struct vlm_memslots *slots, const struct rb_node *node)
{
	return node ? container_of(node, struct vlm_memslot, nodes[slots->version].by_gfn) : NULL;
}

static struct vlm_memslot *hva_entry(const struct vlm_memslots *slots,
				     const struct interval_tree_node *node)
{
	return node ? container_of(node, struct vlm_memslot, nodes[slots->version].by_hva) : NULL;
}

void vlm_memslots_clear(struct vlm_memslots *slots, u32 version)
{
	memset(slots, 0, sizeof(*slots));
	slots->version = version;
	slots->by_gfn = RB_ROOT;
	slots->by_hva = RB_ROOT_CACHED;
}

void vlm_memslots_insert(struct vlm_memslots *slots, struct vlm_memslot *slot)
{
	struct vlm_memslot_node *node = &slot->nodes[slots->version];
	struct rb_node **link = &slots->by_gfn.rb_node;
	struct rb_node *parent = NULL;

	while (*link) {
		parent = *link;
		if (slot->base_gfn < gfn_entry(slots, parent)->base_gfn)
			link = &parent->rb_left;
		else
			link = &parent->rb_right;
	}
	rb_link_node(&node->by_gfn, parent, link);
	rb_insert_color(&node->by_gfn, &slots->by_gfn);

	node->by_hva.start = slot->hva;
	node->by_hva.last = slot->hva + (slot->npages << PAGE_SHIFT) - 1;
	interval_tree_insert(&node->by_hva, &slots->by_hva);
	slots->nr++;
}

void vlm_memslots_remove(struct vlm_memslots *slots, struct vlm_memslot *slot)
{
	struct vlm_memslot_node *node = &slot->nodes[slots->version];

	rb_erase(&node->by_gfn, &slots->by_gfn);
	interval_tree_remove(&node->by_hva, &slots->by_hva);
	slots->nr--;
}

struct vlm_memslot *vlm_memslot_floor(const struct vlm_memslots *slots, u64 gfn)
{
	const struct rb_node *node = slots->by_gfn.rb_node;
	struct vlm_memslot *found = NULL;

	while (node) {
		struct vlm_memslot *slot = gfn_entry(slots, node);

		if (slot->base_gfn <= gfn) {
			found = slot;
			node = node->rb_right;
		} else {
			node = node->rb_left;
		}
	}
	return found;
}

struct vlm_memslot *vlm_memslot_find(const struct vlm_memslots *slots, u64 gfn)
{
	struct vlm_memslot *slot = vlm_memslot_floor(slots, gfn);

	return slot && gfn - slot->base_gfn < slot->npages ? slot : NULL;
}

struct vlm_memslot *vlm_memslot_first(const struct vlm_memslots *slots)
{
	return gfn_entry(slots, rb_first(&slots->by_gfn));
}

struct vlm_memslot *vlm_memslot_next(const struct vlm_memslots *slots, struct vlm_memslot *slot)
{
	return gfn_entry(slots, rb_next(&slot->nodes[slots->version].by_gfn));
}

struct vlm_memslot *vlm_memslot_prev(const struct vlm_memslots *slots, struct vlm_memslot *slot)
{
	return gfn_entry(slots, rb_prev(&slot->nodes[slots->version].by_gfn));
}

struct vlm_memslot *vlm_memslot_first_hva(const struct vlm_memslots *slots, unsigned long start,
					  unsigned long end)
{
	/* The library's parameter is not const; it only searches. */
	struct rb_root_cached *by_hva = (struct rb_root_cached *)&slots->by_hva;

	return hva_entry(slots, interval_tree_iter_first(by_hva, start, end - 1));
}

struct vlm_memslot *vlm_memslot_next_hva(const struct vlm_memslots *slots,
					 struct vlm_memslot *slot, unsigned long start,
					 unsigned long end)
{
	struct interval_tree_node *node = &slot->nodes[slots->version].by_hva;

	return hva_entry(slots, interval_tree_iter_next(node, start, end - 1));
}
