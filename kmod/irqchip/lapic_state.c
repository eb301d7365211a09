// SPDX-License-Identifier: GPL-2.0-only
/* Local APIC state in the layout of KVM_GET_LAPIC and KVM_SET_LAPIC. */
#include "lapic_regs.h"

static u32 get(const struct kvm_lapic_state *s, u32 off)
{
	u32 val;

	memcpy(&val, s->regs + off, sizeof(val));
	return val;
}

static void put(struct kvm_lapic_state *s, u32 off, u32 val)
{
	memcpy(s->regs + off, &val, sizeof(val));
}

void vlm_lapic_regs_save(const struct vlm_lapic_regs *r, u64 now, struct kvm_lapic_state *s)
{
	u32 off;

	memset(s, 0, sizeof(*s));
	for (off = 0; off < sizeof(s->regs); off += 16)
		put(s, off, vlm_lapic_reg(r, off));
	put(s, VLM_LAPIC_APR, 0);
	put(s, VLM_LAPIC_PPR, vlm_lapic_regs_ppr(r));
	put(s, VLM_LAPIC_TMCCT, vlm_lapic_timer_count(r, now));
	if (vlm_lapic_is_x2apic(r))
		put(s, VLM_LAPIC_ID, r->x2apic_id << 24);
}

/* Registers that are taken from user space as the guest could have written them. */
static const u16 plain_regs[] = {
	VLM_LAPIC_TPR, VLM_LAPIC_SVR, VLM_LAPIC_ICR, VLM_LAPIC_LVT_THERMAL, VLM_LAPIC_LVT_PERF,
	VLM_LAPIC_LVT_LINT0, VLM_LAPIC_LVT_LINT1, VLM_LAPIC_LVT_ERROR, VLM_LAPIC_LVTT,
	VLM_LAPIC_TMICT, VLM_LAPIC_TDCR,
};

void vlm_lapic_regs_load(struct vlm_lapic_regs *r, u64 now, const struct kvm_lapic_state *s)
{
	bool x2apic = vlm_lapic_is_x2apic(r);
	u32 i;

	for (i = 0; i < sizeof(plain_regs) / sizeof(plain_regs[0]); i++)
		vlm_lapic_reg_set(r, plain_regs[i],
				  get(s, plain_regs[i]) &
				  vlm_lapic_regs_writable(r, plain_regs[i]));
	for (i = 0; i < 8; i++) {
		vlm_lapic_reg_set(r, VLM_LAPIC_ISR + i * 16, get(s, VLM_LAPIC_ISR + i * 16));
		vlm_lapic_reg_set(r, VLM_LAPIC_TMR + i * 16, get(s, VLM_LAPIC_TMR + i * 16));
		vlm_lapic_reg_set(r, VLM_LAPIC_IRR + i * 16, get(s, VLM_LAPIC_IRR + i * 16));
	}
	vlm_lapic_reg_set(r, VLM_LAPIC_ESR, get(s, VLM_LAPIC_ESR) & 0xff);
	vlm_lapic_reg_set(r, VLM_LAPIC_ICR2,
			  get(s, VLM_LAPIC_ICR2) & (x2apic ? 0xffffffffu : 0xff000000u));
	/* In x2APIC mode ID and logical ID are fixed. */
	if (x2apic) {
		vlm_lapic_regs_set_id(r);
	} else {
		vlm_lapic_reg_set(r, VLM_LAPIC_ID, get(s, VLM_LAPIC_ID) & 0xff000000u);
		vlm_lapic_reg_set(r, VLM_LAPIC_LDR, get(s, VLM_LAPIC_LDR) & 0xff000000u);
		vlm_lapic_reg_set(r, VLM_LAPIC_DFR, get(s, VLM_LAPIC_DFR) | 0x0fffffffu);
	}
	if (!vlm_lapic_is_hw_enabled(r))
		vlm_lapic_timer_stop(r);
	else
		vlm_lapic_timer_restore(r, get(s, VLM_LAPIC_TMCCT), now);
}
