/* SPDX-License-Identifier: GPL-2.0-only */
/* Tables of model-specific registers, for msr.c alone. */
#ifndef VLM_VCPU_MSR_TABLE_H
#define VLM_VCPU_MSR_TABLE_H

#include <linux/types.h>

struct vlm_vcpu;

/*
 * Accessors return 0, -EINVAL for a bad value, -ENOENT for a hole in their range or a
 * register that the CPU model lacks. @host: user space asks, not the guest.
 */
struct vlm_msr_range {
	u32 first;
	u32 last;
	int (*get)(struct vlm_vcpu *vcpu, u32 msr, u64 *data, bool host);
	int (*set)(struct vlm_vcpu *vcpu, u32 msr, u64 data, bool host);
};

struct vlm_msr_table {
	const struct vlm_msr_range *ranges;	/* sorted by index */
	u32 nr;
};

extern const struct vlm_msr_table vlm_msrs_hardware;	/* in the VMCS, or switched with the guest */
extern const struct vlm_msr_table vlm_msrs_software;	/* kept by the module */

/* IA32_MISC_ENABLE says for good that there is no PEBS and no BTS. */
#define VLM_MISC_ENABLE_FIXED \
	((u64)(MSR_IA32_MISC_ENABLE_PEBS_UNAVAIL | MSR_IA32_MISC_ENABLE_BTS_UNAVAIL))

/* A command: nothing to read, zero for user space that saves everything. */
int vlm_msr_get_writeonly(struct vlm_vcpu *vcpu, u32 msr, u64 *data, bool host);

#endif
