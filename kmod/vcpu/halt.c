// SPDX-License-Identifier: GPL-2.0-only
/* Halted and waiting vCPUs. */

#include <linux/ktime.h>
#include <linux/rcuwait.h>
#include <linux/sched/signal.h>

#include "private.h"

int vlm_exit_hlt(struct vlm_vcpu *vcpu)
{
	int step = vlm_skip_insn(vcpu);

	if (step != VLM_RESUME)
		return step;
	return vlm_halt(vcpu);
}

int vlm_halt(struct vlm_vcpu *vcpu)
{
	vlm_vcpu_count(vcpu, VLM_VCPU_HALT_EXITS);
	if (!vlm_has_lapic(vcpu)) {
		vcpu->run->exit_reason = KVM_EXIT_HLT;
		return VLM_TO_USER;
	}
	vcpu->mp_state = KVM_MP_STATE_HALTED;
	return VLM_RESUME;
}

/* A reason to leave the halted state. Reads only: the caller may be about to sleep. */
static bool wakes(struct vlm_vcpu *vcpu)
{
	const struct vlm_events *ev = &vcpu->events;
	unsigned long events = READ_ONCE(vcpu->head.events);

	if (vcpu->mp_state != KVM_MP_STATE_HALTED)
		return events & (BIT(VLM_EVENT_INIT) | BIT(VLM_EVENT_SIPI));
	if (events & (BIT(VLM_EVENT_INIT) | BIT(VLM_EVENT_SIPI)))
		return true;
	if (ev->ex.pending || ev->ex.injected || ev->triple_fault)
		return true;
	if ((ev->nmi_pending || (events & BIT(VLM_EVENT_NMI))) && vlm_nmi_allowed(vcpu))
		return true;
	return vlm_irq_allowed(vcpu) && (ev->user_irq >= 0 || vlm_irq_wakes(&vcpu->head));
}

bool vlm_runnable(struct vlm_vcpu *vcpu)
{
	return vcpu->mp_state == KVM_MP_STATE_RUNNABLE;
}

/* Sleep until something wakes the vCPU. Returns false for a signal. */
static bool sleep_until_woken(struct vlm_vcpu *vcpu)
{
	u64 *blocking = &vcpu->stats.v[VLM_VCPU_BLOCKING];
	struct rcuwait *wait = &vcpu->head.wait;
	u64 start = ktime_get_ns();
	bool woken = true;

	WRITE_ONCE(*blocking, 1);
	prepare_to_rcuwait(wait);
	for (;;) {
		set_current_state(TASK_INTERRUPTIBLE);
		if (wakes(vcpu) || vlm_request_test(&vcpu->head, VLM_REQ_VM_DEAD))
			break;
		if (signal_pending(current)) {
			woken = false;
			break;
		}
		schedule();
	}
	finish_rcuwait(wait);
	WRITE_ONCE(*blocking, 0);
	vlm_vcpu_count_wait(vcpu, ktime_get_ns() - start);
	if (woken)
		vlm_vcpu_count(vcpu, VLM_VCPU_HALT_WAKEUP);
	return woken;
}

int vlm_block(struct vlm_vcpu *vcpu)
{
	bool woken;

	if (!wakes(vcpu)) {
		/* Memslot updates must not wait for a guest that sleeps. */
		vlm_srcu_leave(vcpu);
		woken = sleep_until_woken(vcpu);
		vlm_srcu_enter(vcpu);
		if (!woken) {
			vlm_vcpu_count(vcpu, VLM_VCPU_SIGNAL_EXITS);
			vcpu->run->exit_reason = KVM_EXIT_INTR;
			return -EINTR;
		}
		if (vlm_request_test(&vcpu->head, VLM_REQ_VM_DEAD))
			return -EIO;
	}
	if (vcpu->mp_state == KVM_MP_STATE_HALTED)
		vcpu->mp_state = KVM_MP_STATE_RUNNABLE;
	vlm_accept_init_sipi(vcpu);
	return VLM_RESUME;
}

/* SDM "MP Initialization Protocol": INIT resets, a start-up IPI sets CS and lets run. */
void vlm_accept_init_sipi(struct vlm_vcpu *vcpu)
{
	struct vlm_vcpu_head *v = &vcpu->head;
	struct kvm_segment cs = {
		.limit = 0xffff, .type = 0xb, .present = 1, .s = 1,
	};

	if (test_and_clear_bit(VLM_EVENT_INIT, &v->events)) {
		vlm_vcpu_reset(vcpu, true);
		if (v->id == v->vm->bsp_id)
			vcpu->mp_state = KVM_MP_STATE_RUNNABLE;
		else
			vcpu->mp_state = KVM_MP_STATE_INIT_RECEIVED;
	}
	if (test_and_clear_bit(VLM_EVENT_SIPI, &v->events)) {
		/* Ignored unless it was waited for. */
		if (vcpu->mp_state != KVM_MP_STATE_INIT_RECEIVED)
			return;
		smp_rmb();
		cs.selector = READ_ONCE(v->sipi_vector) << 8;
		cs.base = (u64)READ_ONCE(v->sipi_vector) << 12;
		vlm_vmx_set_segment(&vcpu->vmx, VLM_SEG_CS, &cs);
		vlm_vmx_set_rip(&vcpu->vmx, 0);
		vcpu->mp_state = KVM_MP_STATE_RUNNABLE;
	}
}
