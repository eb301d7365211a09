/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Roots: find, share, invalidate, free.
 *
 * Reference protocol (README.md says why this one):
 *  - a root is born with two references, the creator's and the MMU's own;
 *  - further references are taken only by inc-not-zero, with the mmu lock held in
 *    either mode and inside RCU while the list is walked;
 *  - invalidation, with the lock held for write, gives the MMU's reference to one
 *    zapper (scheduled), who drops it after the zap;
 *  - a root made for cut-out tables is born invalid, with the MMU's reference alone;
 *  - the last reference finds an invalid and empty root, unlinks it and frees it by
 *    RCU. Nothing is ever zapped on that path.
 */
#ifndef VLM_MMU_ROOT_H
#define VLM_MMU_ROOT_H

#include "page.h"

/* Which roots a walk of the list returns. */
enum vlm_root_filter {
	VLM_ROOTS_VALID,	/* optional work: split, write-protect, age */
	VLM_ROOTS_ALL,		/* must reach every translation: notifier, zap-all */
	VLM_ROOTS_SCHEDULED,	/* those that wait for their zapper */
};

/*
 * A referenced valid root with @role, created from @cache (one page) if there is
 * none. Takes the mmu lock for read. Never fails with a filled cache.
 */
struct vlm_mmu_page *vlm_root_get(struct vlm_mmu *mmu, union vlm_role role,
				  struct vlm_page_cache *cache);
/* Drop a reference. Lock in any mode or not at all. */
void vlm_root_put(struct vlm_mmu *mmu, struct vlm_mmu_page *root);

/*
 * The root after @prev (NULL: the first), referenced; drops the reference of @prev.
 * mmu lock held in either mode; it may be dropped between calls.
 */
struct vlm_mmu_page *vlm_root_next(struct vlm_mmu *mmu, struct vlm_mmu_page *prev,
				   enum vlm_root_filter filter);

#define vlm_for_each_root(mmu, root, filter)					\
	for ((root) = vlm_root_next((mmu), NULL, (filter)); (root);		\
	     (root) = vlm_root_next((mmu), (root), (filter)))

/*
 * Cut off: no vCPU runs on a root that exists now once this returns. mmu lock held for
 * write, slots lock too unless the machine is being destroyed.
 */
void vlm_root_invalidate_all(struct vlm_mmu *mmu);

/*
 * A root that never was valid, on the list with one reference, the MMU's own: a place for
 * tables that were cut out of others. From @cache; NULL if that is empty. mmu lock held
 * for write.
 */
struct vlm_mmu_page *vlm_root_add_defunct(struct vlm_mmu *mmu, union vlm_role role,
					  struct vlm_page_cache *cache);
/* Nothing is added any more: give the MMU's reference to a zapper. mmu lock held for write. */
void vlm_root_schedule(struct vlm_mmu *mmu, struct vlm_mmu_page *root);

/* Claim the MMU's reference of an invalidated root: true for exactly one caller. */
bool vlm_root_claim(struct vlm_mmu *mmu, struct vlm_mmu_page *root);

#endif
