// SPDX-License-Identifier: GPL-2.0-only
/*
 * Debug registers. Every access of the guest exits; DR0-DR3 are loaded around the entry
 * when DR7 enables a breakpoint. DR6 stays here: each #DB exits and hands it its bits.
 */

#include <linux/nospec.h>
#include <linux/percpu.h>
#include <linux/sched.h>

#include <asm/debugreg.h>
#include <asm/processor-flags.h>
#include <asm/vmx.h>

#include "private.h"

#define DR7_ENABLES 0xffull

/* Causes that this CPU model cannot report read as one. */
u64 vlm_dr6_fixed(struct vlm_vcpu *vcpu)
{
	u64 fixed = 0xfffe07f0ull;

	if (!vlm_cpuid_has(vcpu, VLM_CPUID_7_EBX, BIT(11)))
		fixed |= VLM_DR6_RTM;
	/* No bus-lock traps. */
	fixed |= BIT(11);
	return fixed;
}

u64 vlm_get_dr(struct vlm_vcpu *vcpu, u32 nr)
{
	switch (nr) {
	case 0 ... 3:
		return vcpu->debug.db[array_index_nospec(nr, 4)];
	case 6:
		return vcpu->debug.dr6;
	default:
		return vcpu->debug.dr7;
	}
}

int vlm_set_dr(struct vlm_vcpu *vcpu, u32 nr, u64 val)
{
	switch (nr) {
	case 0 ... 3:
		vcpu->debug.db[array_index_nospec(nr, 4)] = val;
		break;
	case 6:
		if (val >> 32)
			return -EINVAL;
		vcpu->debug.dr6 = (val & 0x1e00full) | vlm_dr6_fixed(vcpu);
		if (!(vlm_dr6_fixed(vcpu) & VLM_DR6_RTM))
			vcpu->debug.dr6 |= val & VLM_DR6_RTM;
		break;
	default:
		if (val >> 32)
			return -EINVAL;
		vcpu->debug.dr7 = (val & 0xffff2bffull) | VLM_DR7_FIXED;
		vlm_debug_apply(vcpu);
		break;
	}
	return 0;
}

/* SDM table "Exit Qualification for MOV DR". */
int vlm_exit_dr(struct vlm_vcpu *vcpu)
{
	u64 q = vcpu->exit.qualification;
	u32 nr = q & DEBUG_REG_ACCESS_NUM;
	u32 gpr = DEBUG_REG_ACCESS_REG(q);
	u64 value = vcpu->regs[gpr];

	if (nr == 4 || nr == 5) {
		if (vlm_vmx_cr4(&vcpu->vmx) & X86_CR4_DE)
			return vlm_exit_undefined(vcpu);
		nr += 2;
	}
	if (vlm_vmx_cpl(&vcpu->vmx)) {
		vlm_raise_error(vcpu, VLM_GP, 0);
		return VLM_RESUME;
	}
	if (vcpu->debug.control & KVM_GUESTDBG_USE_HW_BP && vcpu->debug.host_dr7 & VLM_DR7_GD)
		return vlm_debug_exit(vcpu, VLM_DB, VLM_DR6_BD | VLM_DR6_ACTIVE_LOW);
	if (vcpu->debug.dr7 & VLM_DR7_GD) {
		vlm_raise_db(vcpu, VLM_DR6_BD);
		return VLM_RESUME;
	}
	if (q & DEBUG_REG_ACCESS_TYPE) {
		vcpu->regs[gpr] = vlm_get_dr(vcpu, nr);
		return vlm_skip_insn(vcpu);
	}
	if (!vlm_is_long64(vcpu))
		value = (u32)value;
	if (vlm_set_dr(vcpu, nr, value)) {
		vlm_raise_error(vcpu, VLM_GP, 0);
		return VLM_RESUME;
	}
	return vlm_skip_insn(vcpu);
}

/* The debugger's breakpoints replace the guest's. */
static const u64 *breakpoints(const struct vlm_debug *debug)
{
	if (debug->control & KVM_GUESTDBG_USE_HW_BP)
		return debug->host_dr7 & DR7_ENABLES ? debug->host_db : NULL;
	return debug->dr7 & DR7_ENABLES ? debug->db : NULL;
}

void vlm_dr_enter(struct vlm_vcpu *vcpu)
{
	const u64 *db = breakpoints(&vcpu->debug);

	if (likely(!db))
		return;
	/* The host's breakpoints must not hit with the guest's addresses. */
	set_debugreg(0ul, 7);
	set_debugreg(db[0], 0);
	set_debugreg(db[1], 1);
	set_debugreg(db[2], 2);
	set_debugreg(db[3], 3);
}

/* The exit itself cleared DR7; the host's value is kept by the kernel. */
void vlm_dr_leave(struct vlm_vcpu *vcpu)
{
	if (hw_breakpoint_active())
		hw_breakpoint_restore();
}
