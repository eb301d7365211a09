// SPDX-License-Identifier: GPL-2.0-only
/* Registers that the module keeps: clocks, the local APIC's, machine checks, plain storage. */

#include <linux/kernel.h>

#include <asm/cpufeature.h>
#include <asm/msr.h>

#include "msr_table.h"
#include "private.h"

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

int vlm_msr_get_writeonly(struct vlm_vcpu *vcpu, u32 msr, u64 *data, bool host)
{
	if (!host)
		return -EINVAL;
	*data = 0;
	return 0;
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

static int set_misc_enable(struct vlm_vcpu *vcpu, u32 msr, u64 data, bool host)
{
	/* What tells that there is no PEBS and no BTS is read-only. */
	if (!host)
		data = (data & ~VLM_MISC_ENABLE_FIXED) |
		       (vcpu->msrs.misc_enable & VLM_MISC_ENABLE_FIXED);
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

static const struct vlm_msr_range ranges[] = {
	{ MSR_IA32_P5_MC_ADDR, MSR_IA32_P5_MC_TYPE, vlm_mce_get, vlm_mce_set },
	{ MSR_IA32_TSC, MSR_IA32_TSC, get_tsc, set_tsc },
	{ MSR_IA32_PLATFORM_ID, MSR_IA32_PLATFORM_ID, get_zero, set_readonly },
	{ MSR_IA32_APICBASE, MSR_IA32_APICBASE, get_apic_base, set_apic_base },
	{ MSR_IA32_EBL_CR_POWERON, MSR_IA32_EBL_CR_POWERON, get_zero, set_ignore },
	{ MSR_EBC_FREQUENCY_ID, MSR_EBC_FREQUENCY_ID, get_zero, set_ignore },
	{ MSR_SMI_COUNT, MSR_SMI_COUNT, get_plain, set_plain_host },
	{ MSR_IA32_FEAT_CTL, MSR_IA32_FEAT_CTL, get_plain, set_feature_control },
	{ MSR_IA32_TSC_ADJUST, MSR_IA32_TSC_ADJUST, get_tsc_adjust, set_tsc_adjust },
	{ MSR_IA32_UCODE_WRITE, MSR_IA32_UCODE_WRITE, vlm_msr_get_writeonly, set_ignore },
	{ MSR_IA32_UCODE_REV, MSR_IA32_UCODE_REV, get_plain, set_microcode },
	{ MSR_P6_PERFCTR0, MSR_P6_PERFCTR1, get_zero, set_zero_only },
	{ MSR_FSB_FREQ, MSR_FSB_FREQ, get_zero, set_readonly },
	{ MSR_PLATFORM_INFO, MSR_PLATFORM_INFO, get_plain, set_platform_info },
	{ MSR_MTRRcap, MSR_MTRRcap, vlm_mtrr_get, vlm_mtrr_set },
	{ MSR_IA32_ARCH_CAPABILITIES, MSR_IA32_ARCH_CAPABILITIES,
	  get_arch_capabilities, set_arch_capabilities },
	{ MSR_IA32_BBL_CR_CTL3, MSR_IA32_BBL_CR_CTL3, get_bbl_cr_ctl3, set_ignore },
	{ MSR_MISC_FEATURES_ENABLES, MSR_MISC_FEATURES_ENABLES, get_plain, set_misc_features },
	{ MSR_IA32_MCG_CAP, MSR_IA32_MCG_CTL, vlm_mce_get, vlm_mce_set },
	{ MSR_P6_EVNTSEL0, MSR_P6_EVNTSEL1, get_zero, set_zero_only },
	{ MSR_IA32_PERF_STATUS, MSR_IA32_PERF_STATUS, get_perf_status, set_readonly },
	{ MSR_IA32_MISC_ENABLE, MSR_IA32_MISC_ENABLE, get_plain, set_misc_enable },
	{ MSR_IA32_LASTBRANCHFROMIP, MSR_IA32_LASTINTTOIP, get_zero, set_zero_only },
	{ MSR_IA32_POWER_CTL, MSR_IA32_POWER_CTL, get_plain, set_plain },
	{ 0x200, 0x200 + 2 * VLM_MTRR_VARIABLE - 1, vlm_mtrr_get, vlm_mtrr_set },
	{ MSR_MTRRfix64K_00000, MSR_MTRRfix4K_F8000, vlm_mtrr_get, vlm_mtrr_set },
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
	{ MSR_AMD64_SYSCFG, MSR_AMD64_SYSCFG, get_zero, set_ignore },
	{ MSR_K7_HWCR, MSR_K7_HWCR, get_plain, set_hwcr },
	{ MSR_AMD64_PATCH_LOADER, MSR_AMD64_PATCH_LOADER, get_zero, set_ignore },
};

const struct vlm_msr_table vlm_msrs_software = { ranges, ARRAY_SIZE(ranges) };
