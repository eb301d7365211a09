// SPDX-License-Identifier: GPL-2.0-only
/* KVM_GET/SET_VCPU_EVENTS, KVM_INTERRUPT, KVM_NMI. */

#include <linux/string.h>

#include <asm/vmx.h>

#include "private.h"

static u8 shadow_of(struct vlm_vcpu *vcpu)
{
	u32 state = vlm_vmx_interruptibility(&vcpu->vmx);
	u8 shadow = 0;

	if (state & GUEST_INTR_STATE_STI)
		shadow |= KVM_X86_SHADOW_INT_STI;
	if (state & GUEST_INTR_STATE_MOV_SS)
		shadow |= KVM_X86_SHADOW_INT_MOV_SS;
	return shadow;
}

int vlm_vcpu_get_events(struct vlm_vcpu *vcpu, struct kvm_vcpu_events *ev)
{
	struct vlm_exception *ex = &vcpu->events.ex;
	bool payload = READ_ONCE(vcpu->head.vm->exception_payload);

	vlm_take_nmi_requests(vcpu);
	/* A user space that does not know payloads gets their effect at once. */
	if (!payload && ex->pending)
		vlm_exception_apply_payload(vcpu);

	memset(ev, 0, sizeof(*ev));
	/* Soft exceptions are raised again by their instruction. */
	if (!ex->soft) {
		ev->exception.injected = ex->injected;
		ev->exception.pending = ex->pending;
		/* Without the capability, pending is shown as injected. */
		if (!payload) {
			ev->exception.injected |= ex->pending;
			ev->exception.pending = ex->pending;
		}
	}
	ev->exception.nr = ex->vector;
	ev->exception.has_error_code = ex->has_error;
	ev->exception.error_code = ex->error;
	ev->exception_has_payload = ex->has_payload;
	ev->exception_payload = ex->payload;

	ev->interrupt.injected = vcpu->events.irq_injected && !vcpu->events.irq_soft;
	ev->interrupt.nr = vcpu->events.irq_vector;
	if (vcpu->events.user_irq >= 0 && !ev->interrupt.injected) {
		ev->interrupt.injected = 1;
		ev->interrupt.nr = vcpu->events.user_irq;
	}
	ev->interrupt.shadow = shadow_of(vcpu);

	ev->nmi.injected = vcpu->events.nmi_injected;
	ev->nmi.pending = vcpu->events.nmi_pending;
	ev->nmi.masked = !!(vlm_vmx_interruptibility(&vcpu->vmx) & GUEST_INTR_STATE_NMI);
	ev->smi.latched_init = test_bit(VLM_EVENT_INIT, &vcpu->head.events);

	ev->flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
	if (payload)
		ev->flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
	return 0;
}

#define KNOWN_FLAGS (KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SIPI_VECTOR | \
		     KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_SMM | \
		     KVM_VCPUEVENT_VALID_PAYLOAD)

static int check_events(struct vlm_vcpu *vcpu, const struct kvm_vcpu_events *ev)
{
	bool payload = ev->flags & KVM_VCPUEVENT_VALID_PAYLOAD;

	if (ev->flags & ~KNOWN_FLAGS)
		return -EINVAL;
	if (payload && !READ_ONCE(vcpu->head.vm->exception_payload))
		return -EINVAL;
	if (payload && ev->exception.pending && ev->exception.injected)
		return -EINVAL;
	if ((ev->exception.injected || ev->exception.pending) &&
	    (ev->exception.nr > 31 || ev->exception.nr == VLM_NMI))
		return -EINVAL;
	/* There is no system-management mode. */
	if ((ev->flags & KVM_VCPUEVENT_VALID_SMM) &&
	    (ev->smi.smm || ev->smi.pending || ev->smi.smm_inside_nmi))
		return -EINVAL;
	return 0;
}

static void set_interruptibility(struct vlm_vcpu *vcpu, const struct kvm_vcpu_events *ev)
{
	u32 state = vlm_vmx_interruptibility(&vcpu->vmx) & ~GUEST_INTR_STATE_NMI;

	if (ev->nmi.masked)
		state |= GUEST_INTR_STATE_NMI;
	if (ev->flags & KVM_VCPUEVENT_VALID_SHADOW) {
		state &= ~(GUEST_INTR_STATE_STI | GUEST_INTR_STATE_MOV_SS);
		/* Both at once would make the entry fail. */
		if (ev->interrupt.shadow & KVM_X86_SHADOW_INT_MOV_SS)
			state |= GUEST_INTR_STATE_MOV_SS;
		else if (ev->interrupt.shadow & KVM_X86_SHADOW_INT_STI)
			state |= GUEST_INTR_STATE_STI;
	}
	vlm_vmx_set_interruptibility(&vcpu->vmx, state);
}

int vlm_vcpu_set_events(struct vlm_vcpu *vcpu, struct kvm_vcpu_events *ev)
{
	bool payload = ev->flags & KVM_VCPUEVENT_VALID_PAYLOAD;
	struct vlm_events *events = &vcpu->events;
	int err = check_events(vcpu, ev);

	if (err)
		return err;
	vlm_take_nmi_requests(vcpu);
	events->ex = (struct vlm_exception){
		.injected = ev->exception.injected,
		.pending = payload && ev->exception.pending,
		.vector = ev->exception.nr,
		.has_error = ev->exception.has_error_code,
		.error = ev->exception.error_code,
		.has_payload = payload && ev->exception_has_payload,
		.payload = payload ? ev->exception_payload : 0,
	};
	events->irq_injected = ev->interrupt.injected;
	events->irq_vector = ev->interrupt.nr;
	events->irq_soft = ev->interrupt.soft;
	/* INT n: the only instruction that user space can mean. */
	events->irq_insn_len = 2;
	events->user_irq = -1;
	events->nmi_injected = ev->nmi.injected;
	if (ev->flags & KVM_VCPUEVENT_VALID_NMI_PENDING)
		events->nmi_pending = min_t(u8, ev->nmi.pending, 2);
	set_interruptibility(vcpu, ev);
	if ((ev->flags & KVM_VCPUEVENT_VALID_SIPI_VECTOR) && vlm_has_lapic(vcpu))
		vcpu->head.sipi_vector = ev->sipi_vector;
	if ((ev->flags & KVM_VCPUEVENT_VALID_SMM) && vlm_has_lapic(vcpu)) {
		if (ev->smi.latched_init)
			set_bit(VLM_EVENT_INIT, &vcpu->head.events);
		else
			clear_bit(VLM_EVENT_INIT, &vcpu->head.events);
	}
	vlm_request_set(&vcpu->head, VLM_REQ_EVENT);
	return 0;
}

int vlm_vcpu_interrupt(struct vlm_vcpu *vcpu, struct kvm_interrupt *irq)
{
	if (irq->irq >= KVM_NR_INTERRUPTS)
		return -EINVAL;
	if (vcpu->head.vm->irqchip)
		return -ENXIO;
	if (vcpu->events.user_irq >= 0)
		return -EEXIST;
	vcpu->events.user_irq = irq->irq;
	vlm_request_set(&vcpu->head, VLM_REQ_EVENT);
	return 0;
}

int vlm_vcpu_nmi(struct vlm_vcpu *vcpu)
{
	vlm_vcpu_post_event(&vcpu->head, VLM_EVENT_NMI);
	return 0;
}
