// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory type range registers: stored and checked, without effect. Guest memory is
 * write-back whatever they say. SDM volume 3, "Memory Type Range Registers".
 */

#include <linux/nospec.h>

#include <asm/msr-index.h>

#include "private.h"

/* Variable count, fixed ranges, write combining. */
#define MTRR_CAP	(VLM_MTRR_VARIABLE | BIT(8) | BIT(10))

static const u16 fixed_msrs[VLM_MTRR_FIXED] = {
	MSR_MTRRfix64K_00000, MSR_MTRRfix16K_80000, MSR_MTRRfix16K_A0000,
	MSR_MTRRfix4K_C0000, MSR_MTRRfix4K_C8000, MSR_MTRRfix4K_D0000, MSR_MTRRfix4K_D8000,
	MSR_MTRRfix4K_E0000, MSR_MTRRfix4K_E8000, MSR_MTRRfix4K_F0000, MSR_MTRRfix4K_F8000,
};

bool vlm_memory_type_valid(u8 type)
{
	/* UC, WC, WT, WP, WB */
	return type == 0 || type == 1 || type == 4 || type == 5 || type == 6;
}

static u64 *storage(struct vlm_vcpu *vcpu, u32 msr)
{
	u32 i;

	if (msr == MSR_MTRRdefType)
		return &vcpu->msrs.mtrr_def;
	if (msr >= 0x200 && msr < 0x200 + 2 * VLM_MTRR_VARIABLE)
		return &vcpu->msrs.mtrr_var[array_index_nospec(msr - 0x200,
							       2 * VLM_MTRR_VARIABLE)];
	for (i = 0; i < VLM_MTRR_FIXED; i++) {
		if (fixed_msrs[i] == msr)
			return &vcpu->msrs.mtrr_fixed[i];
	}
	return NULL;
}

static bool is_valid(struct vlm_vcpu *vcpu, u32 msr, u64 data)
{
	u64 page = GENMASK_ULL(vcpu->cpuid.maxphyaddr - 1, 12);
	int i;

	if (msr == MSR_MTRRdefType)
		return !(data & ~0xcffull) && vlm_memory_type_valid(data & 0xff);
	if (msr < 0x200 + 2 * VLM_MTRR_VARIABLE) {
		if (msr & 1)
			return !(data & ~(page | BIT(11)));
		return !(data & ~(page | 0xff)) && vlm_memory_type_valid(data & 0xff);
	}
	for (i = 0; i < 64; i += 8) {
		if (!vlm_memory_type_valid(data >> i))
			return false;
	}
	return true;
}

int vlm_mtrr_get(struct vlm_vcpu *vcpu, u32 msr, u64 *data, bool host)
{
	u64 *value;

	if (msr == MSR_MTRRcap) {
		*data = MTRR_CAP;
		return 0;
	}
	value = storage(vcpu, msr);
	if (!value)
		return -ENOENT;
	*data = *value;
	return 0;
}

int vlm_mtrr_set(struct vlm_vcpu *vcpu, u32 msr, u64 data, bool host)
{
	u64 *value;

	/* Read-only, but user space may write back what it read. */
	if (msr == MSR_MTRRcap)
		return host && data == MTRR_CAP ? 0 : -EINVAL;
	value = storage(vcpu, msr);
	if (!value)
		return -ENOENT;
	if (!is_valid(vcpu, msr, data))
		return -EINVAL;
	*value = data;
	return 0;
}
