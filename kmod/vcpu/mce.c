// SPDX-License-Identifier: GPL-2.0-only
/* Machine-check registers: banks without errors. SDM volume 3, "Machine-Check Architecture". */

#include <linux/nospec.h>

#include <asm/mce.h>
#include <asm/msr-index.h>

#include "private.h"

u64 vlm_mce_cap_supported(void)
{
	return MCG_CTL_P | MCG_SER_P;
}

int vlm_vcpu_setup_mce(struct vlm_vcpu *vcpu, u64 mcg_cap)
{
	u32 banks = mcg_cap & MCG_BANKCNT_MASK, i;

	if (!banks || banks > VLM_MCE_BANKS)
		return -EINVAL;
	if (mcg_cap & ~(vlm_mce_cap_supported() | 0xff | 0xff0000))
		return -EINVAL;
	vcpu->msrs.mcg_cap = mcg_cap;
	if (mcg_cap & MCG_CTL_P)
		vcpu->msrs.mcg_ctl = ~0ull;
	for (i = 0; i < banks; i++)
		vcpu->msrs.mce[4 * i] = ~0ull;
	return 0;
}

static bool is_bank(struct vlm_vcpu *vcpu, u32 msr)
{
	u32 banks = vcpu->msrs.mcg_cap & MCG_BANKCNT_MASK;

	return msr >= MSR_IA32_MC0_CTL && msr < MSR_IA32_MC0_CTL + 4 * banks;
}

int vlm_mce_get(struct vlm_vcpu *vcpu, u32 msr, u64 *data, bool host)
{
	switch (msr) {
	case MSR_IA32_P5_MC_ADDR:
	case MSR_IA32_P5_MC_TYPE:
		*data = 0;
		return 0;
	case MSR_IA32_MCG_CAP:
		*data = vcpu->msrs.mcg_cap;
		return 0;
	case MSR_IA32_MCG_STATUS:
		*data = vcpu->msrs.mcg_status;
		return 0;
	case MSR_IA32_MCG_CTL:
		if (!(vcpu->msrs.mcg_cap & MCG_CTL_P) && !host)
			return -EINVAL;
		*data = vcpu->msrs.mcg_ctl;
		return 0;
	}
	if (!is_bank(vcpu, msr))
		return -ENOENT;
	*data = vcpu->msrs.mce[array_index_nospec(msr - MSR_IA32_MC0_CTL, 4 * VLM_MCE_BANKS)];
	return 0;
}

static int set_bank(struct vlm_vcpu *vcpu, u32 msr, u64 data, bool host)
{
	u32 i = array_index_nospec(msr - MSR_IA32_MC0_CTL, 4 * VLM_MCE_BANKS);

	switch (i & 3) {
	case 0:
		/* All bits or none; Linux leaves the lowest one off on some models. */
		if (data && (data | 1) != ~0ull && data != (1ull << 10 ^ ~0ull))
			return -EINVAL;
		break;
	case 1:
		/* Software may clear STATUS, nothing else. */
		if (!host && data)
			return -EINVAL;
		break;
	}
	vcpu->msrs.mce[i] = data;
	return 0;
}

int vlm_mce_set(struct vlm_vcpu *vcpu, u32 msr, u64 data, bool host)
{
	switch (msr) {
	case MSR_IA32_P5_MC_ADDR:
	case MSR_IA32_P5_MC_TYPE:
		return data && !host ? -EINVAL : 0;
	case MSR_IA32_MCG_CAP:
		return host && data == vcpu->msrs.mcg_cap ? 0 : -EINVAL;
	case MSR_IA32_MCG_STATUS:
		vcpu->msrs.mcg_status = data;
		return 0;
	case MSR_IA32_MCG_CTL:
		if (!(vcpu->msrs.mcg_cap & MCG_CTL_P) && (data || !host))
			return -EINVAL;
		if (data && data != ~0ull)
			return -EINVAL;
		vcpu->msrs.mcg_ctl = data;
		return 0;
	}
	return is_bank(vcpu, msr) ? set_bank(vcpu, msr, data, host) : -ENOENT;
}
