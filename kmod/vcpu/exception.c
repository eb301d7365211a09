// SPDX-License-Identifier: GPL-2.0-only
/* Exceptions that emulation raises: at most one waits, a second one merges with it. */

#include "private.h"

enum fault_class { BENIGN, CONTRIBUTORY, PAGE_FAULT };

static enum fault_class class_of(u8 vector)
{
	switch (vector) {
	case VLM_PF:
	case VLM_VE:
		return PAGE_FAULT;
	case VLM_DE:
	case VLM_TS:
	case VLM_NP:
	case VLM_SS:
	case VLM_GP:
	case VLM_CP:
		return CONTRIBUTORY;
	default:
		return BENIGN;
	}
}

/* SDM "Interrupt 8 - Double Fault Exception", table of conditions. */
static bool makes_double_fault(u8 first, u8 second)
{
	if (class_of(first) == PAGE_FAULT)
		return class_of(second) != BENIGN;
	return class_of(first) == CONTRIBUTORY && class_of(second) == CONTRIBUTORY;
}

static void queue(struct vlm_vcpu *vcpu, const struct vlm_exception *next)
{
	struct vlm_exception *ex = &vcpu->events.ex;

	vlm_request_set(&vcpu->head, VLM_REQ_EVENT);
	if (ex->pending || ex->injected) {
		if (ex->vector == VLM_DF && class_of(next->vector) != BENIGN) {
			ex->pending = false;
			ex->injected = false;
			vcpu->events.triple_fault = true;
			return;
		}
		if (makes_double_fault(ex->vector, next->vector)) {
			*ex = (struct vlm_exception){
				.pending = true, .vector = VLM_DF, .has_error = true,
			};
			return;
		}
		/* Serial: the second first, the instruction raises the other one again. */
	}
	*ex = *next;
	ex->pending = true;
	ex->injected = false;
}

void vlm_raise(struct vlm_vcpu *vcpu, u8 vector)
{
	queue(vcpu, &(struct vlm_exception){ .vector = vector });
}

void vlm_raise_error(struct vlm_vcpu *vcpu, u8 vector, u32 error)
{
	queue(vcpu, &(struct vlm_exception){
		.vector = vector, .has_error = true, .error = error,
	});
}

void vlm_raise_pf(struct vlm_vcpu *vcpu, u64 address, u32 error)
{
	queue(vcpu, &(struct vlm_exception){
		.vector = VLM_PF, .has_error = true, .error = error,
		.has_payload = true, .payload = address,
	});
}

void vlm_raise_db(struct vlm_vcpu *vcpu, u64 dr6_bits)
{
	queue(vcpu, &(struct vlm_exception){
		.vector = VLM_DB, .has_payload = true, .payload = dr6_bits,
	});
}

void vlm_exception_apply_payload(struct vlm_vcpu *vcpu)
{
	struct vlm_exception *ex = &vcpu->events.ex;

	if (!ex->has_payload)
		return;
	if (ex->vector == VLM_PF) {
		vlm_vmx_set_cr2(&vcpu->vmx, ex->payload);
	} else if (ex->vector == VLM_DB) {
		/* B0-B3 are replaced, the others stay until software clears them. */
		vcpu->debug.dr6 &= ~0xfull;
		/* Causes that DR6 reports by a zero bit are active high in the payload. */
		vcpu->debug.dr6 |= VLM_DR6_ACTIVE_LOW | (ex->payload & ~VLM_DR6_ACTIVE_LOW);
		vcpu->debug.dr6 &= ~(ex->payload & VLM_DR6_ACTIVE_LOW);
	}
	ex->has_payload = false;
	ex->payload = 0;
}
