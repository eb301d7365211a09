// SPDX-License-Identifier: GPL-2.0-only
/*
 * Can the CPU run the guest as it is? Without an unrestricted guest the VM entry insists on
 * protected mode with consistent segments, which a guest that switches modes does not have
 * all the time. SDM "Checks on Guest Segment Registers".
 */
#include <linux/kernel.h>

#include <asm/msr-index.h>
#include <asm/processor-flags.h>

#include "cpu.h"

#define RPL(selector)	((selector) & 3)
#define TI		BIT(2)

/* Limit and granularity must be able to belong to one descriptor. */
static bool limit_fits(const struct kvm_segment *s)
{
	if (s->g)
		return (s->limit & 0xfff) == 0xfff;
	return !(s->limit >> 20);
}

static bool code_fits(const struct kvm_segment *cs, const struct kvm_segment *ss, bool long_mode)
{
	if (cs->unusable || !cs->s || !(cs->type & 8) || !(cs->type & 1) || !limit_fits(cs))
		return false;
	if (long_mode && cs->l && cs->db)
		return false;
	/* Conforming code runs with the rights of its caller. */
	return cs->type & 4 ? cs->dpl <= ss->dpl : cs->dpl == ss->dpl;
}

static bool stack_fits(const struct kvm_segment *ss, const struct kvm_segment *cs)
{
	if (RPL(ss->selector) != RPL(cs->selector) || ss->dpl != RPL(ss->selector))
		return false;
	return ss->unusable || (ss->s && (ss->type == 3 || ss->type == 7) && limit_fits(ss));
}

static bool data_fits(const struct kvm_segment *s)
{
	if (s->unusable)
		return true;
	if (!s->s || !(s->type & 1) || (s->type & 0xa) == 8 || !limit_fits(s))
		return false;
	return s->type >= 12 || s->dpl >= RPL(s->selector);
}

static bool task_fits(const struct kvm_segment *tr, bool long_mode)
{
	if (tr->unusable || tr->s || (tr->selector & TI) || !limit_fits(tr))
		return false;
	return tr->type == 11 || (tr->type == 3 && !long_mode);
}

static bool ldt_fits(const struct kvm_segment *ldt)
{
	return ldt->unusable ||
	       (!ldt->s && ldt->type == 2 && !(ldt->selector & TI) && limit_fits(ldt));
}

static bool vm86_fits(const struct kvm_segment *s)
{
	return s->base == s->selector << 4 && s->limit == 0xffff && s->type == 3 && s->s &&
	       s->dpl == 3 && s->present && !s->avl && !s->l && !s->db && !s->g;
}

static bool segments_fit(struct vlm_vmx *vmx)
{
	bool long_mode = vlm_vmx_efer(vmx) & EFER_LMA;
	struct kvm_segment s[VLM_NR_SEGS];
	enum vlm_seg i;

	for (i = 0; i < VLM_NR_SEGS; i++)
		vlm_vmx_get_segment(vmx, i, &s[i]);
	if (!task_fits(&s[VLM_SEG_TR], long_mode) || !ldt_fits(&s[VLM_SEG_LDTR]))
		return false;
	if (vlm_vmx_rflags(vmx) & X86_EFLAGS_VM) {
		for (i = VLM_SEG_ES; i <= VLM_SEG_GS; i++) {
			if (!vm86_fits(&s[i]))
				return false;
		}
		return true;
	}
	for (i = VLM_SEG_ES; i <= VLM_SEG_GS; i++) {
		if (i != VLM_SEG_CS && i != VLM_SEG_SS && !data_fits(&s[i]))
			return false;
	}
	return code_fits(&s[VLM_SEG_CS], &s[VLM_SEG_SS], long_mode) &&
	       stack_fits(&s[VLM_SEG_SS], &s[VLM_SEG_CS]);
}

bool vlm_vmx_can_run(struct vlm_vmx *vmx)
{
	/* What the guest changes itself while it runs stays fit. */
	if (likely(vlm_vmx_caps.ept || !vmx->unchecked))
		return true;
	if (!(vlm_vmx_cr0(vmx) & X86_CR0_PE) || !segments_fit(vmx))
		return false;
	vmx->unchecked = false;
	return true;
}
