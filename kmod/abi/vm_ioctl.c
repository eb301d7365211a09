// SPDX-License-Identifier: GPL-2.0-only
/* Ioctls of a machine. */

#include <linux/compat.h>
#include <linux/kvm.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <asm/tsc.h>

#include "../irqchip/irqchip.h"
#include "../vcpu/vcpu.h"
#include "../vm/memory.h"
#include "../vm/vm.h"
#include "call.h"

static long create_vcpu(struct vlm_call *call)
{
	return vlm_open_vcpu(call->vm, call->arg);
}

static long check_extension(struct vlm_call *call)
{
	return vlm_capability(call->arg);
}

static long enable_cap(struct vlm_call *call)
{
	return vlm_vm_enable_cap(call->vm, call->data);
}

/* Memory. */

static long set_user_memory_region(struct vlm_call *call)
{
	return vlm_vm_set_memory_region(call->vm, call->data);
}

static long get_dirty_log(struct vlm_call *call)
{
	struct kvm_dirty_log *log = call->data;

	/* A 32-bit caller filled in half of the pointer. */
	if (in_compat_syscall())
		log->dirty_bitmap = compat_ptr((compat_uptr_t)log->padding2);
	return vlm_vm_get_dirty_log(call->vm, log);
}

static long clear_dirty_log(struct vlm_call *call)
{
	struct kvm_clear_dirty_log *log = call->data;

	if (in_compat_syscall())
		log->dirty_bitmap = compat_ptr((compat_uptr_t)log->padding2);
	return vlm_vm_clear_dirty_log(call->vm, log);
}

static long reset_dirty_rings(struct vlm_call *call)
{
	return vlm_vm_reset_dirty_rings(call->vm);
}

static long set_tss_addr(struct vlm_call *call)
{
	return vlm_vm_set_tss_addr(call->vm, call->arg);
}

static long set_identity_map_addr(struct vlm_call *call)
{
	return vlm_vm_set_identity_map_addr(call->vm, *(u64 *)call->data);
}

static long set_nr_mmu_pages(struct vlm_call *call)
{
	return vlm_vm_set_nr_mmu_pages(call->vm, call->arg);
}

static long get_nr_mmu_pages(struct vlm_call *call)
{
	return READ_ONCE(call->vm->nr_mmu_pages);
}

/* Interrupts. */

static long create_irqchip(struct vlm_call *call)
{
	return vlm_irqchip_create(call->vm);
}

static long get_irqchip(struct vlm_call *call)
{
	return vlm_irqchip_get(call->vm, call->data);
}

static long set_irqchip(struct vlm_call *call)
{
	return vlm_irqchip_set(call->vm, call->data);
}

static long create_pit(struct vlm_call *call)
{
	const struct kvm_pit_config config = { .flags = KVM_PIT_SPEAKER_DUMMY };

	return vlm_pit_create(call->vm, &config);
}

static long create_pit2(struct vlm_call *call)
{
	return vlm_pit_create(call->vm, call->data);
}

/* The older struct is the channels alone. */
static long get_pit(struct vlm_call *call)
{
	struct kvm_pit_state *old = call->data;
	struct kvm_pit_state2 state;
	long ret;

	ret = vlm_pit_get(call->vm, &state);
	if (ret)
		return ret;
	memcpy(old->channels, state.channels, sizeof(old->channels));
	return 0;
}

static long set_pit(struct vlm_call *call)
{
	const struct kvm_pit_state *old = call->data;
	struct kvm_pit_state2 state;
	long ret;

	ret = vlm_pit_get(call->vm, &state);
	if (ret)
		return ret;
	memcpy(state.channels, old->channels, sizeof(old->channels));
	return vlm_pit_set(call->vm, &state);
}

static long get_pit2(struct vlm_call *call)
{
	return vlm_pit_get(call->vm, call->data);
}

static long set_pit2(struct vlm_call *call)
{
	return vlm_pit_set(call->vm, call->data);
}

static long irq_line(struct vlm_call *call)
{
	const struct kvm_irq_level *line = call->data;

	return vlm_irqchip_set_line(call->vm, line->irq, line->level, NULL);
}

static long irq_line_status(struct vlm_call *call)
{
	struct kvm_irq_level *line = call->data;
	int status = 0;
	long ret;

	ret = vlm_irqchip_set_line(call->vm, line->irq, line->level, &status);
	line->status = status;
	return ret;
}

static long set_gsi_routing(struct vlm_call *call)
{
	struct kvm_irq_routing __user *user = vlm_call_user(call);
	const struct kvm_irq_routing *head = call->data;
	struct kvm_irq_routing_entry *entries = NULL;
	long ret;

	if (head->nr > VLM_MAX_IRQ_ROUTES || head->flags)
		return -EINVAL;
	if (head->nr) {
		entries = vmemdup_user(user->entries, array_size(head->nr, sizeof(*entries)));
		if (IS_ERR(entries))
			return PTR_ERR(entries);
	}
	mutex_lock(&call->vm->lock);
	ret = vlm_irqchip_set_routing(call->vm, entries, head->nr);
	mutex_unlock(&call->vm->lock);
	kvfree(entries);
	return ret;
}

static long signal_msi(struct vlm_call *call)
{
	return vlm_irqchip_signal_msi(call->vm, call->data);
}

static long irqfd(struct vlm_call *call)
{
	return vlm_irqchip_irqfd(call->vm, call->data);
}

/* The number of this command carries no size, so the struct is copied here. */
static long reinject_control(struct vlm_call *call)
{
	struct kvm_reinject_control control;

	if (copy_from_user(&control, vlm_call_user(call), sizeof(control)))
		return -EFAULT;
	return vlm_pit_set_reinject(call->vm, control.pit_reinject);
}

static long ioeventfd(struct vlm_call *call)
{
	return vlm_vm_ioeventfd(call->vm, call->data);
}

static long set_boot_cpu_id(struct vlm_call *call)
{
	return vlm_vm_set_boot_cpu_id(call->vm, call->arg);
}

static long get_stats_fd(struct vlm_call *call)
{
	return vlm_open_vm_stats(call->vm);
}

/* Time. */

/* For vCPUs to come. There is one rate, the host's: another could not be kept without scaling. */
static long get_tsc_khz(struct vlm_call *call)
{
	return tsc_khz;
}

static long set_tsc_khz(struct vlm_call *call)
{
	u32 khz = call->arg;

	return khz && khz != tsc_khz ? -EINVAL : 0;
}

static long get_clock(struct vlm_call *call)
{
	vlm_vm_get_clock(call->vm, call->data);
	return 0;
}

static long set_clock(struct vlm_call *call)
{
	return vlm_vm_set_clock(call->vm, call->data);
}

const struct vlm_ioctl vlm_vm_ioctls[] = {
	{ KVM_SIGNAL_MSI, VLM_IN, signal_msi },
	{ KVM_IRQ_LINE, VLM_IN, irq_line },
	{ KVM_IRQ_LINE_STATUS, VLM_IN | VLM_OUT, irq_line_status },
	{ KVM_CREATE_VCPU, 0, create_vcpu },
	{ KVM_CHECK_EXTENSION, 0, check_extension },
	{ KVM_ENABLE_CAP, VLM_IN, enable_cap },
	{ KVM_SET_USER_MEMORY_REGION, VLM_IN, set_user_memory_region },
	{ KVM_GET_DIRTY_LOG, VLM_IN, get_dirty_log },
	{ KVM_CLEAR_DIRTY_LOG, VLM_IN, clear_dirty_log },
	{ KVM_RESET_DIRTY_RINGS, 0, reset_dirty_rings },
	{ KVM_SET_TSS_ADDR, 0, set_tss_addr },
	{ KVM_SET_IDENTITY_MAP_ADDR, VLM_IN, set_identity_map_addr },
	{ KVM_SET_NR_MMU_PAGES, 0, set_nr_mmu_pages },
	{ KVM_GET_NR_MMU_PAGES, 0, get_nr_mmu_pages },
	{ KVM_CREATE_IRQCHIP, VLM_LOCK_VM, create_irqchip },
	{ KVM_GET_IRQCHIP, VLM_IN | VLM_OUT | VLM_LOCK_VM, get_irqchip },
	{ KVM_SET_IRQCHIP, VLM_IN | VLM_LOCK_VM, set_irqchip },
	{ KVM_CREATE_PIT, VLM_LOCK_VM, create_pit },
	{ KVM_CREATE_PIT2, VLM_IN | VLM_LOCK_VM, create_pit2 },
	{ KVM_GET_PIT, VLM_IN | VLM_OUT | VLM_LOCK_VM, get_pit },
	{ KVM_SET_PIT, VLM_IN | VLM_LOCK_VM, set_pit },
	{ KVM_GET_PIT2, VLM_OUT | VLM_LOCK_VM, get_pit2 },
	{ KVM_SET_PIT2, VLM_IN | VLM_LOCK_VM, set_pit2 },
	{ KVM_SET_GSI_ROUTING, VLM_IN, set_gsi_routing },
	{ KVM_IRQFD, VLM_IN, irqfd },
	{ KVM_IOEVENTFD, VLM_IN, ioeventfd },
	{ KVM_REINJECT_CONTROL, 0, reinject_control },
	{ KVM_SET_BOOT_CPU_ID, 0, set_boot_cpu_id },
	{ KVM_GET_TSC_KHZ, 0, get_tsc_khz },
	{ KVM_SET_TSC_KHZ, 0, set_tsc_khz },
	{ KVM_GET_CLOCK, VLM_OUT, get_clock },
	{ KVM_SET_CLOCK, VLM_IN, set_clock },
	{ KVM_GET_STATS_FD, 0, get_stats_fd },
	{}
};
