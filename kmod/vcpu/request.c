// SPDX-License-Identifier: GPL-2.0-only
/* Kicks: make a vCPU look at its requests soon, wherever it is. */

#include <linux/smp.h>

#include "compat/compat.h"

#include "request.h"

void vlm_vcpu_kick(struct vlm_vcpu_head *v)
{
	int me, cpu;

	if (rcuwait_wake_up(&v->wait))
		return;

	/*
	 * Pairs with the barrier in enter_guest(): either the request that was
	 * set before this call is seen there, or the mode is IN_GUEST here.
	 * Whoever moves it to EXITING sends the only interrupt.
	 */
	me = get_cpu();
	if (cmpxchg(&v->mode, VLM_IN_GUEST, VLM_EXITING) == VLM_IN_GUEST) {
		/* Stable as long as the vCPU is in the guest, harmless later. */
		cpu = READ_ONCE(v->cpu);
		if (cpu != me && cpu >= 0)
			vlm_compat_send_reschedule(cpu);
	}
	put_cpu();
}

void vlm_vcpu_post_event(struct vlm_vcpu_head *v, enum vlm_event event)
{
	smp_mb__before_atomic();
	set_bit(event, &v->events);
	vlm_request_set(v, VLM_REQ_EVENT);
	vlm_vcpu_kick(v);
}
