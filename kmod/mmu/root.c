// SPDX-License-Identifier: GPL-2.0-only
/* Life of roots. The protocol stands in root.h. */
#include "root.h"
#include "trace.h"

static bool root_tryget(struct vlm_mmu_page *root)
{
	return refcount_inc_not_zero(&root->refs);
}

/* Lock held in either mode: invalid is stable. */
static struct vlm_mmu_page *root_find(struct vlm_mmu *mmu, union vlm_role role)
{
	struct vlm_mmu_page *root;

	lockdep_assert_held(&mmu->lock);
	rcu_read_lock();
	list_for_each_entry_rcu(root, &mmu->roots, link) {
		if (!root->invalid && root->role.word == role.word && root_tryget(root)) {
			rcu_read_unlock();
			return root;
		}
	}
	rcu_read_unlock();
	return NULL;
}

static void root_init(struct vlm_mmu_page *root, union vlm_role role)
{
	root->role = role;
	root->gfn = 0;
	root->parent = NULL;
	root->invalid = false;
	root->scheduled = false;
}

/* @mmu->pages_lock held. */
static void root_add(struct vlm_mmu *mmu, struct vlm_mmu_page *root)
{
	list_add_tail_rcu(&root->link, &mmu->roots);
	vlm_stat_add(&mmu->stats, VLM_STAT_ROOTS, 1);
}

struct vlm_mmu_page *vlm_root_get(struct vlm_mmu *mmu, union vlm_role role,
				  struct vlm_page_cache *cache)
{
	struct vlm_mmu_page *root, *made;

	read_lock(&mmu->lock);
	root = root_find(mmu, role);
	if (root)
		goto out;

	made = vlm_page_cache_pop(mmu, cache);
	if (!made)
		goto out;
	root_init(made, role);
	/* The caller's and the MMU's. */
	refcount_set(&made->refs, 2);

	/* Another vCPU may have come first: look again where only one can add. */
	spin_lock(&mmu->pages_lock);
	root = root_find(mmu, role);
	if (!root) {
		root_add(mmu, made);
		root = made;
	}
	spin_unlock(&mmu->pages_lock);
	if (root != made)
		vlm_page_cache_push(mmu, cache, made);
	else
		vlm_trace_root(mmu, root, VLM_ROOT_CREATED, 2);
out:
	if (root)
		vlm_trace_root(mmu, root, VLM_ROOT_TAKEN, refcount_read(&root->refs));
	read_unlock(&mmu->lock);
	return root;
}

void vlm_root_put(struct vlm_mmu *mmu, struct vlm_mmu_page *root)
{
	if (!refcount_dec_and_test(&root->refs))
		return;
	if (!root->invalid) {
		/* The MMU's reference is missing. Leak the root rather than free what is in use. */
		vlm_platform_kill(mmu, "last reference of a valid root dropped");
		return;
	}
	spin_lock(&mmu->pages_lock);
	list_del_rcu(&root->link);
	spin_unlock(&mmu->pages_lock);
	vlm_stat_add(&mmu->stats, VLM_STAT_ROOTS, -1);
	vlm_trace_root(mmu, root, VLM_ROOT_FREED, 0);
	vlm_page_free_rcu(mmu, root);
}

static bool root_matches(const struct vlm_mmu_page *root, enum vlm_root_filter filter)
{
	switch (filter) {
	case VLM_ROOTS_VALID:
		return !root->invalid;
	case VLM_ROOTS_SCHEDULED:
		return READ_ONCE(root->scheduled);
	case VLM_ROOTS_ALL:
		break;
	}
	return true;
}

struct vlm_mmu_page *vlm_root_next(struct vlm_mmu *mmu, struct vlm_mmu_page *prev,
				   enum vlm_root_filter filter)
{
	struct vlm_mmu_page *root;

	lockdep_assert_held(&mmu->lock);
	rcu_read_lock();
	/* The reference keeps @prev on the list, so its successor is alive in RCU. */
	root = prev ? list_next_or_null_rcu(&mmu->roots, &prev->link, struct vlm_mmu_page, link)
		    : list_first_or_null_rcu(&mmu->roots, struct vlm_mmu_page, link);
	while (root && !(root_matches(root, filter) && root_tryget(root)))
		root = list_next_or_null_rcu(&mmu->roots, &root->link, struct vlm_mmu_page, link);
	rcu_read_unlock();
	if (prev)
		vlm_root_put(mmu, prev);
	return root;
}

void vlm_root_invalidate_all(struct vlm_mmu *mmu)
{
	struct vlm_mmu_page *root;

	lockdep_assert_held_write(&mmu->lock);
	/* Taken for list_del_rcu() of a concurrent last put, which needs no mmu lock. */
	spin_lock(&mmu->pages_lock);
	list_for_each_entry(root, &mmu->roots, link) {
		/* An invalid root has given its reference away already. */
		if (root->invalid)
			continue;
		root->scheduled = true;
		vlm_stat_add(&mmu->stats, VLM_STAT_RECLAIM_BACKLOG, 1);
		WRITE_ONCE(root->invalid, true);
		vlm_trace_root(mmu, root, VLM_ROOT_INVALIDATED, refcount_read(&root->refs));
	}
	spin_unlock(&mmu->pages_lock);
	vlm_platform_reload_all(mmu);
}

struct vlm_mmu_page *vlm_root_add_defunct(struct vlm_mmu *mmu, union vlm_role role,
					  struct vlm_page_cache *cache)
{
	struct vlm_mmu_page *root;

	lockdep_assert_held_write(&mmu->lock);
	root = vlm_page_cache_pop(mmu, cache);
	if (!root)
		return NULL;
	root_init(root, role);
	root->invalid = true;
	refcount_set(&root->refs, 1);
	spin_lock(&mmu->pages_lock);
	root_add(mmu, root);
	spin_unlock(&mmu->pages_lock);
	vlm_trace_root(mmu, root, VLM_ROOT_CREATED, 1);
	return root;
}

void vlm_root_schedule(struct vlm_mmu *mmu, struct vlm_mmu_page *root)
{
	lockdep_assert_held_write(&mmu->lock);
	spin_lock(&mmu->pages_lock);
	root->scheduled = true;
	vlm_stat_add(&mmu->stats, VLM_STAT_RECLAIM_BACKLOG, 1);
	spin_unlock(&mmu->pages_lock);
}

bool vlm_root_claim(struct vlm_mmu *mmu, struct vlm_mmu_page *root)
{
	bool claimed;

	spin_lock(&mmu->pages_lock);
	claimed = root->scheduled;
	WRITE_ONCE(root->scheduled, false);
	spin_unlock(&mmu->pages_lock);
	return claimed;
}
