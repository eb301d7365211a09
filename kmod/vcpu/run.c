// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_RUN: requests, events, entry, exit, again. See kmod/README.md for the walk
 * through this file in running order.
 */

#include <linux/irqflags.h>
#include <linux/sched/signal.h>

#include <asm/processor-flags.h>

#include "compat/compat.h"
#include "compat/run_page.h"

#include "trace.h"

#include "private.h"

/* Load the current root. A changed one has its own tag, but stale entries may carry it too. */
static int reload_root(struct vlm_vcpu *vcpu)
{
	int changed;

	if (vlm_is_shadowed(vcpu))
		return vlm_shadow_reload(vcpu);
	changed = vlm_mmu_reload(&vcpu->mmu);
	if (changed < 0) {
		vlm_request_set(&vcpu->head, VLM_REQ_MMU_RELOAD);
		return changed;
	}
	if (changed) {
		vlm_vmx_set_eptp(&vcpu->vmx, vlm_mmu_vcpu_eptp(&vcpu->mmu));
		vlm_request_set(&vcpu->head, VLM_REQ_TLB_FLUSH);
	}
	return 0;
}

/* Returns a step. */
static int handle_requests(struct vlm_vcpu *vcpu)
{
	struct vlm_vcpu_head *v = &vcpu->head;
	int err;

	if (vlm_request_test(v, VLM_REQ_VM_DEAD))
		return -EIO;
	if (vlm_request_take(v, VLM_REQ_MMU_RELOAD)) {
		err = reload_root(vcpu);
		if (err)
			return err;
	}
	if (vlm_request_take(v, VLM_REQ_CLOCK))
		vlm_tsc_apply(vcpu);
	if (vlm_request_take(v, VLM_REQ_TLB_FLUSH)) {
		vlm_vcpu_count(vcpu, VLM_VCPU_TLB_FLUSH);
		if (!vlm_is_shadowed(vcpu))
			vlm_vmx_flush_ept(&vcpu->vmx, vlm_mmu_vcpu_eptp(&vcpu->mmu));
		vlm_vmx_flush_vpid(&vcpu->vmx);
	}
	/* The exit that they asked for has happened; events are looked at on every round. */
	vlm_request_take(v, VLM_REQ_KICK);
	vlm_request_take(v, VLM_REQ_SCAN_IOAPIC);
	if (vlm_request_take(v, VLM_REQ_EVENT)) {
		vlm_vcpu_count(vcpu, VLM_VCPU_REQ_EVENT);
		vlm_accept_init_sipi(vcpu);
	}
	return VLM_RESUME;
}

/* Keep what the CPU logged while the guest ran. IRQs off. */
static noinline void drain_pml(struct vlm_vcpu *vcpu)
{
	unsigned int n;
	const u64 *gpas;

	BUILD_BUG_ON(VLM_PML_ENTRIES != VLM_HARDWARE_LOG);
	vlm_srcu_enter(vcpu);
	n = vlm_vmx_pml_entries(&vcpu->vmx, &gpas);
	vlm_dirty_log_drain(&vcpu->mmu, gpas, n);
	vlm_vmx_pml_reset(&vcpu->vmx);
	vlm_srcu_leave(vcpu);
}

/*
 * The entry itself. Returns false if something came up at the last moment: the
 * caller starts over. SRCU is not held here, so that a guest that never exits does
 * not keep memslot updates waiting.
 */
static bool enter_guest(struct vlm_vcpu *vcpu)
{
	struct vlm_vcpu_head *v = &vcpu->head;

	vlm_srcu_leave(vcpu);
	local_irq_disable();
	/* Pairs with vlm_vcpu_kick() and vlm_vm_request_all(): mode first, then requests. */
	WRITE_ONCE(v->mode, VLM_IN_GUEST);
	smp_mb();
	if (vlm_request_any(v) || vlm_compat_guest_work_pending()) {
		WRITE_ONCE(v->mode, VLM_OUTSIDE_GUEST);
		local_irq_enable();
		vlm_srcu_enter(vcpu);
		return false;
	}
	vlm_fpu_enter(vcpu);
	vlm_dr_enter(vcpu);
	if (trace_vlm_entry_enabled())
		trace_vlm_entry(v->id, vlm_vmx_rip(&vcpu->vmx));
	vlm_compat_guest_timing_enter();

	vlm_vmx_enter(&vcpu->vmx, &vcpu->exit);

	/* Before the mode: who waits for the guest to be left relies on the dirty logs then. */
	if (!vlm_vmx_pml_is_empty(&vcpu->vmx))
		drain_pml(vcpu);
	smp_store_release(&v->mode, VLM_OUTSIDE_GUEST);
	vlm_dr_leave(vcpu);
	vlm_fpu_leave(vcpu);
	/*
	 * Take the interrupt that caused the exit while time is still the guest's. STI
	 * keeps interrupts out for one more instruction: put one there.
	 */
	local_irq_enable();
	asm volatile("nop");
	local_irq_disable();
	vlm_compat_guest_timing_exit();
	local_irq_enable();
	vlm_srcu_enter(vcpu);
	return true;
}

/* One visit to the guest, by the CPU. Returns a step. */
static int visit(struct vlm_vcpu *vcpu)
{
	int step = vlm_events_inject(vcpu);

	if (step != VLM_RESUME)
		return step;
	if (!enter_guest(vcpu)) {
		/* Delivered by the next round, from the "injected" marks. */
		vlm_vmx_cancel_injection(&vcpu->vmx);
		return VLM_RESUME;
	}
	vcpu->cpuid.frozen = true;
	vlm_vcpu_count(vcpu, VLM_VCPU_EXITS);
	if (trace_vlm_exit_enabled())
		trace_vlm_exit(vcpu->head.id, vlm_vmx_rip(&vcpu->vmx), vcpu->exit.reason,
			       vcpu->exit.qualification, vcpu->exit.gpa);
	vlm_events_after_exit(vcpu);
	return vlm_handle_exit(vcpu);
}

/* One round for a vCPU that can run. Returns a step. */
static int run_once(struct vlm_vcpu *vcpu)
{
	int step;

	if (vlm_request_any(&vcpu->head)) {
		step = handle_requests(vcpu);
		if (step != VLM_RESUME || !vlm_runnable(vcpu))
			return step;
	}
	if (vlm_dirty_ring_is_full(&vcpu->head.ring)) {
		vcpu->run->exit_reason = KVM_EXIT_DIRTY_RING_FULL;
		return VLM_TO_USER;
	}
	step = vlm_vmx_can_run(&vcpu->vmx) ? visit(vcpu) : vlm_run_emulated(vcpu);
	if (step == VLM_RESUME && vlm_user_irq_wanted(vcpu) && vlm_user_irq_ready(vcpu)) {
		vlm_vcpu_count(vcpu, VLM_VCPU_REQUEST_IRQ_EXITS);
		vcpu->run->exit_reason = KVM_EXIT_IRQ_WINDOW_OPEN;
		return VLM_TO_USER;
	}
	return step;
}

static int pending_work(struct vlm_vcpu *vcpu)
{
	int err;

	if (!vlm_compat_guest_work_pending())
		return VLM_RESUME;
	vlm_srcu_leave(vcpu);
	err = vlm_compat_guest_work();
	vlm_srcu_enter(vcpu);
	if (!err)
		return VLM_RESUME;
	vlm_vcpu_count(vcpu, VLM_VCPU_SIGNAL_EXITS);
	vcpu->run->exit_reason = KVM_EXIT_INTR;
	return err;
}

/* THE loop. */
static int run_loop(struct vlm_vcpu *vcpu)
{
	int step;

	do {
		step = vlm_runnable(vcpu) ? run_once(vcpu) : vlm_block(vcpu);
		if (step == VLM_RESUME)
			step = pending_work(vcpu);
	} while (step > 0);
	return step;
}

/* An application processor that waits for its start-up: KVM's answer is EAGAIN. */
static int wait_for_startup(struct vlm_vcpu *vcpu)
{
	int step;

	if (vlm_run_immediate_exit(vcpu->run))
		return -EINTR;
	vlm_srcu_enter(vcpu);
	step = vlm_block(vcpu);
	vlm_srcu_leave(vcpu);
	return step < 0 ? step : -EAGAIN;
}

static void leave(struct vlm_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	run->if_flag = !!(vlm_vmx_rflags(&vcpu->vmx) & X86_EFLAGS_IF);
	run->flags = 0;
	run->cr8 = vlm_get_cr8(vcpu);
	run->apic_base = vlm_apic_base(vcpu);
	run->ready_for_interrupt_injection = vlm_user_irq_ready(vcpu);
	vlm_sync_regs_store(vcpu);
}

static int run_prepared(struct vlm_vcpu *vcpu)
{
	int step;

	step = vlm_sync_regs_load(vcpu);
	if (step)
		return step;
	if (!vlm_has_lapic(vcpu) && vlm_set_cr8(vcpu, vcpu->run->cr8))
		return -EINVAL;

	vlm_srcu_enter(vcpu);
	step = vlm_user_io_complete(vcpu);
	if (step == VLM_RESUME) {
		if (vlm_run_immediate_exit(vcpu->run))
			step = -EINTR;
		else
			step = run_loop(vcpu);
	}
	vlm_srcu_leave(vcpu);
	return step;
}

int vlm_vcpu_run(struct vlm_vcpu *vcpu)
{
	int ret;

	/*
	 * The kernel must know which signals are blocked as soon as the call returns: one
	 * without a handler would otherwise kill the process at once.
	 */
	if (vcpu->sigmask_set)
		sigprocmask(SIG_SETMASK, &vcpu->sigmask, &current->real_blocked);
	vlm_fpu_load(vcpu);
	vcpu->run->flags = 0;

	/* The application writes this page at any time: from here on it is only written to. */
	if (vcpu->mp_state == KVM_MP_STATE_UNINITIALIZED) {
		ret = wait_for_startup(vcpu);
	} else {
		ret = vlm_sync_regs_check(vcpu->run);
		if (!ret)
			ret = run_prepared(vcpu);
	}
	leave(vcpu);
	vlm_fpu_put(vcpu);
	if (vcpu->sigmask_set) {
		sigprocmask(SIG_SETMASK, &current->real_blocked, NULL);
		sigemptyset(&current->real_blocked);
	}
	/*
	 * The kernel restarts the call only with this flag set, and putting the caller's
	 * signal mask back clears it.
	 */
	if (ret == -ERESTARTNOHAND)
		set_thread_flag(TIF_SIGPENDING);
	return ret;
}
