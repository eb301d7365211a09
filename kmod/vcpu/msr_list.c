// SPDX-License-Identifier: GPL-2.0-only
/* KVM_GET_MSR_INDEX_LIST, feature MSRs. */

#include <linux/kernel.h>

#include <asm/cpufeature.h>
#include <asm/msr.h>

#include "private.h"

/* What user space must save and restore; everything here can be read and written back. */
static const u32 saved[] = {
	MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP,
	MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_SYSCALL_MASK, MSR_KERNEL_GS_BASE,
	MSR_IA32_TSC, MSR_IA32_TSC_ADJUST, MSR_IA32_TSC_DEADLINE, MSR_IA32_CR_PAT,
	MSR_IA32_ARCH_CAPABILITIES, MSR_IA32_MISC_ENABLE, MSR_IA32_MCG_STATUS,
	MSR_IA32_MCG_CTL, MSR_SMI_COUNT, MSR_PLATFORM_INFO, MSR_MISC_FEATURES_ENABLES,
	MSR_K7_HWCR, MSR_IA32_POWER_CTL, MSR_IA32_UCODE_REV,
	/* From here on only with the feature, see vlm_msr_index_list(). */
	MSR_TSC_AUX, MSR_IA32_SPEC_CTRL, MSR_IA32_XSS,
};

static u32 list[ARRAY_SIZE(saved)];

static bool is_listed(u32 msr)
{
	switch (msr) {
	case MSR_TSC_AUX:
		return vlm_cpuid_cap(VLM_CPUID_80000001_EDX) & BIT(27);
	case MSR_IA32_SPEC_CTRL:
		return vlm_cpuid_cap(VLM_CPUID_7_EDX) & (BIT(26) | BIT(27) | BIT(31));
	case MSR_IA32_XSS:
		return vlm_cpuid_cap(VLM_CPUID_D_1_EAX) & BIT(3);
	default:
		return true;
	}
}

static u32 listed;

void vlm_msr_module_init(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(saved); i++) {
		if (is_listed(saved[i]))
			list[listed++] = saved[i];
	}
}

u32 vlm_msr_index_list(const u32 **out)
{
	*out = list;
	return listed;
}

static const u32 features[] = {
	MSR_IA32_UCODE_REV, MSR_IA32_ARCH_CAPABILITIES,
};

u32 vlm_msr_feature_list(const u32 **out)
{
	*out = features;
	return ARRAY_SIZE(features);
}

/* Immunities that hold for a guest on this host, by what the kernel found out. */
u64 vlm_host_arch_capabilities(void)
{
	static const struct {
		u16 bug;
		u64 immune;
	} bugs[] = {
		{ X86_BUG_CPU_MELTDOWN, ARCH_CAP_RDCL_NO },
		{ X86_BUG_SPEC_STORE_BYPASS, ARCH_CAP_SSB_NO },
		{ X86_BUG_MDS, ARCH_CAP_MDS_NO },
	};
	u64 passed = ARCH_CAP_RDCL_NO | ARCH_CAP_IBRS_ALL | ARCH_CAP_RSBA | ARCH_CAP_SSB_NO |
		     ARCH_CAP_MDS_NO | ARCH_CAP_TAA_NO | ARCH_CAP_SBDR_SSDP_NO |
		     ARCH_CAP_FBSDP_NO | ARCH_CAP_PSDP_NO | ARCH_CAP_FB_CLEAR |
		     ARCH_CAP_PBRSB_NO | ARCH_CAP_GDS_NO | ARCH_CAP_RFDS_NO |
		     ARCH_CAP_RFDS_CLEAR;
	u64 caps = 0;
	int i;

	if (boot_cpu_has(X86_FEATURE_ARCH_CAPABILITIES))
		rdmsrl(MSR_IA32_ARCH_CAPABILITIES, caps);
	caps &= passed;
	for (i = 0; i < ARRAY_SIZE(bugs); i++) {
		if (!boot_cpu_has_bug(bugs[i].bug))
			caps |= bugs[i].immune;
	}
	/* The host splits executable huge pages and flushes L1D: nothing is left for the guest. */
	caps |= ARCH_CAP_PSCHANGE_MC_NO;
	if (boot_cpu_has_bug(X86_BUG_L1TF))
		caps |= ARCH_CAP_SKIP_VMENTRY_L1DFLUSH;
	return caps;
}

int vlm_msr_get_features(struct kvm_msr_entry *entries, u32 n)
{
	u32 i;

	for (i = 0; i < n; i++) {
		switch (entries[i].index) {
		case MSR_IA32_UCODE_REV:
			/* The revision in the upper half; one is as good as any. */
			entries[i].data = 0x100000000ull;
			if (!rdmsrl_safe(MSR_IA32_UCODE_REV, &entries[i].data) &&
			    !entries[i].data)
				entries[i].data = 0x100000000ull;
			break;
		case MSR_IA32_ARCH_CAPABILITIES:
			entries[i].data = vlm_host_arch_capabilities();
			break;
		default:
			return i;
		}
	}
	return i;
}
