// SPDX-License-Identifier: GPL-2.0-only
/* Registers that the guest finds in hardware: checked here, kept by vmx/. */

#include <linux/kernel.h>

#include <asm/cpufeature.h>
#include <asm/msr.h>

#include "msr_table.h"
#include "private.h"

/* The VMCS or the switch code has these. */
static int get_vmx(struct vlm_vcpu *vcpu, u32 msr, u64 *data, bool host)
{
	return vlm_vmx_get_msr(&vcpu->vmx, msr, data) ? -ENOENT : 0;
}

static int set_vmx(struct vlm_vcpu *vcpu, u32 msr, u64 data, bool host)
{
	return vlm_vmx_set_msr(&vcpu->vmx, msr, data);
}

static bool is_canonical(struct vlm_vcpu *vcpu, u64 address)
{
	u32 bits = vlm_vmx_cr4(&vcpu->vmx) & BIT(12) ? 57 : 48;

	/* User space may restore this register before CR4. */
	return sign_extend64(address, bits - 1) == address ||
	       (sign_extend64(address, 56) == address &&
		(vlm_cpuid_cap(VLM_CPUID_7_ECX) & BIT(16)));
}

static int set_address(struct vlm_vcpu *vcpu, u32 msr, u64 data, bool host)
{
	return is_canonical(vcpu, data) ? set_vmx(vcpu, msr, data, host) : -EINVAL;
}

static int set_32bit(struct vlm_vcpu *vcpu, u32 msr, u64 data, bool host)
{
	return data >> 32 ? -EINVAL : set_vmx(vcpu, msr, data, host);
}

/* The upper half of these is ignored by hardware. */
static int set_low_half(struct vlm_vcpu *vcpu, u32 msr, u64 data, bool host)
{
	return set_vmx(vcpu, msr, (u32)data, host);
}

static bool has_rdtscp(struct vlm_vcpu *vcpu)
{
	return vlm_cpuid_has(vcpu, VLM_CPUID_80000001_EDX, BIT(27)) ||
	       vlm_cpuid_has(vcpu, VLM_CPUID_7_ECX, BIT(22));
}

static int get_tsc_aux(struct vlm_vcpu *vcpu, u32 msr, u64 *data, bool host)
{
	return host || has_rdtscp(vcpu) ? get_vmx(vcpu, msr, data, host) : -ENOENT;
}

static int set_tsc_aux(struct vlm_vcpu *vcpu, u32 msr, u64 data, bool host)
{
	if (!host && !has_rdtscp(vcpu))
		return -ENOENT;
	return set_32bit(vcpu, msr, data, host);
}

static int set_pat(struct vlm_vcpu *vcpu, u32 msr, u64 data, bool host)
{
	int i;

	for (i = 0; i < 64; i += 8) {
		u8 type = data >> i;

		/* UC- besides the types of the MTRRs. */
		if (type != 7 && !vlm_memory_type_valid(type))
			return -EINVAL;
	}
	return set_vmx(vcpu, msr, data, host);
}

/* BTF works in the guest; LBR has no registers behind it and is dropped. */
static int set_debugctl(struct vlm_vcpu *vcpu, u32 msr, u64 data, bool host)
{
	if (data & ~(u64)(DEBUGCTLMSR_LBR | DEBUGCTLMSR_BTF))
		return -EINVAL;
	return set_vmx(vcpu, msr, data & DEBUGCTLMSR_BTF, host);
}

static bool has_spec_ctrl(struct vlm_vcpu *vcpu)
{
	return vlm_cpuid_has(vcpu, VLM_CPUID_7_EDX, BIT(26) | BIT(27) | BIT(31));
}

static int get_spec_ctrl(struct vlm_vcpu *vcpu, u32 msr, u64 *data, bool host)
{
	return host || has_spec_ctrl(vcpu) ? get_vmx(vcpu, msr, data, host) : -ENOENT;
}

static int set_spec_ctrl(struct vlm_vcpu *vcpu, u32 msr, u64 data, bool host)
{
	u32 cap = vlm_cpuid_cap(VLM_CPUID_7_EDX);
	u64 allowed = 0;

	if (!host && !has_spec_ctrl(vcpu))
		return -ENOENT;
	if (cap & BIT(26))
		allowed |= SPEC_CTRL_IBRS;
	if (cap & BIT(27))
		allowed |= SPEC_CTRL_STIBP;
	if (cap & BIT(31))
		allowed |= SPEC_CTRL_SSBD;
	if (data & ~allowed)
		return -EINVAL;
	/* A guest that uses it writes it all the time. One that does not pays for no switch. */
	if (!host && data)
		vlm_vmx_intercept_msr(&vcpu->vmx, msr, false, false);
	return set_vmx(vcpu, msr, data, host);
}

static int set_pred_cmd(struct vlm_vcpu *vcpu, u32 msr, u64 data, bool host)
{
	if (!host && !vlm_cpuid_has(vcpu, VLM_CPUID_7_EDX, BIT(26)))
		return -ENOENT;
	if ((data & ~(u64)PRED_CMD_IBPB) || !boot_cpu_has(X86_FEATURE_IBPB))
		return -EINVAL;
	if (data)
		wrmsrl(MSR_IA32_PRED_CMD, PRED_CMD_IBPB);
	return 0;
}

static int set_flush_cmd(struct vlm_vcpu *vcpu, u32 msr, u64 data, bool host)
{
	if (!host && !vlm_cpuid_has(vcpu, VLM_CPUID_7_EDX, BIT(28)))
		return -ENOENT;
	if ((data & ~(u64)L1D_FLUSH) || !boot_cpu_has(X86_FEATURE_FLUSH_L1D))
		return -EINVAL;
	if (data)
		wrmsrl(MSR_IA32_FLUSH_CMD, L1D_FLUSH);
	return 0;
}

static int get_efer(struct vlm_vcpu *vcpu, u32 msr, u64 *data, bool host)
{
	*data = vlm_vmx_efer(&vcpu->vmx);
	return 0;
}

static int set_efer(struct vlm_vcpu *vcpu, u32 msr, u64 data, bool host)
{
	return vlm_set_efer(vcpu, data, host);
}

static const struct vlm_msr_range ranges[] = {
	{ MSR_IA32_SPEC_CTRL, MSR_IA32_SPEC_CTRL, get_spec_ctrl, set_spec_ctrl },
	{ MSR_IA32_PRED_CMD, MSR_IA32_PRED_CMD, vlm_msr_get_writeonly, set_pred_cmd },
	{ MSR_IA32_FLUSH_CMD, MSR_IA32_FLUSH_CMD, vlm_msr_get_writeonly, set_flush_cmd },
	{ MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_CS, get_vmx, set_low_half },
	{ MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP, get_vmx, set_address },
	{ MSR_IA32_DEBUGCTLMSR, MSR_IA32_DEBUGCTLMSR, get_vmx, set_debugctl },
	{ MSR_IA32_CR_PAT, MSR_IA32_CR_PAT, get_vmx, set_pat },
	{ MSR_EFER, MSR_EFER, get_efer, set_efer },
	{ MSR_STAR, MSR_STAR, get_vmx, set_vmx },
	{ MSR_LSTAR, MSR_CSTAR, get_vmx, set_address },
	{ MSR_SYSCALL_MASK, MSR_SYSCALL_MASK, get_vmx, set_low_half },
	{ MSR_FS_BASE, MSR_KERNEL_GS_BASE, get_vmx, set_address },
	{ MSR_TSC_AUX, MSR_TSC_AUX, get_tsc_aux, set_tsc_aux },
};

const struct vlm_msr_table vlm_msrs_hardware = { ranges, ARRAY_SIZE(ranges) };
