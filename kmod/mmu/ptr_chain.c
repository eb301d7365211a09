// SPDX-License-Identifier: GPL-2.0-only
/* Bags of SPTE pointers. */
#include "ptr_chain.h"

#define IS_CHAIN	1ul

static struct vlm_ptr_desc *first_desc(const struct vlm_ptr_chain *chain)
{
	return chain->word & IS_CHAIN ? (struct vlm_ptr_desc *)(chain->word & ~IS_CHAIN) : NULL;
}

static void set_desc(struct vlm_ptr_chain *chain, struct vlm_ptr_desc *desc)
{
	chain->word = desc ? (unsigned long)desc | IS_CHAIN : 0;
}

int vlm_ptr_desc_cache_fill(struct vlm_ptr_desc_cache *cache, u32 min)
{
	BUILD_BUG_ON(sizeof(struct vlm_ptr_desc) != 16 * sizeof(void *));
	while (cache->nr < min) {
		struct vlm_ptr_desc *desc = (struct vlm_ptr_desc *)kzalloc(sizeof(*desc),
									   GFP_KERNEL_ACCOUNT);

		if (!desc)
			return -ENOMEM;
		cache->descs[cache->nr++] = desc;
	}
	return 0;
}

void vlm_ptr_desc_cache_drain(struct vlm_ptr_desc_cache *cache)
{
	while (cache->nr)
		kfree(cache->descs[--cache->nr]);
}

u32 vlm_ptr_chain_count(const struct vlm_ptr_chain *chain)
{
	const struct vlm_ptr_desc *desc = first_desc(chain);

	return desc ? desc->nr + desc->behind : !!chain->word;
}

bool vlm_ptr_chain_add(struct vlm_ptr_chain *chain, u64 *ptr, struct vlm_ptr_desc_cache *cache)
{
	struct vlm_ptr_desc *desc = first_desc(chain), *fresh;

	if (!chain->word) {
		chain->word = (unsigned long)ptr;
		return true;
	}
	if (desc && desc->nr < VLM_PTR_DESC_MAX) {
		desc->ptr[desc->nr++] = ptr;
		return true;
	}
	if (!cache->nr)
		return false;
	fresh = cache->descs[--cache->nr];
	fresh->nr = 0;
	if (!desc)
		fresh->ptr[fresh->nr++] = (u64 *)chain->word;
	fresh->ptr[fresh->nr++] = ptr;
	fresh->behind = desc ? desc->nr + desc->behind : 0;
	fresh->next = desc;
	set_desc(chain, fresh);
	return true;
}

bool vlm_ptr_chain_remove(struct vlm_ptr_chain *chain, const u64 *ptr)
{
	struct vlm_ptr_desc *first = first_desc(chain), *desc;
	u32 i;

	if (!first) {
		if (chain->word != (unsigned long)ptr)
			return false;
		chain->word = 0;
		return true;
	}
	for (desc = first; desc; desc = desc->next) {
		for (i = 0; i < desc->nr; i++) {
			if (desc->ptr[i] != ptr)
				continue;
			desc->ptr[i] = first->ptr[--first->nr];
			if (!first->nr) {
				set_desc(chain, first->next);
				kfree(first);
			}
			return true;
		}
	}
	return false;
}

u64 *vlm_ptr_chain_last(const struct vlm_ptr_chain *chain)
{
	const struct vlm_ptr_desc *desc = first_desc(chain);

	return desc ? desc->ptr[desc->nr - 1] : (u64 *)chain->word;
}

u64 *vlm_ptr_chain_first(const struct vlm_ptr_chain *chain, struct vlm_ptr_iter *iter)
{
	iter->desc = first_desc(chain);
	iter->i = 0;
	return iter->desc ? iter->desc->ptr[0] : (u64 *)chain->word;
}

u64 *vlm_ptr_chain_next(struct vlm_ptr_iter *iter)
{
	if (!iter->desc)
		return NULL;
	if (++iter->i == iter->desc->nr) {
		iter->desc = iter->desc->next;
		iter->i = 0;
	}
	return iter->desc ? iter->desc->ptr[iter->i] : NULL;
}
