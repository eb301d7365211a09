// SPDX-License-Identifier: GPL-2.0-only
/* Guest memory as user space sees it: regions, dirty logs, and access by guest-physical address. */
#include <linux/minmax.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "memory.h"
#include "slots.h"
#include "vm.h"

/* Words of a dirty log that are harvested at a time: one page of them. */
#define HARVEST_WORDS	(PAGE_SIZE / sizeof(unsigned long))

int vlm_vm_set_memory_region(struct vlm_vm *vm, const struct kvm_userspace_memory_region *region)
{
	const struct vlm_memslot_request req = {
		.slot = region->slot,
		.flags = region->flags,
		.gpa = region->guest_phys_addr,
		.size_bytes = region->memory_size,
		.hva = region->userspace_addr,
	};
	int err;

	BUILD_BUG_ON(VLM_MEMSLOT_LOG_DIRTY != KVM_MEM_LOG_DIRTY_PAGES);
	BUILD_BUG_ON(VLM_MEMSLOT_READONLY != KVM_MEM_READONLY);
	if (!access_ok((void __user *)(unsigned long)req.hva, req.size_bytes))
		return -EINVAL;

	mutex_lock(&vm->slots_lock);
	err = vlm_memslot_set(&vm->mmu, &req);
	mutex_unlock(&vm->slots_lock);
	return err;
}

static int copy_log(struct vlm_vm *vm, const struct vlm_memslot *slot, void __user *to)
{
	/* The ABI counts in 64-bit words. */
	u64 words = DIV_ROUND_UP(slot->npages, 64);
	unsigned long *buf;
	u64 i, n;
	int err = 0;

	buf = kmalloc_array(HARVEST_WORDS, sizeof(*buf), GFP_KERNEL_ACCOUNT);
	if (!buf)
		return -ENOMEM;
	for (i = 0; i < words && !err; i += n) {
		n = min_t(u64, HARVEST_WORDS, words - i);
		vlm_memslot_harvest(&vm->mmu, slot, i, n, buf);
		if (copy_to_user(to + i * sizeof(*buf), buf, n * sizeof(*buf)))
			err = -EFAULT;
		cond_resched();
	}
	kfree(buf);
	return err;
}

int vlm_vm_get_dirty_log(struct vlm_vm *vm, struct kvm_dirty_log *log)
{
	struct vlm_memslot *slot;
	int err;

	if (log->slot >> 16 >= VLM_AS_NUM || (log->slot & 0xffff) >= VLM_MEMSLOTS_MAX)
		return -EINVAL;
	mutex_lock(&vm->slots_lock);
	slot = vlm_memslot_by_id(&vm->mmu, log->slot);
	err = slot && slot->dirty ? copy_log(vm, slot, log->dirty_bitmap) : -ENOENT;
	mutex_unlock(&vm->slots_lock);
	return err;
}

int vlm_vm_read_guest(struct vlm_vm *vm, u64 gpa, void *data, unsigned long len)
{
	while (len) {
		unsigned long n = min_t(unsigned long, len, PAGE_SIZE - offset_in_page(gpa));
		int err = vlm_platform_guest_read(&vm->mmu, 0, gpa, data, n);

		if (err)
			return err;
		gpa += n;
		data += n;
		len -= n;
	}
	return 0;
}

static int write_page(struct vlm_vm *vm, u64 gpa, const void *data, unsigned long len)
{
	struct vlm_memslot *slot = vlm_slot_at(&vm->mmu, 0, gpa);

	if (!slot || (slot->flags & VLM_MEMSLOT_READONLY))
		return -EFAULT;
	if (copy_to_user((void __user *)vlm_slot_hva(slot, gpa), data, len))
		return -EFAULT;
	vlm_memslot_mark_dirty(slot, gpa >> PAGE_SHIFT);
	return 0;
}

int vlm_vm_write_guest(struct vlm_vm *vm, u64 gpa, const void *data, unsigned long len)
{
	while (len) {
		unsigned long n = min_t(unsigned long, len, PAGE_SIZE - offset_in_page(gpa));
		int err = write_page(vm, gpa, data, n);

		if (err)
			return err;
		gpa += n;
		data += n;
		len -= n;
	}
	return 0;
}

bool vlm_vm_gpa_is_memory(struct vlm_vm *vm, u64 gpa)
{
	return vlm_slot_at(&vm->mmu, 0, gpa);
}

unsigned long vlm_vm_gpa_to_hva(struct vlm_vm *vm, u64 gpa, bool write)
{
	struct vlm_memslot *slot = vlm_slot_at(&vm->mmu, 0, gpa);

	if (!slot || (write && (slot->flags & VLM_MEMSLOT_READONLY)))
		return 0;
	return vlm_slot_hva(slot, gpa);
}

void vlm_vm_mark_dirty(struct vlm_vm *vm, u64 gpa)
{
	struct vlm_memslot *slot = vlm_slot_at(&vm->mmu, 0, gpa);

	if (slot)
		vlm_memslot_mark_dirty(slot, gpa >> PAGE_SHIFT);
}
