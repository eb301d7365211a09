// SPDX-License-Identifier: GPL-2.0-only
/* Tie the MMU to the mm: what the host does to its mappings is done to the guest's. */
#include <linux/mmu_notifier.h>
#include <linux/srcu.h>

#include "compat/mm.h"
#include "memory.h"
#include "mmu/notifier.h"
#include "vm.h"

static struct vlm_vm *vm_of(struct mmu_notifier *mn)
{
	return container_of(mn, struct vlm_vm, notifier);
}

static int range_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct vlm_vm *vm = vm_of(mn);
	int idx = srcu_read_lock(&vm->srcu);

	vlm_notifier_begin(&vm->mmu, range->start, range->end,
			   mmu_notifier_range_blockable(range) ? VLM_NOTIFIER_MAY_BLOCK
							       : VLM_NOTIFIER_ATOMIC);
	srcu_read_unlock(&vm->srcu, idx);
	return 0;
}

static void range_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct vlm_vm *vm = vm_of(mn);
	int idx = srcu_read_lock(&vm->srcu);

	vlm_notifier_end(&vm->mmu, range->start, range->end);
	srcu_read_unlock(&vm->srcu, idx);
}

static int clear_young(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long start,
		       unsigned long end)
{
	struct vlm_vm *vm = vm_of(mn);
	int idx = srcu_read_lock(&vm->srcu);
	bool young = vlm_notifier_clear_young(&vm->mmu, start, end);

	srcu_read_unlock(&vm->srcu, idx);
	return young;
}

static int test_young(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long address)
{
	struct vlm_vm *vm = vm_of(mn);
	int idx = srcu_read_lock(&vm->srcu);
	bool young = vlm_notifier_test_young(&vm->mmu, address, address + PAGE_SIZE);

	srcu_read_unlock(&vm->srcu, idx);
	return young;
}

/* The mm is going away: no thread of it can run a vCPU any more, and none of another may. */
static void release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct vlm_vm *vm = vm_of(mn);
	int idx = srcu_read_lock(&vm->srcu);

	vlm_mmu_zap_all(&vm->mmu);
	srcu_read_unlock(&vm->srcu, idx);
}

static const struct mmu_notifier_ops ops = {
	.invalidate_range_start	= range_start,
	.invalidate_range_end	= range_end,
	/* Stale accessed bits in a TLB are tolerated: aging is a hint. */
	.clear_flush_young	= clear_young,
	.clear_young		= clear_young,
	.test_young		= test_young,
	.release		= release,
};

int vlm_vm_memory_init(struct vlm_vm *vm)
{
	vm->notifier.ops = &ops;
	return mmu_notifier_register(&vm->notifier, vm->mm);
}

void vlm_vm_memory_destroy(struct vlm_vm *vm)
{
	/* Waits for callbacks that run, and calls release() unless the mm did. */
	mmu_notifier_unregister(&vm->notifier, vm->mm);
	/* Roots that were made after the mm's own release(). */
	vlm_mmu_zap_all(&vm->mmu);
}
