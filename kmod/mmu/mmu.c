// SPDX-License-Identifier: GPL-2.0-only
/* Life of the MMU of one machine, and of a vCPU's part in it. */
#include "mmu.h"
#include "notifier.h"
#include "page.h"
#include "root.h"
#include "shadow.h"
#include "spte.h"
#include "trace.h"

/* SDM "Extended-Page-Table Pointer (EPTP)". */
#define EPTP_WRITE_BACK		6ull
#define EPTP_WALK_SHIFT		3
#define EPTP_ACCESSED_DIRTY	BIT_ULL(6)

/* Machines are made with a shadow MMU. Constant after module init. */
static bool use_shadow;

int vlm_mmu_module_init(const struct vlm_mmu_caps *caps)
{
	use_shadow = caps->shadow;
	vlm_spte_format_ept(&vlm_spte_ept, caps);
	vlm_spte_format_shadow(&vlm_spte_shadow, caps);
	return vlm_page_module_init();
}

void vlm_mmu_module_exit(void)
{
	vlm_page_module_exit();
}

static int add_shadow(struct vlm_mmu *mmu)
{
	struct vlm_shadow *sh = (struct vlm_shadow *)kzalloc(sizeof(*sh), GFP_KERNEL_ACCOUNT);
	int err = sh ? vlm_shadow_init(sh, mmu, VLM_SHADOW_PAGES_MIN) : -ENOMEM;

	if (err)
		kfree(sh);
	return err;
}

int vlm_mmu_init(struct vlm_mmu *mmu)
{
	int err;

	rwlock_init(&mmu->lock);
	spin_lock_init(&mmu->pages_lock);
	INIT_LIST_HEAD(&mmu->roots);
	INIT_LIST_HEAD(&mmu->nx_pages);
	mmu->nx = false;
	vlm_notifier_init(&mmu->notifier);
	err = vlm_memslots_init(mmu);
	if (!err && use_shadow)
		err = add_shadow(mmu);
	return err;
}

void vlm_mmu_destroy(struct vlm_mmu *mmu)
{
	WARN_ON_ONCE(!list_empty(&mmu->roots));
	WARN_ON_ONCE(!list_empty(&mmu->nx_pages));
	if (use_shadow) {
		struct vlm_shadow *sh = mmu->shadow;

		vlm_shadow_destroy(sh);
		kfree(sh);
	}
	vlm_memslots_destroy(mmu);
}

bool vlm_mmu_limit_pages(struct vlm_mmu *mmu, u64 pages)
{
	struct vlm_shadow *sh = mmu->shadow;
	u64 excess;

	if (!sh)
		return false;
	write_lock(&mmu->lock);
	if (!pages)
		pages = mmu->nr_slot_pages * VLM_SHADOW_PAGES_PERMILLE / 1000;
	if (pages < VLM_SHADOW_PAGES_MIN)
		pages = VLM_SHADOW_PAGES_MIN;
	sh->max_pages = pages;
	excess = sh->nr_pages > pages ? sh->nr_pages - pages : 0;
	write_unlock(&mmu->lock);
	if (excess)
		vlm_shadow_shrink(sh, excess);
	return true;
}

int vlm_mmu_vcpu_init(struct vlm_mmu_vcpu *mv, struct vlm_mmu *mmu)
{
	mv->mmu = mmu;
	mv->id = 0;
	mv->root = NULL;
	mv->cache.nr = 0;
	mv->as_id = 0;
	mv->fault_errno = 0;
	memset(&mv->stats, 0, sizeof(mv->stats));
	return 0;
}

void vlm_mmu_vcpu_destroy(struct vlm_mmu_vcpu *mv)
{
	vlm_mmu_unload(mv);
	vlm_page_cache_drain(mv->mmu, &mv->cache);
}

void vlm_mmu_unload(struct vlm_mmu_vcpu *mv)
{
	if (mv->root) {
		vlm_trace_root(mv->mmu, mv->root, VLM_ROOT_PUT, refcount_read(&mv->root->refs) - 1);
		vlm_root_put(mv->mmu, mv->root);
	}
	mv->root = NULL;
}

static union vlm_role wanted_role(const struct vlm_mmu_vcpu *mv)
{
	union vlm_role role = { .word = 0 };

	role.level = (u16)vlm_spte_ept.root_level;
	role.as_id = mv->as_id & 1;
	return role;
}

int vlm_mmu_reload(struct vlm_mmu_vcpu *mv)
{
	union vlm_role role = wanted_role(mv);

	/* An invalidation after this test raises the request again, and waits. */
	if (mv->root && !READ_ONCE(mv->root->invalid) && mv->root->role.word == role.word)
		return 0;
	vlm_mmu_unload(mv);
	if (vlm_page_cache_fill(mv->mmu, &mv->cache, 1))
		return -ENOMEM;
	mv->root = vlm_root_get(mv->mmu, role, &mv->cache);
	return mv->root ? 1 : -ENOMEM;
}

u64 vlm_mmu_vcpu_eptp(const struct vlm_mmu_vcpu *mv)
{
	if (WARN_ON_ONCE(!mv->root))
		return 0;
	return vlm_platform_table_pa(mv->root->table) | EPTP_WRITE_BACK |
	       (u64)(mv->root->role.level - 1) << EPTP_WALK_SHIFT |
	       (vlm_spte_ept.accessed ? EPTP_ACCESSED_DIRTY : 0);
}
