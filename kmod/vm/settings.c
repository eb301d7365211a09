// SPDX-License-Identifier: GPL-2.0-only
/* Settings of a machine that user space makes by an ioctl of their own. */

#include <linux/capability.h>
#include <linux/kernel.h>
#include <linux/log2.h>
#include <linux/mm.h>

#include "vm.h"

int vlm_vm_set_tss_addr(struct vlm_vm *vm, unsigned long addr)
{
	/* Three pages below 4 GiB. */
	if (addr > SZ_4G - 3 * PAGE_SIZE)
		return -EINVAL;
	mutex_lock(&vm->lock);
	vm->tss_addr = addr;
	mutex_unlock(&vm->lock);
	return 0;
}

int vlm_vm_set_identity_map_addr(struct vlm_vm *vm, u64 addr)
{
	int err = 0;

	mutex_lock(&vm->lock);
	if (vm->nr_vcpus)
		err = -EINVAL;
	else
		vm->identity_map_addr = addr;
	mutex_unlock(&vm->lock);
	return err;
}

int vlm_vm_set_boot_cpu_id(struct vlm_vm *vm, unsigned long id)
{
	int err = 0;

	mutex_lock(&vm->lock);
	if (vm->nr_vcpus)
		err = -EBUSY;
	else
		vm->bsp_id = id;
	mutex_unlock(&vm->lock);
	return err;
}

int vlm_vm_set_nr_mmu_pages(struct vlm_vm *vm, unsigned long nr)
{
	if (nr < VLM_MIN_MMU_PAGES)
		return -EINVAL;
	mutex_lock(&vm->lock);
	vm->nr_mmu_pages = nr;
	mutex_unlock(&vm->lock);
	mutex_lock(&vm->slots_lock);
	vlm_mmu_limit_pages(&vm->mmu, nr);
	mutex_unlock(&vm->slots_lock);
	return 0;
}

/* The limit can be set once; to repeat the same value is no error. */
static int set_max_vcpu_id(struct vlm_vm *vm, u64 limit)
{
	int err = 0;

	if (limit > VLM_MAX_VCPU_IDS)
		return -EINVAL;
	mutex_lock(&vm->lock);
	if (!vm->max_vcpu_id_set) {
		/* Zero means no limit of its own, and may be set later. */
		vm->max_vcpu_id_set = limit;
		vm->max_vcpu_id = limit ?: VLM_MAX_VCPU_IDS;
	} else if (vm->max_vcpu_id != limit) {
		err = -EINVAL;
	}
	mutex_unlock(&vm->lock);
	return err;
}

/* For logs that begin from now on. */
static int set_manual_log(struct vlm_vm *vm, u64 flags)
{
	u64 allowed = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE;

	BUILD_BUG_ON(VLM_LOG_MANUAL != KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);
	BUILD_BUG_ON(VLM_LOG_ALL_SET != KVM_DIRTY_LOG_INITIALLY_SET);
	/* The second means nothing without the first. */
	if (flags & KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE)
		allowed |= KVM_DIRTY_LOG_INITIALLY_SET;
	if (flags & ~allowed)
		return -EINVAL;
	mutex_lock(&vm->slots_lock);
	vm->mmu.log_flags = (vm->mmu.log_flags & VLM_LOG_RINGS) | flags;
	mutex_unlock(&vm->slots_lock);
	return 0;
}

/* Before the first vCPU, and once. */
static int set_dirty_rings(struct vlm_vm *vm, u64 bytes)
{
	int err = 0;

	BUILD_BUG_ON(sizeof(struct vlm_dirty_entry) != sizeof(struct kvm_dirty_gfn) ||
		     offsetof(struct vlm_dirty_entry, offset) !=
		     offsetof(struct kvm_dirty_gfn, offset));
	BUILD_BUG_ON(VLM_DIRTY_PUBLISHED != KVM_DIRTY_GFN_F_DIRTY ||
		     VLM_DIRTY_COLLECTED != KVM_DIRTY_GFN_F_RESET);
	if (!is_power_of_2(bytes) || bytes < PAGE_SIZE ||
	    bytes < vlm_dirty_ring_reserve() * sizeof(struct vlm_dirty_entry))
		return -EINVAL;
	if (bytes > VLM_DIRTY_RING_BYTES)
		return -E2BIG;
	mutex_lock(&vm->lock);
	mutex_lock(&vm->slots_lock);
	if (vm->dirty_ring_bytes || vm->nr_vcpus) {
		err = -EINVAL;
	} else {
		WRITE_ONCE(vm->dirty_ring_bytes, bytes);
		vm->mmu.log_flags |= VLM_LOG_RINGS;
	}
	mutex_unlock(&vm->slots_lock);
	mutex_unlock(&vm->lock);
	return err;
}

int vlm_vm_enable_cap(struct vlm_vm *vm, const struct kvm_enable_cap *cap)
{
	if (cap->flags)
		return -EINVAL;

	switch (cap->cap) {
	case KVM_CAP_MAX_VCPU_ID:
		return set_max_vcpu_id(vm, cap->args[0]);
	case KVM_CAP_DISABLE_QUIRKS2:
		if (cap->args[0] & ~(u64)VLM_VALID_QUIRKS)
			return -EINVAL;
		fallthrough;
	case KVM_CAP_DISABLE_QUIRKS:
		mutex_lock(&vm->lock);
		WRITE_ONCE(vm->disabled_quirks, cap->args[0]);
		mutex_unlock(&vm->lock);
		return 0;
	case KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2:
		return set_manual_log(vm, cap->args[0]);
	case KVM_CAP_DIRTY_LOG_RING:
	case KVM_CAP_DIRTY_LOG_RING_ACQ_REL:
		return set_dirty_rings(vm, cap->args[0]);
	case KVM_CAP_EXCEPTION_PAYLOAD:
		mutex_lock(&vm->lock);
		vm->exception_payload = cap->args[0];
		mutex_unlock(&vm->lock);
		return 0;
	case KVM_CAP_VM_DISABLE_NX_HUGE_PAGES:
		/* The privilege comes first, as KVM has it. */
		if (capable(CAP_SYS_BOOT) && cap->args[0])
			return -EINVAL;
		return vlm_nx_opt_out(vm);
	default:
		return -EINVAL;
	}
}
