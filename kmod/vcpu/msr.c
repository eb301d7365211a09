// SPDX-License-Identifier: GPL-2.0-only
/*
 * Model-specific registers: one sorted table of ranges with their accessors. A register
 * that is not in it does not exist: #GP for the guest, "stop here" for user space.
 * Accessors return 0, -EINVAL for a bad value, -ENOENT for a hole in their range.
 */

#include <linux/kernel.h>

#include <asm/cpufeature.h>
#include <asm/msr.h>

#include "private.h"

struct msr_range {
	u32 first;
	u32 last;
	int (*get)(struct vlm_vcpu *vcpu, u32 msr, u64 *data, bool host);
	int (*set)(struct vlm_vcpu *vcpu, u32 msr, u64 data, bool host);
};

/* Registers that exist on real CPUs, that guests touch without asking, and that do nothing here. */
static int get_zero(struct vlm_vcpu *vcpu, u32 msr, u64 *data, bool host)
{
	*data = 0;
	return 0;
}

static int set_ignore(struct vlm_vcpu *vcpu, u32 msr, u64 data, bool host)
{
	return 0;
}

static int set_zero_only(struct vlm_vcpu *vcpu, u32 msr, u64 data, bool host)
{
	return data ? -EINVAL : 0;
}

static int set_readonly(struct vlm_vcpu *vcpu, u32 msr, u64 data, bool host)
{
	return -EINVAL;
}

static int get_writeonly(struct vlm_vcpu *vcpu, u32 msr, u64 *data, bool host)
{
	if (!host)
		return -EINVAL;
	*data = 0;
	return 0;
}

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

static int get_tsc(struct vlm_vcpu *vcpu, u32 msr, u64 *data, bool host)
{
	*data = vlm_tsc_read(vcpu);
	return 0;
}

static int set_tsc(struct vlm_vcpu *vcpu, u32 msr, u64 data, bool host)
{
	vlm_tsc_write(vcpu, data, host);
	return 0;
}

static int get_tsc_adjust(struct vlm_vcpu *vcpu, u32 msr, u64 *data, bool host)
{
	*data = vcpu->tsc.adjust;
	return 0;
}

static int set_tsc_adjust(struct vlm_vcpu *vcpu, u32 msr, u64 data, bool host)
{
	if (!host && !vlm_cpuid_has(vcpu, VLM_CPUID_7_EBX, BIT(1)))
		return -ENOENT;
	vlm_tsc_set_adjust(vcpu, data, host);
	return 0;
}

static int get_apic_base(struct vlm_vcpu *vcpu, u32 msr, u64 *data, bool host)
{
	*data = vlm_apic_base(vcpu);
	return 0;
}

static int set_apic_base(struct vlm_vcpu *vcpu, u32 msr, u64 data, bool host)
{
	return vlm_set_apic_base(vcpu, data, host);
}

static int get_x2apic(struct vlm_vcpu *vcpu, u32 msr, u64 *data, bool host)
{
	return vlm_has_lapic(vcpu) ? vlm_lapic_msr_read(&vcpu->head, msr, data) : -ENOENT;
}

static int set_x2apic(struct vlm_vcpu *vcpu, u32 msr, u64 data, bool host)
{
	int err;

	if (!vlm_has_lapic(vcpu))
		return -ENOENT;
	err = vlm_lapic_msr_write(&vcpu->head, msr, data);
	vlm_request_set(&vcpu->head, VLM_REQ_EVENT);
	return err;
}

/* Listed for every vCPU, so it must be there without a local APIC too. */
static int get_tsc_deadline(struct vlm_vcpu *vcpu, u32 msr, u64 *data, bool host)
{
	*data = vlm_has_lapic(vcpu) ? vlm_lapic_tsc_deadline(&vcpu->head) : 0;
	return 0;
}

static int set_tsc_deadline(struct vlm_vcpu *vcpu, u32 msr, u64 data, bool host)
{
	if (vlm_has_lapic(vcpu))
		vlm_lapic_set_tsc_deadline(&vcpu->head, data);
	return 0;
}

/* A table of registers that are one u64 in struct vlm_msrs each. */
static u64 *plain(struct vlm_vcpu *vcpu, u32 msr)
{
	struct vlm_msrs *m = &vcpu->msrs;

	switch (msr) {
	case MSR_SMI_COUNT:
		return &m->smi_count;
	case MSR_IA32_FEAT_CTL:
		return &m->feature_control;
	case MSR_IA32_UCODE_REV:
		return &m->microcode;
	case MSR_PLATFORM_INFO:
		return &m->platform_info;
	case MSR_IA32_ARCH_CAPABILITIES:
		return &m->arch_capabilities;
	case MSR_MISC_FEATURES_ENABLES:
		return &m->misc_features;
	case MSR_IA32_MISC_ENABLE:
		return &m->misc_enable;
	case MSR_IA32_POWER_CTL:
		return &m->power_ctl;
	case MSR_IA32_XSS:
		return &m->xss;
	default:
		return &m->hwcr;
	}
}

static int get_plain(struct vlm_vcpu *vcpu, u32 msr, u64 *data, bool host)
{
	*data = *plain(vcpu, msr);
	return 0;
}

static int set_plain(struct vlm_vcpu *vcpu, u32 msr, u64 data, bool host)
{
	*plain(vcpu, msr) = data;
	return 0;
}

static int set_plain_host(struct vlm_vcpu *vcpu, u32 msr, u64 data, bool host)
{
	return host ? set_plain(vcpu, msr, data, host) : -EINVAL;
}

/* The guest loads microcode by a command, and reads the revision after writing zero to it. */
static int set_microcode(struct vlm_vcpu *vcpu, u32 msr, u64 data, bool host)
{
	return host ? set_plain(vcpu, msr, data, host) : 0;
}

static int get_arch_capabilities(struct vlm_vcpu *vcpu, u32 msr, u64 *data, bool host)
{
	if (!host && !vlm_cpuid_has(vcpu, VLM_CPUID_7_EDX, BIT(29)))
		return -ENOENT;
	return get_plain(vcpu, msr, data, host);
}

static int set_arch_capabilities(struct vlm_vcpu *vcpu, u32 msr, u64 data, bool host)
{
	return host ? set_plain(vcpu, msr, data, host) : -EINVAL;
}

/* VMX stays off: only the lock, and what user space wants to show. */
static int set_feature_control(struct vlm_vcpu *vcpu, u32 msr, u64 data, bool host)
{
	if (data & ~(u64)FEAT_CTL_LOCKED)
		return -EINVAL;
	if (!host && (vcpu->msrs.feature_control & FEAT_CTL_LOCKED))
		return -EINVAL;
	return set_plain(vcpu, msr, data, host);
}

static int set_platform_info(struct vlm_vcpu *vcpu, u32 msr, u64 data, bool host)
{
	if (!host || (!(data & MSR_PLATFORM_INFO_CPUID_FAULT) && vlm_cpuid_faulting(vcpu)))
		return -EINVAL;
	return set_plain(vcpu, msr, data, host);
}

static int set_misc_features(struct vlm_vcpu *vcpu, u32 msr, u64 data, bool host)
{
	if (data & ~(u64)MSR_MISC_FEATURES_ENABLES_CPUID_FAULT)
		return -EINVAL;
	if (data && !(vcpu->msrs.platform_info & MSR_PLATFORM_INFO_CPUID_FAULT))
		return -EINVAL;
	return set_plain(vcpu, msr, data, host);
}

#define PEBS_BTS_UNAVAILABLE \
	((u64)(MSR_IA32_MISC_ENABLE_PEBS_UNAVAIL | MSR_IA32_MISC_ENABLE_BTS_UNAVAIL))

static int set_misc_enable(struct vlm_vcpu *vcpu, u32 msr, u64 data, bool host)
{
	/* What tells that there is no PEBS and no BTS is read-only. */
	if (!host)
		data = (data & ~PEBS_BTS_UNAVAILABLE) |
		       (vcpu->msrs.misc_enable & PEBS_BTS_UNAVAILABLE);
	set_plain(vcpu, msr, data, host);
	vlm_cpuid_update(vcpu);
	return 0;
}

/* Firmware of one vendor sets these on the other's CPUs too; only McStatusWrEn and the TSC bit stick. */
static int set_hwcr(struct vlm_vcpu *vcpu, u32 msr, u64 data, bool host)
{
	data &= ~(u64)(BIT(6) | BIT(8) | BIT(3));
	if (data & ~(u64)(BIT(18) | BIT(24)))
		return -EINVAL;
	return set_plain(vcpu, msr, data, host);
}

static int get_xss(struct vlm_vcpu *vcpu, u32 msr, u64 *data, bool host)
{
	if (!host && !vlm_cpuid_has(vcpu, VLM_CPUID_D_1_EAX, BIT(3)))
		return -ENOENT;
	return get_plain(vcpu, msr, data, host);
}

/* No supervisor component is offered. */
static int set_xss(struct vlm_vcpu *vcpu, u32 msr, u64 data, bool host)
{
	if (!host && !vlm_cpuid_has(vcpu, VLM_CPUID_D_1_EAX, BIT(3)))
		return -ENOENT;
	return data ? -EINVAL : 0;
}

/* A ratio of ten, as the stock hypervisor reports for software that computes a frequency from it. */
static int get_perf_status(struct vlm_vcpu *vcpu, u32 msr, u64 *data, bool host)
{
	*data = 1000ull | 4ull << 40;
	return 0;
}

/* L2 cache present, enabled and configured. */
static int get_bbl_cr_ctl3(struct vlm_vcpu *vcpu, u32 msr, u64 *data, bool host)
{
	*data = 0xbe702111;
	return 0;
}

/* Sorted by index. */
static const struct msr_range msr_table[] = {
	{ MSR_IA32_P5_MC_ADDR, MSR_IA32_P5_MC_TYPE, vlm_mce_get, vlm_mce_set },
	{ MSR_IA32_TSC, MSR_IA32_TSC, get_tsc, set_tsc },
	{ MSR_IA32_PLATFORM_ID, MSR_IA32_PLATFORM_ID, get_zero, set_readonly },
	{ MSR_IA32_APICBASE, MSR_IA32_APICBASE, get_apic_base, set_apic_base },
	{ MSR_IA32_EBL_CR_POWERON, MSR_IA32_EBL_CR_POWERON, get_zero, set_ignore },
	{ MSR_EBC_FREQUENCY_ID, MSR_EBC_FREQUENCY_ID, get_zero, set_ignore },
	{ MSR_SMI_COUNT, MSR_SMI_COUNT, get_plain, set_plain_host },
	{ MSR_IA32_FEAT_CTL, MSR_IA32_FEAT_CTL, get_plain, set_feature_control },
	{ MSR_IA32_TSC_ADJUST, MSR_IA32_TSC_ADJUST, get_tsc_adjust, set_tsc_adjust },
	{ MSR_IA32_SPEC_CTRL, MSR_IA32_SPEC_CTRL, get_spec_ctrl, set_spec_ctrl },
	{ MSR_IA32_PRED_CMD, MSR_IA32_PRED_CMD, get_writeonly, set_pred_cmd },
	{ MSR_IA32_UCODE_WRITE, MSR_IA32_UCODE_WRITE, get_writeonly, set_ignore },
	{ MSR_IA32_UCODE_REV, MSR_IA32_UCODE_REV, get_plain, set_microcode },
	{ MSR_P6_PERFCTR0, MSR_P6_PERFCTR1, get_zero, set_zero_only },
	{ MSR_FSB_FREQ, MSR_FSB_FREQ, get_zero, set_readonly },
	{ MSR_PLATFORM_INFO, MSR_PLATFORM_INFO, get_plain, set_platform_info },
	{ MSR_MTRRcap, MSR_MTRRcap, vlm_mtrr_get, vlm_mtrr_set },
	{ MSR_IA32_ARCH_CAPABILITIES, MSR_IA32_ARCH_CAPABILITIES,
	  get_arch_capabilities, set_arch_capabilities },
	{ MSR_IA32_FLUSH_CMD, MSR_IA32_FLUSH_CMD, get_writeonly, set_flush_cmd },
	{ MSR_IA32_BBL_CR_CTL3, MSR_IA32_BBL_CR_CTL3, get_bbl_cr_ctl3, set_ignore },
	{ MSR_MISC_FEATURES_ENABLES, MSR_MISC_FEATURES_ENABLES, get_plain, set_misc_features },
	{ MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_CS, get_vmx, set_low_half },
	{ MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP, get_vmx, set_address },
	{ MSR_IA32_MCG_CAP, MSR_IA32_MCG_CTL, vlm_mce_get, vlm_mce_set },
	{ MSR_P6_EVNTSEL0, MSR_P6_EVNTSEL1, get_zero, set_zero_only },
	{ MSR_IA32_PERF_STATUS, MSR_IA32_PERF_STATUS, get_perf_status, set_readonly },
	{ MSR_IA32_MISC_ENABLE, MSR_IA32_MISC_ENABLE, get_plain, set_misc_enable },
	{ MSR_IA32_DEBUGCTLMSR, MSR_IA32_DEBUGCTLMSR, get_vmx, set_debugctl },
	{ MSR_IA32_LASTBRANCHFROMIP, MSR_IA32_LASTINTTOIP, get_zero, set_zero_only },
	{ MSR_IA32_POWER_CTL, MSR_IA32_POWER_CTL, get_plain, set_plain },
	{ 0x200, 0x200 + 2 * VLM_MTRR_VARIABLE - 1, vlm_mtrr_get, vlm_mtrr_set },
	{ MSR_MTRRfix64K_00000, MSR_MTRRfix4K_F8000, vlm_mtrr_get, vlm_mtrr_set },
	{ MSR_IA32_CR_PAT, MSR_IA32_CR_PAT, get_vmx, set_pat },
	{ MSR_MTRRdefType, MSR_MTRRdefType, vlm_mtrr_get, vlm_mtrr_set },
	{ MSR_IA32_MC0_CTL, MSR_IA32_MC0_CTL + 4 * VLM_MCE_BANKS - 1, vlm_mce_get, vlm_mce_set },
	{ MSR_RAPL_POWER_UNIT, MSR_RAPL_POWER_UNIT, get_zero, set_readonly },
	{ MSR_PKG_ENERGY_STATUS, MSR_PKG_ENERGY_STATUS, get_zero, set_readonly },
	{ MSR_DRAM_ENERGY_STATUS, MSR_DRAM_ENERGY_STATUS, get_zero, set_readonly },
	{ MSR_PP0_ENERGY_STATUS, MSR_PP0_ENERGY_STATUS, get_zero, set_readonly },
	{ MSR_PP1_ENERGY_STATUS, MSR_PP1_ENERGY_STATUS, get_zero, set_readonly },
	{ MSR_IA32_TSC_DEADLINE, MSR_IA32_TSC_DEADLINE, get_tsc_deadline, set_tsc_deadline },
	{ 0x800, 0x8ff, get_x2apic, set_x2apic },
	{ MSR_IA32_XSS, MSR_IA32_XSS, get_xss, set_xss },
	{ MSR_EFER, MSR_EFER, get_efer, set_efer },
	{ MSR_STAR, MSR_STAR, get_vmx, set_vmx },
	{ MSR_LSTAR, MSR_CSTAR, get_vmx, set_address },
	{ MSR_SYSCALL_MASK, MSR_SYSCALL_MASK, get_vmx, set_low_half },
	{ MSR_FS_BASE, MSR_KERNEL_GS_BASE, get_vmx, set_address },
	{ MSR_TSC_AUX, MSR_TSC_AUX, get_tsc_aux, set_tsc_aux },
	{ MSR_AMD64_SYSCFG, MSR_AMD64_SYSCFG, get_zero, set_ignore },
	{ MSR_K7_HWCR, MSR_K7_HWCR, get_plain, set_hwcr },
	{ MSR_AMD64_PATCH_LOADER, MSR_AMD64_PATCH_LOADER, get_zero, set_ignore },
};

static const struct msr_range *find(u32 msr)
{
	size_t low = 0, high = ARRAY_SIZE(msr_table);

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (msr < msr_table[mid].first)
			high = mid;
		else if (msr > msr_table[mid].last)
			low = mid + 1;
		else
			return &msr_table[mid];
	}
	return NULL;
}

int vlm_get_msr(struct vlm_vcpu *vcpu, u32 msr, u64 *data, bool host)
{
	const struct msr_range *range = find(msr);
	int err = range ? range->get(vcpu, msr, data, host) : -ENOENT;

	if (err == -ENOENT)
		vcpu->msrs.unknown++;
	return err;
}

int vlm_set_msr(struct vlm_vcpu *vcpu, u32 msr, u64 data, bool host)
{
	const struct msr_range *range = find(msr);
	int err = range ? range->set(vcpu, msr, data, host) : -ENOENT;

	if (err == -ENOENT)
		vcpu->msrs.unknown++;
	return err;
}

int vlm_vcpu_get_msrs(struct vlm_vcpu *vcpu, struct kvm_msr_entry *entries, u32 n)
{
	u32 i;

	for (i = 0; i < n; i++) {
		if (vlm_get_msr(vcpu, entries[i].index, &entries[i].data, true))
			break;
	}
	return i;
}

int vlm_vcpu_set_msrs(struct vlm_vcpu *vcpu, const struct kvm_msr_entry *entries, u32 n)
{
	u32 i;

	for (i = 0; i < n; i++) {
		if (vlm_set_msr(vcpu, entries[i].index, entries[i].data, true))
			break;
	}
	return i;
}

/* Registers whose accesses need no check may be left to the hardware. */
static void open_bitmap(struct vlm_vcpu *vcpu)
{
	static const u32 free[] = {
		MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE,
		MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP,
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(free); i++)
		vlm_vmx_intercept_msr(&vcpu->vmx, free[i], false, false);
	/* Reads apply the offset by themselves. */
	vlm_vmx_intercept_msr(&vcpu->vmx, MSR_IA32_TSC, false, true);
}

void vlm_msrs_init(struct vlm_vcpu *vcpu)
{
	struct vlm_msrs *m = &vcpu->msrs;

	m->arch_capabilities = vlm_host_arch_capabilities();
	m->microcode = 0x100000000ull;
	m->platform_info = MSR_PLATFORM_INFO_CPUID_FAULT;
	m->mcg_cap = VLM_MCE_BANKS;
	open_bitmap(vcpu);
}

void vlm_msrs_reset(struct vlm_vcpu *vcpu, bool init)
{
	struct vlm_msrs *m = &vcpu->msrs;

	/* INIT leaves these alone, SDM table of states after power-up, reset and INIT. */
	if (init)
		return;
	m->misc_enable = MSR_IA32_MISC_ENABLE_FAST_STRING | PEBS_BTS_UNAVAILABLE;
	m->misc_features = 0;
	m->feature_control = FEAT_CTL_LOCKED;
	m->smi_count = 0;
	m->xss = 0;
	m->mcg_status = 0;
	m->apic_base = APIC_DEFAULT_PHYS_BASE | MSR_IA32_APICBASE_ENABLE;
	if (vcpu->head.id == vcpu->head.vm->bsp_id)
		m->apic_base |= MSR_IA32_APICBASE_BSP;
	memset(m->mtrr_fixed, 0, sizeof(m->mtrr_fixed));
	memset(m->mtrr_var, 0, sizeof(m->mtrr_var));
	m->mtrr_def = 0;
}
