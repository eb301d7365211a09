// SPDX-License-Identifier: GPL-2.0-only
/* From a message to the local APICs that accept it. SDM "Interrupt Distribution Mechanisms". */

#include "chip.h"

int vlm_lapic_receive(struct vlm_vcpu_head *v, const struct vlm_apic_msg *msg, bool *fresh)
{
	struct vlm_lapic_regs *r = &v->lapic->regs;
	bool posted;

	switch (msg->mode) {
	case VLM_APIC_FIXED:
	case VLM_APIC_LOWEST:
		if (!vlm_lapic_is_enabled(r))
			return -1;
		posted = vlm_lapic_regs_post(r, msg->vector, msg->trig);
		if (posted || READ_ONCE(r->errors))
			vlm_irq_notify(v);
		if (fresh)
			*fresh |= posted;
		return 1;
	case VLM_APIC_SMI:
		vlm_vcpu_post_event(v, VLM_EVENT_SMI);
		return 1;
	case VLM_APIC_NMI:
		vlm_vcpu_post_event(v, VLM_EVENT_NMI);
		return 1;
	case VLM_APIC_INIT:
		/* The level de-assert message only synchronised arbitration IDs once. */
		if (msg->trig && !msg->level)
			return 0;
		/* INIT ends a wait for SIPI that was not served yet. */
		clear_bit(VLM_EVENT_SIPI, &v->events);
		vlm_vcpu_post_event(v, VLM_EVENT_INIT);
		return 1;
	case VLM_APIC_STARTUP:
		WRITE_ONCE(v->sipi_vector, msg->vector);
		smp_wmb();	/* the vCPU reads the vector after it took the event */
		vlm_vcpu_post_event(v, VLM_EVENT_SIPI);
		return 1;
	default:	/* remote read is gone; ExtINT reaches an APIC through its LINT0 only */
		return 0;
	}
}

static bool is_candidate(struct vlm_vcpu_head *v, struct vlm_vcpu_head *from,
			 const struct vlm_apic_msg *msg)
{
	if (!v->lapic)
		return false;
	switch (msg->shorthand) {
	case VLM_APIC_TO_ALL:
		return vlm_lapic_is_hw_enabled(&v->lapic->regs);
	case VLM_APIC_TO_OTHERS:
		return v != from && vlm_lapic_is_hw_enabled(&v->lapic->regs);
	default:
		return vlm_lapic_regs_match(&v->lapic->regs, msg);
	}
}

/* The usual case: one physical destination, and the vCPU stands where its ID says. */
static struct vlm_vcpu_head *single_target(struct vlm_vm *vm, const struct vlm_apic_msg *msg)
{
	struct vlm_vcpu_head *v;

	if (msg->logical || msg->dest == VLM_X2APIC_BROADCAST || msg->dest == VLM_APIC_BROADCAST)
		return NULL;
	v = vlm_vm_vcpu(vm, msg->dest);
	if (!v || !v->lapic || v->id != msg->dest || !vlm_lapic_regs_match(&v->lapic->regs, msg))
		return NULL;
	/* Another xAPIC may have been given the same ID. Leave that to the full scan. */
	return vlm_lapic_is_x2apic(&v->lapic->regs) ? v : NULL;
}

/*
 * Lowest priority: processors since the Pentium 4 leave the choice to the chipset.
 * Spread by vector, so that a device keeps its CPU and different devices get
 * different ones.
 */
static struct vlm_vcpu_head *arbitrate(struct vlm_vm *vm, struct vlm_vcpu_head *from,
				       const struct vlm_apic_msg *msg)
{
	struct vlm_vcpu_head *v;
	u32 n = 0;
	u32 i;

	vlm_vm_for_each_vcpu(vm, v, i)
		if (is_candidate(v, from, msg) && vlm_lapic_is_enabled(&v->lapic->regs))
			n++;
	if (!n)
		return NULL;
	n = msg->vector % n;
	vlm_vm_for_each_vcpu(vm, v, i)
		if (is_candidate(v, from, msg) && vlm_lapic_is_enabled(&v->lapic->regs) && !n--)
			return v;
	/* Somebody left between the passes. */
	return NULL;
}

int vlm_apic_deliver(struct vlm_vm *vm, struct vlm_vcpu_head *from, const struct vlm_apic_msg *msg,
		     bool *fresh)
{
	struct vlm_vcpu_head *v;
	int result = -1;
	u32 i;

	if (msg->shorthand == VLM_APIC_TO_SELF)
		return from && from->lapic ? vlm_lapic_receive(from, msg, fresh) : -1;
	if (msg->shorthand == VLM_APIC_TO_DEST) {
		v = single_target(vm, msg);
		if (v)
			return vlm_lapic_receive(v, msg, fresh);
	}
	if (msg->mode == VLM_APIC_LOWEST) {
		v = arbitrate(vm, from, msg);
		return v ? vlm_lapic_receive(v, msg, fresh) : -1;
	}
	vlm_vm_for_each_vcpu(vm, v, i) {
		int one;

		if (!is_candidate(v, from, msg))
			continue;
		one = vlm_lapic_receive(v, msg, fresh);
		if (one >= 0)
			result = one + (result < 0 ? 0 : result);
	}
	return result;
}
