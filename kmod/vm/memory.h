/* SPDX-License-Identifier: GPL-2.0-only */
/* Guest memory as user space set it up, and access to it by guest physical address. */
#ifndef VLM_VM_MEMORY_H
#define VLM_VM_MEMORY_H

#include <linux/kvm.h>
#include <linux/types.h>

struct vlm_vm;

/*
 * KVM_SET_USER_MEMORY_REGION. Takes vm->slots_lock. Return 0, -EINVAL (flags,
 * alignment, overlap with itself, slot number), -EEXIST (overlap), -ENOMEM.
 */
int vlm_vm_set_memory_region(struct vlm_vm *vm, const struct kvm_userspace_memory_region *region);

/* KVM_GET_DIRTY_LOG. -EINVAL, -ENOENT, -EFAULT, -ENXIO (the machine has dirty rings). */
int vlm_vm_get_dirty_log(struct vlm_vm *vm, struct kvm_dirty_log *log);

/*
 * KVM_CLEAR_DIRTY_LOG. -EINVAL (slot number, position or length), -ENOENT (no such slot, or it
 * is not logged), -EFAULT, -ENOMEM, -ENXIO as above. Long requests are handled in parts: those before the
 * one that failed are done.
 */
int vlm_vm_clear_dirty_log(struct vlm_vm *vm, const struct kvm_clear_dirty_log *log);

/* KVM_RESET_DIRTY_RINGS: the number of entries that were freed, or -EINVAL without rings. */
int vlm_vm_reset_dirty_rings(struct vlm_vm *vm);

/*
 * Copy from or to guest memory, any length, crossing pages. May sleep on host
 * faults. Caller is in vm->mm and in a vm->srcu read section. Return 0 or -EFAULT
 * (hole, MMIO, write to a read-only slot, host mapping gone). Writes mark pages dirty.
 */
int vlm_vm_read_guest(struct vlm_vm *vm, u64 gpa, void *data, unsigned long len);
int vlm_vm_write_guest(struct vlm_vm *vm, u64 gpa, const void *data, unsigned long len);

/* True if @gpa lies in a slot (of address space 0), i.e. is not MMIO. SRCU as above. */
bool vlm_vm_gpa_is_memory(struct vlm_vm *vm, u64 gpa);

/* Host virtual address behind @gpa for an atomic access of @len bytes inside one page, or 0. */
unsigned long vlm_vm_gpa_to_hva(struct vlm_vm *vm, u64 gpa, bool write);

/* After a direct store of @len bytes through vlm_vm_gpa_to_hva(): dirty log, shadow tables. */
void vlm_vm_written(struct vlm_vm *vm, u64 gpa, unsigned long len);

/* Register and unregister the mmu notifier. */
int vlm_vm_memory_init(struct vlm_vm *vm);
void vlm_vm_memory_destroy(struct vlm_vm *vm);

#endif
