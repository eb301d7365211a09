// SPDX-License-Identifier: GPL-2.0-only
/* Birth, loading on a CPU, reset and death of a vCPU. */

#include <linux/err.h>
#include <linux/mm.h>
#include <linux/rcuwait.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include <asm/processor-flags.h>
#include <asm/tlbflush.h>

#include "private.h"

static void load_on(struct vlm_vcpu *vcpu, int cpu)
{
	vlm_vmx_load(&vcpu->vmx, cpu);
	vcpu->last_cpu = cpu;
	WRITE_ONCE(vcpu->head.cpu, cpu);
	vlm_vcpu_set_loaded(&vcpu->head);
}

static void put_off(struct vlm_vcpu *vcpu)
{
	vlm_vcpu_set_loaded(NULL);
	vlm_vmx_put(&vcpu->vmx);
	WRITE_ONCE(vcpu->head.cpu, -1);
}

static void sched_in(struct preempt_notifier *pn, int cpu)
{
	load_on(container_of(pn, struct vlm_vcpu, notifier), cpu);
}

static void sched_out(struct preempt_notifier *pn, struct task_struct *next)
{
	put_off(container_of(pn, struct vlm_vcpu, notifier));
}

static struct preempt_ops preempt_ops = {
	.sched_in = sched_in,
	.sched_out = sched_out,
};

static void load(struct vlm_vcpu *vcpu)
{
	int cpu = get_cpu();

	preempt_notifier_register(&vcpu->notifier);
	load_on(vcpu, cpu);
	put_cpu();
}

static void put(struct vlm_vcpu *vcpu)
{
	preempt_disable();
	put_off(vcpu);
	preempt_notifier_unregister(&vcpu->notifier);
	preempt_enable();
}

int vlm_vcpu_load(struct vlm_vcpu *vcpu)
{
	if (mutex_lock_killable(&vcpu->lock))
		return -EINTR;
	load(vcpu);
	return 0;
}

void vlm_vcpu_put(struct vlm_vcpu *vcpu)
{
	put(vcpu);
	mutex_unlock(&vcpu->lock);
}

void vlm_srcu_enter(struct vlm_vcpu *vcpu)
	__acquires(&vcpu->head.vm->srcu)
{
	vcpu->srcu_idx = srcu_read_lock(&vcpu->head.vm->srcu);
}

void vlm_srcu_leave(struct vlm_vcpu *vcpu)
	__releases(&vcpu->head.vm->srcu)
{
	srcu_read_unlock(&vcpu->head.vm->srcu, vcpu->srcu_idx);
}

static void reset_registers(struct vlm_vcpu *vcpu)
{
	u32 eax = 1, ebx, ecx = 0, edx;

	memset(vcpu->regs, 0, sizeof(vcpu->regs));
	/* SDM: EDX holds the family, model and stepping. */
	vlm_cpuid(vcpu, &eax, &ebx, &ecx, &edx);
	vcpu->regs[VLM_RDX] = eax ?: 0x600;
}

void vlm_vcpu_reset(struct vlm_vcpu *vcpu, bool init)
{
	u64 cr0 = X86_CR0_ET;

	vlm_user_io_disturb(vcpu);
	/* INIT leaves the two cache-control bits alone. */
	if (init)
		cr0 |= vlm_vmx_cr0(&vcpu->vmx) & (X86_CR0_NW | X86_CR0_CD);
	else
		cr0 |= X86_CR0_NW | X86_CR0_CD;

	if (vcpu->head.lapic)
		vlm_lapic_reset(&vcpu->head, init);
	vcpu->cr8 = 0;

	vlm_vmx_reset(&vcpu->vmx);
	vlm_vmx_set_cr0(&vcpu->vmx, cr0);
	reset_registers(vcpu);

	memset(&vcpu->events, 0, sizeof(vcpu->events));
	vcpu->events.user_irq = -1;
	clear_bit(VLM_EVENT_NMI, &vcpu->head.events);

	memset(vcpu->debug.db, 0, sizeof(vcpu->debug.db));
	vcpu->debug.dr6 = vlm_dr6_fixed(vcpu);
	vcpu->debug.dr7 = 0x400;
	vlm_debug_apply(vcpu);

	vlm_msrs_reset(vcpu, init);
	vlm_fpu_reset(vcpu, init);
	vlm_tsc_apply(vcpu);
	vcpu->io.kind = VLM_IO_NONE;
	vlm_cpuid_update(vcpu);
	vlm_vmx_flush_vpid(&vcpu->vmx);
	vlm_request_set(&vcpu->head, VLM_REQ_MMU_RELOAD);
	vlm_request_set(&vcpu->head, VLM_REQ_EVENT);
}

static void free_pages_of(struct vlm_vcpu *vcpu)
{
	/* A mapping of the vCPU fd may outlive it: each page is counted on its own. */
	if (vcpu->run_page)
		put_page(vcpu->run_page);
	if (vcpu->pio_page)
		put_page(vcpu->pio_page);
	if (vcpu->ring_page)
		put_page(vcpu->ring_page);
}

static void destroy(struct vlm_vcpu_head *v)
{
	struct vlm_vcpu *vcpu = vlm_vcpu_of(v);

	if (v->lapic)
		vlm_lapic_destroy(v);
	vlm_vcpu_shadow_destroy(vcpu);
	vlm_mmu_vcpu_destroy(&vcpu->mmu);
	vlm_vmx_vcpu_destroy(&vcpu->vmx);
	vlm_fpu_destroy(vcpu);
	vlm_cpuid_free(vcpu);
	free_pages_of(vcpu);
	/* Its pages too are counted each on its own. */
	vfree(v->ring.entries);
	kvfree(vcpu);
}

static struct vlm_vcpu *allocate(struct vlm_vm *vm, u32 id)
{
	struct vlm_vcpu *vcpu;
	int err = -ENOMEM;

	vcpu = kvzalloc(sizeof(*vcpu), GFP_KERNEL_ACCOUNT);
	if (!vcpu)
		return ERR_PTR(-ENOMEM);
	vcpu->head.vm = vm;
	vcpu->head.id = id;
	vcpu->head.cpu = -1;
	vcpu->head.mode = VLM_OUTSIDE_GUEST;
	vcpu->last_cpu = -1;
	vcpu->events.user_irq = -1;
	vcpu->cpuid.maxphyaddr = vlm_host_maxphyaddr();
	vcpu->cpuid.xcr0 = vlm_supported_xcr0();
	rcuwait_init(&vcpu->head.wait);
	mutex_init(&vcpu->lock);
	preempt_notifier_init(&vcpu->notifier, &preempt_ops);

	vcpu->run_page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	vcpu->pio_page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	vcpu->ring_page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!vcpu->run_page || !vcpu->pio_page || !vcpu->ring_page)
		goto err_pages;
	vcpu->run = page_address(vcpu->run_page);
	vcpu->pio_data = page_address(vcpu->pio_page);

	err = vlm_fpu_init(vcpu);
	if (err)
		goto err_pages;
	err = vlm_vmx_vcpu_init(&vcpu->vmx, vcpu->regs);
	if (err)
		goto err_fpu;
	err = vlm_mmu_vcpu_init(&vcpu->mmu, &vm->mmu);
	if (err)
		goto err_vmx;
	vcpu->mmu.id = id;
	err = vlm_vcpu_shadow_init(vcpu);
	if (err)
		goto err_mmu;
	vlm_vcpu_stat_blocks(vcpu, vcpu->head.stats);
	return vcpu;

err_mmu:
	vlm_mmu_vcpu_destroy(&vcpu->mmu);
err_vmx:
	vlm_vmx_vcpu_destroy(&vcpu->vmx);
err_fpu:
	vlm_fpu_destroy(vcpu);
err_pages:
	free_pages_of(vcpu);
	kvfree(vcpu);
	return ERR_PTR(err);
}

static int create_ring(struct vlm_vm *vm, struct vlm_vcpu *vcpu)
{
	u32 bytes = vm->dirty_ring_bytes;
	void *entries;

	if (!bytes)
		return 0;
	entries = __vmalloc(bytes, GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!entries)
		return -ENOMEM;
	vlm_dirty_ring_init(&vcpu->head.ring, entries, bytes / sizeof(struct vlm_dirty_entry));
	return 0;
}

/* Give the vCPU its place in the machine. The last step that can fail, and the point of no return. */
static int publish(struct vlm_vm *vm, struct vlm_vcpu *vcpu)
{
	u32 idx = vm->nr_vcpus;
	int err;

	if (idx >= VLM_MAX_VCPUS || vcpu->head.id >= vm->max_vcpu_id)
		return -EINVAL;
	if (vlm_vm_vcpu_by_id(vm, vcpu->head.id))
		return -EEXIST;
	vcpu->head.idx = idx;
	err = create_ring(vm, vcpu);
	if (err)
		return err;
	if (vm->irqchip || vm->split_irqchip) {
		err = vlm_lapic_create(&vcpu->head);
		if (err)
			return err;
	}
	vcpu->mp_state = KVM_MP_STATE_RUNNABLE;
	if (vlm_has_lapic(vcpu) && vcpu->head.id != vm->bsp_id)
		vcpu->mp_state = KVM_MP_STATE_UNINITIALIZED;

	load(vcpu);
	vlm_msrs_init(vcpu);
	vlm_tsc_init(vcpu);
	vlm_vcpu_reset(vcpu, false);
	put(vcpu);

	err = xa_insert(&vm->vcpus, idx, &vcpu->head, GFP_KERNEL_ACCOUNT);
	if (err)
		return err;
	smp_store_release(&vm->nr_vcpus, idx + 1);
	return 0;
}

struct vlm_vcpu *vlm_vcpu_create(struct vlm_vm *vm, u32 id)
{
	struct vlm_vcpu *vcpu;
	int err;

	if (id >= VLM_MAX_VCPU_IDS)
		return ERR_PTR(-EINVAL);
	vcpu = allocate(vm, id);
	if (IS_ERR(vcpu))
		return vcpu;
	mutex_lock(&vm->lock);
	err = publish(vm, vcpu);
	mutex_unlock(&vm->lock);
	if (err) {
		destroy(&vcpu->head);
		return ERR_PTR(err);
	}
	vlm_reclaimer_start(vm);
	return vcpu;
}

struct vlm_vm *vlm_vcpu_vm(struct vlm_vcpu *vcpu)
{
	return vcpu->head.vm;
}

u32 vlm_vcpu_id(struct vlm_vcpu *vcpu)
{
	return vcpu->head.id;
}

bool vlm_vcpu_mmap_has_ring(struct vlm_vcpu *vcpu, unsigned long pgoff, unsigned long pages)
{
	unsigned long ring_pages = vcpu->head.ring.size * sizeof(struct vlm_dirty_entry) / PAGE_SIZE;

	return ring_pages && pgoff < KVM_DIRTY_LOG_PAGE_OFFSET + ring_pages &&
	       pgoff + pages > KVM_DIRTY_LOG_PAGE_OFFSET;
}

struct page *vlm_vcpu_mmap_page(struct vlm_vcpu *vcpu, unsigned long pgoff)
{
	if (vlm_vcpu_mmap_has_ring(vcpu, pgoff, 1))
		return vmalloc_to_page((void *)vcpu->head.ring.entries +
				       (pgoff - KVM_DIRTY_LOG_PAGE_OFFSET) * PAGE_SIZE);
	switch (pgoff) {
	case 0:
		return vcpu->run_page;
	case 1:
		return vcpu->pio_page;
	case 2:
		return vcpu->ring_page;
	default:
		return NULL;
	}
}

static const struct vlm_vcpu_ops vcpu_ops = {
	.destroy = destroy,
};

int vlm_vcpu_module_init(void)
{
	vlm_fpu_module_init();
	vlm_cpuid_module_init();
	vlm_msr_module_init();
	vlm_vm_set_vcpu_ops(&vcpu_ops);
	preempt_notifier_inc();
	return 0;
}

void vlm_vcpu_module_exit(void)
{
	preempt_notifier_dec();
}
