// SPDX-License-Identifier: GPL-2.0-only
/*
 * Timer of the local APIC. SDM "APIC Timer". The count is not kept but computed
 * from the moment when it will be 0.
 */
#include "lapic_regs.h"

u32 vlm_lapic_timer_divisor(const struct vlm_lapic_regs *r)
{
	u32 tdcr = vlm_lapic_reg(r, VLM_LAPIC_TDCR);
	u32 code = (tdcr & 3) | (tdcr & 8) >> 1;

	/* Codes 0 to 6 divide by 2 to 128, code 7 by 1. */
	return 1u << ((code + 1) & 7);
}

/* Length of @count in ns, at most 2^39. */
static u64 count_to_ns(const struct vlm_lapic_regs *r, u32 count)
{
	return (u64)count * vlm_lapic_timer_divisor(r);
}

static bool is_periodic(const struct vlm_lapic_regs *r)
{
	return vlm_lapic_timer_mode(r) == VLM_LVT_TIMER_PERIODIC;
}

/* TSC-deadline mode, and the reserved encoding that no count runs in either. */
static bool is_counting(u32 lvtt)
{
	return !(lvtt & VLM_LVT_TIMER_DEADLINE);
}

static void limit_period(struct vlm_lapic_regs *r)
{
	if (is_periodic(r) && r->timer_period && r->timer_period < VLM_TIMER_MIN_PERIOD_NS)
		r->timer_period = VLM_TIMER_MIN_PERIOD_NS;
}

static u64 remaining(const struct vlm_lapic_regs *r, u64 now)
{
	u64 expiry = READ_ONCE(r->timer_expiry);
	u64 period = READ_ONCE(r->timer_period);

	if (!expiry)
		return 0;
	if (expiry > now)
		return expiry - now;
	/* Late host timer: a periodic count was reloaded at expiry. */
	if (!is_periodic(r) || !period)
		return 0;
	return period - (now - expiry) % period;
}

u32 vlm_lapic_timer_count(const struct vlm_lapic_regs *r, u64 now)
{
	u64 count;

	if (!is_counting(vlm_lapic_reg(r, VLM_LAPIC_LVTT)))
		return 0;
	count = remaining(r, now) / vlm_lapic_timer_divisor(r);
	return count > 0xffffffffu ? 0xffffffffu : (u32)count;
}

void vlm_lapic_timer_stop(struct vlm_lapic_regs *r)
{
	WRITE_ONCE(r->timer_expiry, 0);
	WRITE_ONCE(r->timer_period, 0);
	WRITE_ONCE(r->tsc_deadline, 0);
}

void vlm_lapic_timer_set_initial(struct vlm_lapic_regs *r, u32 count, u64 now)
{
	if (!is_counting(vlm_lapic_reg(r, VLM_LAPIC_LVTT)))
		return;
	vlm_lapic_reg_set(r, VLM_LAPIC_TMICT, count);
	vlm_lapic_timer_stop(r);
	if (!count)
		return;
	WRITE_ONCE(r->timer_period, count_to_ns(r, count));
	limit_period(r);
	WRITE_ONCE(r->timer_expiry, now + r->timer_period);
}

void vlm_lapic_timer_set_lvtt(struct vlm_lapic_regs *r, u32 val, u64 now)
{
	u32 old = vlm_lapic_reg(r, VLM_LAPIC_LVTT);

	vlm_lapic_reg_set(r, VLM_LAPIC_LVTT, val);
	/* Changing between counting and deadline disarms. */
	if (is_counting(old) != is_counting(val)) {
		vlm_lapic_reg_set(r, VLM_LAPIC_TMICT, 0);
		vlm_lapic_timer_stop(r);
		return;
	}
	if ((old & VLM_LVT_TIMER_MODE) == (val & VLM_LVT_TIMER_MODE) || !is_counting(val))
		return;
	/* One-shot that is running becomes periodic, and the reverse, without a restart. */
	WRITE_ONCE(r->timer_period, count_to_ns(r, vlm_lapic_reg(r, VLM_LAPIC_TMICT)));
	limit_period(r);
	if (r->timer_expiry && r->timer_expiry <= now)
		WRITE_ONCE(r->timer_expiry, now ? now : 1);
}

void vlm_lapic_timer_set_divide(struct vlm_lapic_regs *r, u32 val, u64 now)
{
	u32 old = vlm_lapic_timer_divisor(r);
	u64 left;

	vlm_lapic_reg_set(r, VLM_LAPIC_TDCR, val);
	if (vlm_lapic_timer_divisor(r) == old || !r->timer_period)
		return;
	/* The counts that are left go on at the new rate. */
	left = remaining(r, now) / old * vlm_lapic_timer_divisor(r);
	WRITE_ONCE(r->timer_period, count_to_ns(r, vlm_lapic_reg(r, VLM_LAPIC_TMICT)));
	limit_period(r);
	if (r->timer_expiry)
		WRITE_ONCE(r->timer_expiry, now + (left ? left : 1));
}

void vlm_lapic_timer_restore(struct vlm_lapic_regs *r, u32 current_count, u64 now)
{
	u32 initial = vlm_lapic_reg(r, VLM_LAPIC_TMICT);
	u64 left;

	WRITE_ONCE(r->timer_expiry, 0);
	WRITE_ONCE(r->timer_period, 0);
	/* A deadline is restored through its MSR, maybe before this. */
	if (!is_counting(vlm_lapic_reg(r, VLM_LAPIC_LVTT)))
		return;
	WRITE_ONCE(r->tsc_deadline, 0);
	if (!initial)
		return;
	WRITE_ONCE(r->timer_period, count_to_ns(r, initial));
	limit_period(r);
	/* A one-shot count that reached 0 before it was saved stays there. */
	if (!current_count && !is_periodic(r))
		return;
	left = count_to_ns(r, current_count);
	if (!left || left > r->timer_period)
		left = r->timer_period;
	WRITE_ONCE(r->timer_expiry, now + left);
}

void vlm_lapic_timer_set_deadline(struct vlm_lapic_regs *r, u64 tsc)
{
	if (vlm_lapic_timer_mode(r) == VLM_LVT_TIMER_DEADLINE && vlm_lapic_is_hw_enabled(r))
		WRITE_ONCE(r->tsc_deadline, tsc);
}

u64 vlm_lapic_timer_fire(struct vlm_lapic_regs *r, u64 now, bool *posted)
{
	struct vlm_apic_msg msg;

	*posted = vlm_lapic_regs_lvt(r, VLM_LAPIC_LVTT, &msg) &&
		  vlm_lapic_regs_post(r, msg.vector, false);
	if (is_periodic(r) && r->timer_expiry && r->timer_period) {
		u64 next = r->timer_expiry + r->timer_period;

		/* Skip what a stalled host missed: a pending vector cannot count anyway. */
		if (next <= now)
			next = now + r->timer_period - (now - r->timer_expiry) % r->timer_period;
		WRITE_ONCE(r->timer_expiry, next);
		return next;
	}
	WRITE_ONCE(r->timer_expiry, 0);
	WRITE_ONCE(r->tsc_deadline, 0);
	return 0;
}
