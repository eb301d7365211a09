// SPDX-License-Identifier: GPL-2.0-only
/* Make and free the reverse maps of a slot. */
#include "rmap.h"

struct vlm_slot_rmap *vlm_slot_rmap_alloc(u64 base_gfn, u64 npages)
{
	struct vlm_slot_rmap *rmap = (struct vlm_slot_rmap *)kzalloc(sizeof(*rmap),
								     GFP_KERNEL_ACCOUNT);
	int level;

	if (!rmap)
		return NULL;
	for (level = VLM_LEVEL_4K; level <= VLM_LEVEL_1G; level++) {
		unsigned int shift = 9 * (unsigned int)(level - 1);
		u64 n = ((base_gfn + npages - 1) >> shift) - (base_gfn >> shift) + 1;

		rmap->leaves[level - 1] = (struct vlm_ptr_chain *)
			kvcalloc(n, sizeof(struct vlm_ptr_chain), GFP_KERNEL_ACCOUNT);
		if (!rmap->leaves[level - 1])
			goto fail;
		if (level == VLM_LEVEL_4K)
			continue;
		rmap->tables[level - 2] = (u32 *)kvcalloc(n, sizeof(u32), GFP_KERNEL_ACCOUNT);
		if (!rmap->tables[level - 2])
			goto fail;
	}
	return rmap;
fail:
	vlm_slot_rmap_free(rmap);
	return NULL;
}

void vlm_slot_rmap_free(struct vlm_slot_rmap *rmap)
{
	int level;

	if (!rmap)
		return;
	for (level = VLM_LEVEL_4K; level <= VLM_LEVEL_1G; level++) {
		kvfree(rmap->leaves[level - 1]);
		if (level > VLM_LEVEL_4K)
			kvfree(rmap->tables[level - 2]);
	}
	kfree(rmap);
}
