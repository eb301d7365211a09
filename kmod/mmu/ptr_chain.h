/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A bag of pointers to SPTEs in one word: the entries that map a frame, or those that
 * point at a table. Empty, a single pointer, or a chain of descriptors. Most bags hold
 * one pointer, and cost nothing but the word.
 */
#ifndef VLM_MMU_PTR_CHAIN_H
#define VLM_MMU_PTR_CHAIN_H

#include "platform.h"

#define VLM_PTR_DESC_MAX	14
/* Beyond this a bag is dropped whole: nothing walks a longer one in one step. */
#define VLM_PTR_CHAIN_MAX	1000

/**
 * struct vlm_ptr_desc - 16 words of a chain
 * @ptr:	pointers
 * @nr:		of them in use; only the first descriptor of a chain is ever partly filled
 * @behind:	pointers in the descriptors behind this one
 * @next:	NULL in the last one
 */
struct vlm_ptr_desc {
	u64 *ptr[VLM_PTR_DESC_MAX];
	u32 nr;
	u32 behind;
	struct vlm_ptr_desc *next;
};

/* Zeroed means empty. mmu lock held for write for all that changes it. */
struct vlm_ptr_chain {
	unsigned long word;
};

/* More than one fault needs: a link at every level, a leaf, and the second pointer of a bag. */
#define VLM_PTR_DESC_CACHE_MAX	16

struct vlm_ptr_desc_cache {
	u32 nr;
	struct vlm_ptr_desc *descs[VLM_PTR_DESC_CACHE_MAX];
};

/* Sleeps. 0 or -ENOMEM; what was got is kept. */
int vlm_ptr_desc_cache_fill(struct vlm_ptr_desc_cache *cache, u32 min);
void vlm_ptr_desc_cache_drain(struct vlm_ptr_desc_cache *cache);

u32 vlm_ptr_chain_count(const struct vlm_ptr_chain *chain);
/*
 * Add @ptr, which is not in @chain. Takes at most one descriptor from @cache. False: the
 * cache is empty and one was needed.
 */
bool vlm_ptr_chain_add(struct vlm_ptr_chain *chain, u64 *ptr, struct vlm_ptr_desc_cache *cache);
/* Take @ptr out; the last pointer moves into the hole. False: it is not there. */
bool vlm_ptr_chain_remove(struct vlm_ptr_chain *chain, const u64 *ptr);
/* The pointer that is cheapest to remove, or NULL when empty. */
u64 *vlm_ptr_chain_last(const struct vlm_ptr_chain *chain);

/* A position; the bag must not change meanwhile. */
struct vlm_ptr_iter {
	const struct vlm_ptr_desc *desc;
	u32 i;
};

u64 *vlm_ptr_chain_first(const struct vlm_ptr_chain *chain, struct vlm_ptr_iter *iter);
u64 *vlm_ptr_chain_next(struct vlm_ptr_iter *iter);

#define vlm_for_each_ptr(p, chain, iter)					\
	for ((p) = vlm_ptr_chain_first((chain), &(iter)); (p); (p) = vlm_ptr_chain_next(&(iter)))

#endif
