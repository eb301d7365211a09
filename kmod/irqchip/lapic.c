// SPDX-License-Identifier: GPL-2.0-only
/* The local APIC of a vCPU: registers tied to the host's timers and to the other vCPUs. */

#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include <asm/msr.h>
#include <asm/tsc.h>

#include "../compat/compat.h"
#include "chip.h"

#define MSR_X2APIC_FIRST	0x800u
#define MSR_X2APIC_LAST		0x8ffu

#define LINT0_EXTINT		(VLM_APIC_EXTINT << 8)

/* Re-arm no sooner than this when the host timer came before the guest's deadline. */
#define DEADLINE_RETRY_NS	1000u
/* Longest sleep for a deadline; the timer checks and sleeps on. */
#define DEADLINE_MAX_SECONDS	86400u

static u64 now_ns(void)
{
	return ktime_get_ns();
}

/* Time until @deadline of the guest's TSC in ns, rounded up, capped; 0 if it passed. */
static u64 deadline_in_ns(const struct vlm_lapic *l, u64 deadline)
{
	u64 guest_now = mul_u64_u64_shr(rdtsc_ordered(), l->tsc_multiplier, 48) + l->tsc_offset;
	u64 cycles;

	if (deadline <= guest_now)
		return 0;
	cycles = min_t(u64, deadline - guest_now, (u64)l->tsc_khz * 1000 * DEADLINE_MAX_SECONDS);
	return mul_u64_u32_div(cycles, 1000000, l->tsc_khz) + 1;
}

static enum hrtimer_restart timer_fn(struct hrtimer *timer)
{
	struct vlm_lapic *l = container_of(timer, struct vlm_lapic, timer);
	struct vlm_lapic_regs *r = &l->regs;
	u64 now = now_ns();
	bool posted;
	u64 next;

	if (vlm_lapic_timer_mode(r) == VLM_LVT_TIMER_DEADLINE) {
		u64 left = deadline_in_ns(l, READ_ONCE(r->tsc_deadline));

		if (left) {
			next = now + max_t(u64, left, DEADLINE_RETRY_NS);
			WRITE_ONCE(r->timer_expiry, next);
			hrtimer_set_expires(timer, ns_to_ktime(next));
			return HRTIMER_RESTART;
		}
	}
	next = vlm_lapic_timer_fire(r, now, &posted);
	if (posted)
		vlm_irq_notify(l->v);
	if (!next)
		return HRTIMER_NORESTART;
	hrtimer_set_expires(timer, ns_to_ktime(next));
	return HRTIMER_RESTART;
}

/* Make the host timer what the timer fields say. It is cancelled, or no one else started it. */
static void program_timer(struct vlm_lapic *l)
{
	struct vlm_lapic_regs *r = &l->regs;

	hrtimer_cancel(&l->timer);
	if (vlm_lapic_timer_mode(r) == VLM_LVT_TIMER_DEADLINE)
		r->timer_expiry = r->tsc_deadline ?
				  now_ns() + deadline_in_ns(l, r->tsc_deadline) : 0;
	if (r->timer_expiry)
		hrtimer_start(&l->timer, ns_to_ktime(r->timer_expiry), HRTIMER_MODE_ABS_HARD);
}

/* Act on what a register write asked for. vCPU thread. */
static void apply(struct vlm_lapic *l, const struct vlm_lapic_fx *fx)
{
	if (fx->flags & VLM_LAPIC_FX_TIMER)
		program_timer(l);
	if (fx->flags & VLM_LAPIC_FX_EOI)
		vlm_irqchip_eoi(l->v->vm, fx->eoi_vector);
	if (fx->flags & VLM_LAPIC_FX_IPI)
		vlm_apic_deliver(l->v->vm, l->v, &fx->ipi, NULL);
	if (fx->flags & VLM_LAPIC_FX_EVENT)
		vlm_request_set(l->v, VLM_REQ_EVENT);
}

int vlm_lapic_create(struct vlm_vcpu_head *v)
{
	union vlm_lapic_page *page;
	struct vlm_lapic *l;

	BUILD_BUG_ON(sizeof(union vlm_lapic_page) != PAGE_SIZE);

	l = kzalloc(sizeof(*l), GFP_KERNEL_ACCOUNT);
	if (!l)
		return -ENOMEM;
	page = (union vlm_lapic_page *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!page) {
		kfree(l);
		return -ENOMEM;
	}
	l->v = v;
	l->tsc_multiplier = BIT_ULL(48);
	l->tsc_khz = tsc_khz;
	vlm_compat_hrtimer_setup(&l->timer, timer_fn, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_HARD);
	vlm_lapic_regs_init(&l->regs, page, v->id, v->id == v->vm->bsp_id);
	v->lapic = l;
	vlm_lapic_reset(v, false);
	return 0;
}

void vlm_lapic_destroy(struct vlm_vcpu_head *v)
{
	struct vlm_lapic *l = v->lapic;

	if (!l)
		return;
	hrtimer_cancel(&l->timer);
	v->lapic = NULL;
	free_page((unsigned long)l->regs.page);
	kfree(l);
}

void vlm_lapic_reset(struct vlm_vcpu_head *v, bool init_event)
{
	struct vlm_lapic *l = v->lapic;

	if (!l)
		return;
	hrtimer_cancel(&l->timer);
	vlm_lapic_regs_reset(&l->regs, init_event);
	/* Firmware that knows no APIC must get the interrupts of the PIC. */
	if (l->regs.bsp && !(v->vm->disabled_quirks & KVM_X86_QUIRK_LINT0_REENABLED))
		vlm_lapic_reg_set(&l->regs, VLM_LAPIC_LVT_LINT0, LINT0_EXTINT);
}

void vlm_lapic_offer_tsc_deadline(struct vlm_vcpu_head *v, bool offered)
{
	if (v->lapic)
		v->lapic->regs.tsc_deadline_offered = offered;
}

u64 vlm_lapic_base(struct vlm_vcpu_head *v)
{
	return v->lapic ? v->lapic->regs.base : 0;
}

int vlm_lapic_set_base(struct vlm_vcpu_head *v, u64 base, bool host)
{
	struct vlm_lapic_fx fx = { 0 };
	struct vlm_lapic *l = v->lapic;
	int err;

	if (!l)
		return -EINVAL;
	if (base == l->regs.base)
		return 0;
	hrtimer_cancel(&l->timer);
	err = vlm_lapic_regs_set_base(&l->regs, base, host, &fx);
	fx.flags |= VLM_LAPIC_FX_TIMER;
	apply(l, &fx);
	return err;
}

u64 vlm_lapic_cr8(struct vlm_vcpu_head *v)
{
	return v->lapic ? vlm_lapic_reg(&v->lapic->regs, VLM_LAPIC_TPR) >> 4 : 0;
}

void vlm_lapic_set_cr8(struct vlm_vcpu_head *v, u64 cr8)
{
	if (!v->lapic)
		return;
	vlm_lapic_reg_set(&v->lapic->regs, VLM_LAPIC_TPR, (cr8 & 0xf) << 4);
	vlm_request_set(v, VLM_REQ_EVENT);
}

static bool is_xapic(const struct vlm_lapic *l)
{
	return vlm_lapic_is_hw_enabled(&l->regs) && !vlm_lapic_is_x2apic(&l->regs);
}

bool vlm_lapic_claims(struct vlm_vcpu_head *v, u64 gpa)
{
	struct vlm_lapic *l = v->lapic;

	if (!l || (gpa & ~(u64)(VLM_LAPIC_PAGE_BYTES - 1)) != (l->regs.base & VLM_APIC_BASE_ADDR))
		return false;
	/* Where there is no xAPIC page, KVM by default leaves a hole that nobody answers. */
	return is_xapic(l) || !(v->vm->disabled_quirks & KVM_X86_QUIRK_LAPIC_MMIO_HOLE);
}

void vlm_lapic_mmio_read(struct vlm_vcpu_head *v, u64 gpa, u32 len, void *data)
{
	u32 off = gpa & (VLM_LAPIC_PAGE_BYTES - 1);

	if (!v->lapic || !is_xapic(v->lapic)) {
		memset(data, 0xff, len);
		return;
	}
	vlm_lapic_regs_mmio_read(&v->lapic->regs, off, len, now_ns(), data);
	if (READ_ONCE(v->lapic->regs.errors))
		vlm_request_set(v, VLM_REQ_EVENT);
}

void vlm_lapic_mmio_write(struct vlm_vcpu_head *v, u64 gpa, u32 len, const void *data)
{
	u32 off = gpa & (VLM_LAPIC_PAGE_BYTES - 1);
	struct vlm_lapic_fx fx = { 0 };
	struct vlm_lapic *l = v->lapic;

	if (!l || !is_xapic(l))
		return;
	if (vlm_lapic_is_timer_reg(off))
		hrtimer_cancel(&l->timer);
	vlm_lapic_regs_mmio_write(&l->regs, off, len, now_ns(), data, &fx);
	/* A write that was refused cancelled the timer all the same. */
	if (vlm_lapic_is_timer_reg(off))
		fx.flags |= VLM_LAPIC_FX_TIMER;
	apply(l, &fx);
}

int vlm_lapic_msr_read(struct vlm_vcpu_head *v, u32 msr, u64 *data)
{
	if (msr == MSR_IA32_TSC_DEADLINE) {
		*data = vlm_lapic_tsc_deadline(v);
		return 0;
	}
	if (!v->lapic || msr < MSR_X2APIC_FIRST || msr > MSR_X2APIC_LAST)
		return -EINVAL;
	return vlm_lapic_regs_msr_read(&v->lapic->regs, msr - MSR_X2APIC_FIRST, now_ns(), data);
}

int vlm_lapic_msr_write(struct vlm_vcpu_head *v, u32 msr, u64 data)
{
	u32 index = msr - MSR_X2APIC_FIRST;
	struct vlm_lapic_fx fx = { 0 };
	struct vlm_lapic *l = v->lapic;
	int err;

	if (msr == MSR_IA32_TSC_DEADLINE) {
		vlm_lapic_set_tsc_deadline(v, data);
		return 0;
	}
	if (!l || msr < MSR_X2APIC_FIRST || msr > MSR_X2APIC_LAST)
		return -EINVAL;
	if (vlm_lapic_is_timer_reg(index << 4)) {
		hrtimer_cancel(&l->timer);
		fx.flags |= VLM_LAPIC_FX_TIMER;
	}
	err = vlm_lapic_regs_msr_write(&l->regs, index, data, now_ns(), &fx);
	apply(l, &fx);
	return err;
}

void vlm_lapic_set_tsc_deadline(struct vlm_vcpu_head *v, u64 guest_tsc)
{
	struct vlm_lapic *l = v->lapic;

	if (!l)
		return;
	hrtimer_cancel(&l->timer);
	vlm_lapic_timer_set_deadline(&l->regs, guest_tsc);
	program_timer(l);
}

u64 vlm_lapic_tsc_deadline(struct vlm_vcpu_head *v)
{
	struct vlm_lapic *l = v->lapic;

	if (!l || vlm_lapic_timer_mode(&l->regs) != VLM_LVT_TIMER_DEADLINE)
		return 0;
	return READ_ONCE(l->regs.tsc_deadline);
}

void vlm_lapic_set_tsc(struct vlm_vcpu_head *v, u64 multiplier, u64 offset, u32 khz)
{
	struct vlm_lapic *l = v->lapic;

	if (!l)
		return;
	hrtimer_cancel(&l->timer);
	l->tsc_multiplier = multiplier;
	l->tsc_offset = offset;
	if (khz)
		l->tsc_khz = khz;
	program_timer(l);
}

int vlm_lapic_get_state(struct vlm_vcpu_head *v, struct kvm_lapic_state *s)
{
	if (!v->lapic)
		return -EINVAL;
	vlm_lapic_regs_save(&v->lapic->regs, now_ns(), s);
	return 0;
}

int vlm_lapic_set_state(struct vlm_vcpu_head *v, const struct kvm_lapic_state *s)
{
	struct vlm_lapic *l = v->lapic;

	if (!l)
		return -EINVAL;
	hrtimer_cancel(&l->timer);
	vlm_lapic_regs_load(&l->regs, now_ns(), s);
	program_timer(l);
	vlm_request_set(v, VLM_REQ_EVENT);
	return 0;
}

int vlm_lapic_highest_irr(struct vlm_vcpu_head *v)
{
	return v->lapic ? vlm_lapic_regs_highest(&v->lapic->regs, VLM_LAPIC_IRR) : -1;
}

int vlm_irq_pending(struct vlm_vcpu_head *v)
{
	struct vlm_irqchip *chip = vlm_vm_irqchip(v->vm);

	if (!v->lapic)
		return -1;
	if (chip && vlm_pic_reaches(v)) {
		int vector = vlm_pic_peek(&chip->pic);

		if (vector >= 0)
			return vector;
	}
	return vlm_lapic_regs_pending(&v->lapic->regs);
}

int vlm_irq_accept(struct vlm_vcpu_head *v)
{
	struct vlm_irqchip *chip = vlm_vm_irqchip(v->vm);

	if (!v->lapic)
		return -1;
	if (chip && vlm_pic_reaches(v)) {
		int vector = vlm_pic_ack(&chip->pic);

		if (vector >= 0)
			return vector;
	}
	return vlm_lapic_regs_accept(&v->lapic->regs);
}

bool vlm_irq_wakes(struct vlm_vcpu_head *v)
{
	return vlm_irq_pending(v) >= 0;
}
