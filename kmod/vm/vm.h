/* SPDX-License-Identifier: GPL-2.0-only */
/* One machine: life, vCPU table, requests to all vCPUs. */
#ifndef VLM_VM_VM_H
#define VLM_VM_VM_H

#include <linux/kvm.h>
#include <linux/mm_types.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/srcu.h>
#include <linux/xarray.h>

#include "../mmu/mmu.h"
#include "../vcpu/request.h"
#include "iobus.h"
#include "nx.h"
#include "reclaimer.h"

/* Newer than the headers of 6.1. */
#ifndef KVM_X86_QUIRK_SLOT_ZAP_ALL
#define KVM_X86_QUIRK_SLOT_ZAP_ALL BIT(7)
#endif

#define VLM_MAX_VCPUS		1024	/* KVM_CAP_MAX_VCPUS */
#define VLM_MAX_VCPU_IDS	4096	/* KVM_CAP_MAX_VCPU_ID */
#define VLM_SOFT_VCPUS		710	/* KVM_CAP_NR_VCPUS is min(online CPUs, this) */

struct vlm_irqchip;
struct dentry;

/**
 * struct vlm_vm - one virtual machine
 *
 * Lock order: vcpu->lock > lock > slots_lock > mmu.lock > (mmu's own spinlocks).
 * Letters: c constant after creation; l @lock; s @slots_lock; S SRCU @srcu for
 * readers; a atomic; i irqchip's own locks.
 *
 * @users:	a  one per open VM fd, vCPU fd, stats fd
 * @mm:		c  address space of the creator; the only one that may use the VM
 * @lock:	creation of vCPUs and of the irqchip, capabilities
 * @slots_lock:	memslot updates, io bus updates
 * @srcu:	readers of memslots, io buses and routing
 * @vcpus:	l  idx -> struct vlm_vcpu_head, entries are never removed before the VM dies
 * @nr_vcpus:	l  written under @lock after the vCPU is in @vcpus; read with smp_load_acquire
 * @max_vcpu_id: l  KVM_CAP_MAX_VCPU_ID setting, VLM_MAX_VCPU_IDS by default
 * @max_vcpu_id_set: l  KVM_CAP_MAX_VCPU_ID was enabled; it can be once
 * @bsp_id:	l  KVM_SET_BOOT_CPU_ID, 0 by default
 * @dead:	a  an invariant broke; every further ioctl answers -EIO
 * @mmu:	the MMU, with its own locks
 * @notifier:	c  registered on @mm while @users > 0
 * @reclaimer:	s  gives back defunct tables, recovers huge pages
 * @nx:		s  the NX huge page mitigation, see there
 * @irqchip:	l  in-kernel PIC, IOAPIC and routing, or NULL; read with smp_load_acquire
 * @split_irqchip: l  local APICs in the kernel, the rest in user space
 * @pio:	S  port bus
 * @mmio:	S  memory bus
 * @ioeventfds:	s  bindings of addresses to eventfds
 * @tss_addr:	l  KVM_SET_TSS_ADDR; unused with unrestricted guest
 * @identity_map_addr: l  KVM_SET_IDENTITY_MAP_ADDR
 * @nr_mmu_pages: l  KVM_SET_NR_MMU_PAGES; kept for KVM_GET_NR_MMU_PAGES
 * @dirty_ring_bytes: l  size of each vCPU's dirty ring, 0 for none; set once, before the first vCPU
 * @clock_offset: l  nanoseconds from CLOCK_BOOTTIME to the KVM_GET_CLOCK clock
 * @exception_payload: l  KVM_CAP_EXCEPTION_PAYLOAD enabled
 * @disabled_quirks: l  KVM_CAP_DISABLE_QUIRKS2 mask
 * @serial:	c  number of this VM since the module was loaded, in names and traces
 * @debugfs:	c  this VM's folder, may be an error pointer
 * @link:	entry of the global VM list
 */
struct vlm_vm {
	refcount_t users;
	struct mm_struct *mm;
	struct mutex lock;
	struct mutex slots_lock;
	struct srcu_struct srcu;
	struct xarray vcpus;
	u32 nr_vcpus;
	u32 max_vcpu_id;
	bool max_vcpu_id_set;
	u32 bsp_id;
	bool dead;
	struct vlm_mmu mmu;
	struct mmu_notifier notifier;
	struct vlm_reclaimer reclaimer;
	struct vlm_nx nx;
	struct vlm_irqchip *irqchip;
	bool split_irqchip;
	struct vlm_iobus pio;
	struct vlm_iobus mmio;
	struct list_head ioeventfds;
	u64 tss_addr;
	u64 identity_map_addr;
	unsigned long nr_mmu_pages;
	u32 dirty_ring_bytes;
	s64 clock_offset;
	bool exception_payload;
	u64 disabled_quirks;
	u32 serial;
	struct dentry *debugfs;
	struct list_head link;
};

/* Once per module, before any VM: the debugfs root and the list of machines. */
int vlm_vm_module_init(void);
void vlm_vm_module_exit(void);

/*
 * Create a machine for current->mm with one reference. @type must be 0.
 * Return the VM or an ERR_PTR: -EINVAL, -ENOMEM.
 */
struct vlm_vm *vlm_vm_create(unsigned long type);
void vlm_vm_get(struct vlm_vm *vm);
/*
 * Drop a reference; the last one destroys, in this order: the irqchip (sources of
 * interrupts stop), the notifier, the vCPUs, the io buses, the tables. May sleep.
 */
void vlm_vm_put(struct vlm_vm *vm);

/*
 * Settings, each by the ioctl of the same name; errors as the KVM API documents
 * them. They take @lock. vlm_vm_enable_cap() answers -EINVAL for capabilities
 * that vm/ knows nothing of.
 */
int vlm_vm_set_tss_addr(struct vlm_vm *vm, unsigned long addr);
int vlm_vm_set_identity_map_addr(struct vlm_vm *vm, u64 addr);
int vlm_vm_set_boot_cpu_id(struct vlm_vm *vm, unsigned long id);
int vlm_vm_set_nr_mmu_pages(struct vlm_vm *vm, unsigned long nr);
int vlm_vm_enable_cap(struct vlm_vm *vm, const struct kvm_enable_cap *cap);
/* What KVM_CAP_DISABLE_QUIRKS2 may switch off. */
#define VLM_VALID_QUIRKS KVM_X86_QUIRK_SLOT_ZAP_ALL
#define VLM_MIN_MMU_PAGES 64
#define VLM_DIRTY_RING_BYTES (VLM_DIRTY_RING_MAX * sizeof(struct vlm_dirty_entry))	/* at most */

/*
 * KVM_IOEVENTFD. Takes @slots_lock. -EINVAL (length, flags, address), -EBADF and -EINVAL
 * for a file that is no eventfd, -EEXIST (a write could signal two), -ENOENT (nothing to
 * unbind), -ENOSPC, -ENOMEM.
 */
int vlm_vm_ioeventfd(struct vlm_vm *vm, const struct kvm_ioeventfd *args);

/* KVM_GET_CLOCK and KVM_SET_CLOCK. */
void vlm_vm_get_clock(struct vlm_vm *vm, struct kvm_clock_data *data);
int vlm_vm_set_clock(struct vlm_vm *vm, const struct kvm_clock_data *data);

/* This VM's folder in debugfs; a failure leaves the VM without one. */
void vlm_vm_debugfs_add(struct vlm_vm *vm);
void vlm_vm_debugfs_remove(struct vlm_vm *vm);

/* Mark the VM dead, raise VLM_REQ_VM_DEAD on all vCPUs, log once. Any context. */
void vlm_vm_kill(struct vlm_vm *vm, const char *why);

/* The vCPU at @idx or NULL. */
static inline struct vlm_vcpu_head *vlm_vm_vcpu(struct vlm_vm *vm, u32 idx)
{
	if (idx >= smp_load_acquire(&vm->nr_vcpus))
		return NULL;
	return xa_load(&vm->vcpus, idx);
}

/* The vCPU with APIC ID @id or NULL. O(nr_vcpus). */
struct vlm_vcpu_head *vlm_vm_vcpu_by_id(struct vlm_vm *vm, u32 id);

#define vlm_vm_for_each_vcpu(vm, v, i) \
	for ((i) = 0; ((v) = vlm_vm_vcpu((vm), (i))); (i)++)

/* Flags of vlm_vm_request_all(). */
#define VLM_REQUEST_WAIT	BIT(0)	/* return only once no vCPU runs guest code entered before */
#define VLM_REQUEST_NO_WAKE	BIT(1)	/* leave halted vCPUs asleep */

/*
 * Raise @req on every vCPU and interrupt those in guest mode. May be called
 * with spinlocks held and IRQs on; with VLM_REQUEST_WAIT IRQs must be on.
 * Return true if at least one IPI was sent.
 */
bool vlm_vm_request_all(struct vlm_vm *vm, enum vlm_request req, unsigned int flags);

/* vcpu/ says which vCPU this CPU has loaded, NULL for none. Preemption off. */
void vlm_vcpu_set_loaded(struct vlm_vcpu_head *v);
/* The vCPU that this thread has loaded, or NULL. */
struct vlm_vcpu_head *vlm_vcpu_loaded(void);

/* How vcpu/ makes itself known: destroy is called by the last vlm_vm_put(). */
struct vlm_vcpu_ops {
	void (*destroy)(struct vlm_vcpu_head *v);
};
void vlm_vm_set_vcpu_ops(const struct vlm_vcpu_ops *ops);

/* irqchip/ registers how its half of a VM is torn down. */
struct vlm_irqchip_ops {
	void (*destroy)(struct vlm_vm *vm);
};
void vlm_vm_set_irqchip_ops(const struct vlm_irqchip_ops *ops);

/* Number of live VMs, for debugfs and for unload checks. */
unsigned int vlm_vm_count(void);
/* Call @fn for each of them. Sleeps; @fn may take the locks of a machine. */
void vlm_vm_for_each(void (*fn)(struct vlm_vm *vm));

#endif
