// SPDX-License-Identifier: GPL-2.0-only
/* Guest memory as user space sees it: regions, dirty logs, and access by guest-physical address. */
#include <linux/minmax.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "memory.h"
#include "mmu/shadow_vcpu.h"
#include "slots.h"
#include "vm.h"

/* Words of a dirty log that are handled at a time, and after which TLBs are flushed: 1 GiB's. */
#define LOG_WORDS	(SZ_1G / PAGE_SIZE / BITS_PER_LONG)

int vlm_vm_set_memory_region(struct vlm_vm *vm, const struct kvm_userspace_memory_region *region)
{
	const struct vlm_memslot_request req = {
		.slot = region->slot,
		.flags = region->flags,
		.gpa = region->guest_phys_addr,
		.size_bytes = region->memory_size,
		.hva = region->userspace_addr,
		.zap = READ_ONCE(vm->disabled_quirks) & KVM_X86_QUIRK_SLOT_ZAP_ALL ?
		       VLM_SLOT_ZAP_OWN : VLM_SLOT_ZAP_ALL,
	};
	int err;

	BUILD_BUG_ON(VLM_MEMSLOT_LOG_DIRTY != KVM_MEM_LOG_DIRTY_PAGES);
	BUILD_BUG_ON(VLM_MEMSLOT_READONLY != KVM_MEM_READONLY);
	if (!access_ok((void __user *)(unsigned long)req.hva, req.size_bytes))
		return -EINVAL;

	mutex_lock(&vm->slots_lock);
	err = vlm_memslot_set(&vm->mmu, &req);
	if (!err)
		vlm_mmu_limit_pages(&vm->mmu, READ_ONCE(vm->nr_mmu_pages));
	mutex_unlock(&vm->slots_lock);
	return err;
}

/* Room for the words of @npages pages, LOG_WORDS at most. */
static unsigned long *alloc_words(u64 npages)
{
	u64 words = min_t(u64, LOG_WORDS, DIV_ROUND_UP(npages, BITS_PER_LONG));

	return kvmalloc_array(words, sizeof(unsigned long), GFP_KERNEL_ACCOUNT);
}

/* Not cleared: user space does that, range by range. */
static int copy_log(const struct vlm_memslot *slot, void __user *to)
{
	u64 words = DIV_ROUND_UP(slot->npages, 64);
	u64 i, n;

	for (i = 0; i < words; i += n) {
		n = min_t(u64, LOG_WORDS, words - i);
		if (copy_to_user(to + i * sizeof(long), slot->dirty + i, n * sizeof(long)))
			return -EFAULT;
		cond_resched();
	}
	return 0;
}

static int harvest(struct vlm_vm *vm, const struct vlm_memslot *slot, void __user *to)
{
	/* The ABI counts in 64-bit words. */
	u64 words = DIV_ROUND_UP(slot->npages, 64);
	unsigned long *buf = alloc_words(slot->npages);
	u64 i, n;
	int err = 0;

	if (!buf)
		return -ENOMEM;
	for (i = 0; i < words && !err; i += n) {
		n = min_t(u64, LOG_WORDS, words - i);
		vlm_memslot_harvest(&vm->mmu, slot, i, n, buf);
		if (copy_to_user(to + i * sizeof(*buf), buf, n * sizeof(*buf)))
			err = -EFAULT;
		cond_resched();
	}
	kvfree(buf);
	return err;
}

/* The numbers of address space and slot that the ABI allows. */
static bool slot_number_valid(u32 slot)
{
	return slot >> 16 < VLM_AS_NUM && (slot & 0xffff) < VLM_MEMSLOTS_MAX;
}

int vlm_vm_get_dirty_log(struct vlm_vm *vm, struct kvm_dirty_log *log)
{
	struct vlm_memslot *slot;
	int err;

	/* A machine tells of writes in one way or the other. */
	if (READ_ONCE(vm->dirty_ring_bytes))
		return -ENXIO;
	if (!slot_number_valid(log->slot))
		return -EINVAL;
	mutex_lock(&vm->slots_lock);
	vlm_dirty_log_sync(&vm->mmu);
	slot = vlm_memslot_by_id(&vm->mmu, log->slot);
	if (!slot || !slot->dirty)
		err = -ENOENT;
	else if (vm->mmu.log_flags & VLM_LOG_MANUAL)
		err = copy_log(slot, log->dirty_bitmap);
	else
		err = harvest(vm, slot, log->dirty_bitmap);
	mutex_unlock(&vm->slots_lock);
	return err;
}

/* 0, -ENOENT or -EINVAL. */
static int check_clear(const struct vlm_memslot *slot, const struct kvm_clear_dirty_log *log)
{
	u64 left;

	if (!slot || !slot->dirty)
		return -ENOENT;
	if (log->first_page > slot->npages)
		return -EINVAL;
	left = slot->npages - log->first_page;
	/* Whole words, or all that is left. */
	if (log->num_pages > left || (log->num_pages < left && log->num_pages % 64))
		return -EINVAL;
	return 0;
}

/* @n words of the request from word @at on. */
static int clear_words(struct vlm_vm *vm, const struct kvm_clear_dirty_log *log, u64 at, u64 n,
		       unsigned long *buf)
{
	struct vlm_memslot *slot;
	int srcu, err;

	/*
	 * An update that replaces the slot waits for the read section. So threads may clear
	 * different parts at the same time, and others may look.
	 */
	mutex_lock(&vm->slots_lock);
	srcu = srcu_read_lock(&vm->srcu);
	slot = vlm_memslot_by_id(&vm->mmu, log->slot);
	mutex_unlock(&vm->slots_lock);

	err = check_clear(slot, log);
	if (!err && copy_from_user(buf, log->dirty_bitmap + at * sizeof(*buf), n * sizeof(*buf)))
		err = -EFAULT;
	if (!err)
		vlm_memslot_clear_log(&vm->mmu, slot, log->first_page / 64 + at, n, buf);
	srcu_read_unlock(&vm->srcu, srcu);
	return err;
}

int vlm_vm_clear_dirty_log(struct vlm_vm *vm, const struct kvm_clear_dirty_log *log)
{
	u64 words = DIV_ROUND_UP((u64)log->num_pages, 64);
	unsigned long *buf;
	u64 i = 0, n;
	int err;

	if (READ_ONCE(vm->dirty_ring_bytes))
		return -ENXIO;
	if (!slot_number_valid(log->slot) || log->first_page % 64)
		return -EINVAL;
	buf = alloc_words(log->num_pages);
	if (!buf)
		return -ENOMEM;
	/* Once even if there is nothing to clear: the checks say what is wrong. */
	do {
		n = min_t(u64, LOG_WORDS, words - i);
		err = clear_words(vm, log, i, n, buf);
		i += n;
		cond_resched();
	} while (!err && i < words);
	kvfree(buf);
	return err;
}

int vlm_vm_reset_dirty_rings(struct vlm_vm *vm)
{
	struct vlm_vcpu_head *v;
	int n = 0;
	u32 i;

	if (!READ_ONCE(vm->dirty_ring_bytes))
		return -EINVAL;
	mutex_lock(&vm->slots_lock);
	vlm_vm_for_each_vcpu(vm, v, i)
		n += vlm_dirty_ring_reset(&vm->mmu, &v->ring);
	mutex_unlock(&vm->slots_lock);
	return n;
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

static void written(struct vlm_vm *vm, struct vlm_memslot *slot, u64 gpa, unsigned long len)
{
	vlm_memslot_mark_dirty(&vm->mmu, slot, gpa >> PAGE_SHIFT);
	/* It may be a table of the guest's. */
	if (vm->mmu.shadow)
		vlm_shadow_written(vm->mmu.shadow, gpa, len);
}

static int write_page(struct vlm_vm *vm, u64 gpa, const void *data, unsigned long len)
{
	struct vlm_memslot *slot = vlm_slot_at(&vm->mmu, 0, gpa);

	if (!slot || (slot->flags & VLM_MEMSLOT_READONLY))
		return -EFAULT;
	if (copy_to_user((void __user *)vlm_slot_hva(slot, gpa), data, len))
		return -EFAULT;
	written(vm, slot, gpa, len);
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

void vlm_vm_written(struct vlm_vm *vm, u64 gpa, unsigned long len)
{
	struct vlm_memslot *slot = vlm_slot_at(&vm->mmu, 0, gpa);

	if (slot)
		written(vm, slot, gpa, len);
}
