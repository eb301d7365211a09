// SPDX-License-Identifier: GPL-2.0-only
/* Life of a machine: creation, references, destruction, death. */

#include <linux/err.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/printk.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "counters.h"
#include "ioeventfd.h"
#include "memory.h"
#include "vm.h"

static DEFINE_MUTEX(vm_list_lock);
static LIST_HEAD(vm_list);
static atomic_t last_serial = ATOMIC_INIT(0);

static const struct vlm_vcpu_ops *vcpu_ops;
static const struct vlm_irqchip_ops *irqchip_ops;

void vlm_vm_set_vcpu_ops(const struct vlm_vcpu_ops *ops)
{
	vcpu_ops = ops;
}

void vlm_vm_set_irqchip_ops(const struct vlm_irqchip_ops *ops)
{
	irqchip_ops = ops;
}

unsigned int vlm_vm_count(void)
{
	return atomic_long_read(&vlm_counters[VLM_COUNT_VMS]);
}

static void list_vm(struct vlm_vm *vm)
{
	mutex_lock(&vm_list_lock);
	list_add_tail(&vm->link, &vm_list);
	/* Under the lock: no change of the parameter is missed. */
	vlm_nx_apply(vm);
	mutex_unlock(&vm_list_lock);
	vlm_count(VLM_COUNT_VMS, 1);
}

static void unlist_vm(struct vlm_vm *vm)
{
	mutex_lock(&vm_list_lock);
	list_del(&vm->link);
	mutex_unlock(&vm_list_lock);
}

void vlm_vm_for_each(void (*fn)(struct vlm_vm *vm))
{
	struct vlm_vm *vm;

	mutex_lock(&vm_list_lock);
	list_for_each_entry(vm, &vm_list, link)
		fn(vm);
	mutex_unlock(&vm_list_lock);
}

struct vlm_vm *vlm_vm_create(unsigned long type)
{
	struct vlm_vm *vm;
	int err;

	if (type)
		return ERR_PTR(-EINVAL);

	vm = kvzalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT);
	if (!vm)
		return ERR_PTR(-ENOMEM);

	refcount_set(&vm->users, 1);
	vm->serial = atomic_inc_return(&last_serial);
	mutex_init(&vm->lock);
	mutex_init(&vm->slots_lock);
	xa_init(&vm->vcpus);
	INIT_LIST_HEAD(&vm->ioeventfds);
	vm->max_vcpu_id = VLM_MAX_VCPU_IDS;
	vm->clock_offset = -(s64)ktime_get_boottime_ns();
	vm->mm = current->mm;
	mmgrab(vm->mm);

	err = init_srcu_struct(&vm->srcu);
	if (err)
		goto free_vm;
	err = vlm_mmu_init(&vm->mmu);
	if (err)
		goto free_srcu;
	/* Last: from here on the notifier may call in. */
	err = vlm_vm_memory_init(vm);
	if (err)
		goto free_mmu;

	list_vm(vm);
	vlm_vm_debugfs_add(vm);
	return vm;

free_mmu:
	vlm_mmu_destroy(&vm->mmu);
free_srcu:
	cleanup_srcu_struct(&vm->srcu);
free_vm:
	mmdrop(vm->mm);
	xa_destroy(&vm->vcpus);
	kvfree(vm);
	return ERR_PTR(err);
}

static void destroy_vcpus(struct vlm_vm *vm)
{
	struct vlm_vcpu_head *v;
	unsigned long idx;

	xa_for_each(&vm->vcpus, idx, v) {
		vcpu_ops->destroy(v);
		vlm_count(VLM_COUNT_VCPUS, -1);
	}
	xa_destroy(&vm->vcpus);
}

static void destroy(struct vlm_vm *vm)
{
	vlm_vm_debugfs_remove(vm);
	unlist_vm(vm);

	/*
	 * No file is open any more, so no ioctl runs. What still runs are the
	 * timers of the irqchip, which look up vCPUs: stop them first.
	 */
	if (irqchip_ops)
		irqchip_ops->destroy(vm);
	/*
	 * The mm may live on, and other threads may change it: then the notifier asks all
	 * vCPUs to flush. Let it go, and the reclaimer, while there are vCPUs to ask.
	 */
	vlm_reclaimer_stop(vm);
	vlm_vm_memory_destroy(vm);
	destroy_vcpus(vm);
	vlm_ioeventfd_destroy(vm);
	vlm_iobus_destroy(&vm->pio);
	vlm_iobus_destroy(&vm->mmio);
	vlm_mmu_destroy(&vm->mmu);
	cleanup_srcu_struct(&vm->srcu);
	mmdrop(vm->mm);
	kvfree(vm);
	/* Last, so that a counter of zero means that nothing is left. */
	vlm_count(VLM_COUNT_VMS, -1);
}

void vlm_vm_get(struct vlm_vm *vm)
{
	refcount_inc(&vm->users);
}

void vlm_vm_put(struct vlm_vm *vm)
{
	if (refcount_dec_and_test(&vm->users))
		destroy(vm);
}

void vlm_vm_kill(struct vlm_vm *vm, const char *why)
{
	if (xchg(&vm->dead, true))
		return;
	pr_err("vellum: a machine of process %d is broken and was stopped: %s\n",
	       task_tgid_nr(current), why);
	vlm_vm_request_all(vm, VLM_REQ_VM_DEAD, 0);
}

struct vlm_vcpu_head *vlm_vm_vcpu_by_id(struct vlm_vm *vm, u32 id)
{
	struct vlm_vcpu_head *v;
	u32 i;

	/* Most user space numbers vCPUs from zero without holes. */
	v = vlm_vm_vcpu(vm, id);
	if (v && v->id == id)
		return v;
	vlm_vm_for_each_vcpu(vm, v, i) {
		if (v->id == id)
			return v;
	}
	return NULL;
}
