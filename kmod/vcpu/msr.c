// SPDX-License-Identifier: GPL-2.0-only
/*
 * Model-specific registers: sorted tables of ranges with their accessors. A register that
 * is in none does not exist: #GP for the guest, "stop here" for user space.
 */

#include <linux/kernel.h>

#include <asm/msr.h>

#include "msr_table.h"
#include "private.h"

static const struct vlm_msr_range *find_in(const struct vlm_msr_table *table, u32 msr)
{
	u32 low = 0, high = table->nr;

	while (low < high) {
		u32 mid = (low + high) / 2;

		if (msr < table->ranges[mid].first)
			high = mid;
		else if (msr > table->ranges[mid].last)
			low = mid + 1;
		else
			return &table->ranges[mid];
	}
	return NULL;
}

static const struct vlm_msr_range *find(u32 msr)
{
	return find_in(&vlm_msrs_hardware, msr) ?: find_in(&vlm_msrs_software, msr);
}

int vlm_get_msr(struct vlm_vcpu *vcpu, u32 msr, u64 *data, bool host)
{
	const struct vlm_msr_range *range = find(msr);
	int err = range ? range->get(vcpu, msr, data, host) : -ENOENT;

	if (err == -ENOENT)
		vcpu->msrs.unknown++;
	return err;
}

int vlm_set_msr(struct vlm_vcpu *vcpu, u32 msr, u64 data, bool host)
{
	const struct vlm_msr_range *range = find(msr);
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
	m->misc_enable = MSR_IA32_MISC_ENABLE_FAST_STRING | VLM_MISC_ENABLE_FIXED;
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
