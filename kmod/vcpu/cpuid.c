// SPDX-License-Identifier: GPL-2.0-only
/* The CPU model of one vCPU: KVM_SET/GET_CPUID2, the instruction, bits that follow state. */

#include <linux/slab.h>
#include <linux/string.h>

#include <asm/apicdef.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>

#include "private.h"

static struct kvm_cpuid_entry2 *find_in(struct kvm_cpuid_entry2 *entries, u32 nent, u32 leaf,
					u32 index)
{
	u32 i;

	for (i = 0; i < nent; i++) {
		struct kvm_cpuid_entry2 *e = &entries[i];

		if (e->function == leaf &&
		    (!(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || e->index == index))
			return e;
	}
	return NULL;
}

static struct kvm_cpuid_entry2 *find(struct vlm_vcpu *vcpu, u32 leaf, u32 index)
{
	return find_in(vcpu->cpuid.entries, vcpu->cpuid.nent, leaf, index);
}

/*
 * Basic leaves above the highest one read as the highest, on Intel's CPUs; other unknown
 * ones as zero. The hypervisor's range has a limit of its own and is never redirected.
 */
static struct kvm_cpuid_entry2 *find_out_of_range(struct vlm_vcpu *vcpu, u32 leaf, u32 index)
{
	struct kvm_cpuid_entry2 *basic;

	if (leaf & 0xc0000000)
		return NULL;
	basic = find(vcpu, 0, 0);
	if (!basic || leaf <= basic->eax)
		return NULL;
	return find(vcpu, basic->eax, index);
}

void vlm_cpuid(struct vlm_vcpu *vcpu, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx)
{
	u32 leaf = *eax, index = *ecx;
	struct kvm_cpuid_entry2 *e;
	bool exact = true;

	e = find(vcpu, leaf, index);
	if (!e) {
		exact = false;
		e = find_out_of_range(vcpu, leaf, index);
	}
	*eax = e ? e->eax : 0;
	*ebx = e ? e->ebx : 0;
	*ecx = e ? e->ecx : 0;
	*edx = e ? e->edx : 0;
	/* Topology leaves echo the level, and tell the APIC ID at every level. */
	if (!exact && (leaf == 0xb || leaf == 0x1f)) {
		e = find(vcpu, leaf, 1);
		if (e) {
			*ecx = index & 0xff;
			*edx = e->edx;
		}
	}
}

bool vlm_cpuid_faulting(struct vlm_vcpu *vcpu)
{
	return vcpu->msrs.misc_features & MSR_MISC_FEATURES_ENABLES_CPUID_FAULT;
}

static void put_bit(u32 *word, u32 bit, bool on)
{
	*word = on ? *word | bit : *word & ~bit;
}

/* Bits that tell the state of the vCPU rather than its model. */
static void update_entries(struct vlm_vcpu *vcpu, struct kvm_cpuid_entry2 *entries, u32 nent)
{
	u64 cr4 = vlm_vmx_cr4(&vcpu->vmx);
	struct kvm_cpuid_entry2 *e;

	e = find_in(entries, nent, 1, 0);
	if (e) {
		put_bit(&e->ecx, BIT(27), (e->ecx & BIT(26)) && (cr4 & X86_CR4_OSXSAVE));
		put_bit(&e->edx, BIT(9), vlm_apic_base(vcpu) & MSR_IA32_APICBASE_ENABLE);
		if (READ_ONCE(vcpu->head.vm->disabled_quirks) &
		    KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT)
			put_bit(&e->ecx, BIT(3),
				vcpu->msrs.misc_enable & MSR_IA32_MISC_ENABLE_MWAIT);
	}
	e = find_in(entries, nent, 7, 0);
	if (e)
		put_bit(&e->ecx, BIT(4), (e->ecx & BIT(3)) && (cr4 & X86_CR4_PKE));
	e = find_in(entries, nent, 0xd, 0);
	if (e)
		e->ebx = vlm_xstate_bytes(vcpu->fpu.xcr0, false);
	e = find_in(entries, nent, 0xd, 1);
	if (e && (e->eax & (BIT(1) | BIT(3))))
		e->ebx = vlm_xstate_bytes(vcpu->fpu.xcr0, true);
}

static void read_words(struct vlm_cpuid *cpuid)
{
	static const struct {
		u32 leaf, index;
		size_t reg;
	} places[VLM_CPUID_WORDS] = {
#define PLACE(leaf, index, name) { leaf, index, offsetof(struct kvm_cpuid_entry2, name) }
		[VLM_CPUID_1_ECX] = PLACE(1, 0, ecx),
		[VLM_CPUID_1_EDX] = PLACE(1, 0, edx),
		[VLM_CPUID_7_EBX] = PLACE(7, 0, ebx),
		[VLM_CPUID_7_ECX] = PLACE(7, 0, ecx),
		[VLM_CPUID_7_EDX] = PLACE(7, 0, edx),
		[VLM_CPUID_D_1_EAX] = PLACE(0xd, 1, eax),
		[VLM_CPUID_80000001_ECX] = PLACE(0x80000001, 0, ecx),
		[VLM_CPUID_80000001_EDX] = PLACE(0x80000001, 0, edx),
	};
	struct kvm_cpuid_entry2 *e;
	int i;

	for (i = 0; i < VLM_CPUID_WORDS; i++) {
		e = find_in(cpuid->entries, cpuid->nent, places[i].leaf, places[i].index);
		cpuid->words[i] = e ? *(u32 *)((void *)e + places[i].reg) : 0;
	}
}

void vlm_cpuid_update(struct vlm_vcpu *vcpu)
{
	struct vlm_cpuid *cpuid = &vcpu->cpuid;

	if (!cpuid->entries)
		return;
	update_entries(vcpu, cpuid->entries, cpuid->nent);
	read_words(cpuid);
}

/* What else follows from the model. */
static void derive(struct vlm_cpuid *cpuid)
{
	struct kvm_cpuid_entry2 *e;
	u64 xcr0 = 0;
	u32 bits = 36;

	e = find_in(cpuid->entries, cpuid->nent, 0x80000008, 0);
	if (e)
		bits = e->eax & 0xff;
	cpuid->maxphyaddr = clamp(bits, 32u, 52u);
	e = find_in(cpuid->entries, cpuid->nent, 0xd, 0);
	if (e)
		xcr0 = e->eax | (u64)e->edx << 32;
	cpuid->xcr0 = xcr0 & vlm_supported_xcr0();
}

static int check_model(struct kvm_cpuid_entry2 *entries, u32 nent)
{
	struct kvm_cpuid_entry2 *e = find_in(entries, nent, 0x80000008, 0);
	u32 bits;

	if (!e)
		return 0;
	/* The two widths of linear addresses that exist. */
	bits = (e->eax >> 8) & 0xff;
	return bits == 48 || bits == 57 || bits == 0 ? 0 : -EINVAL;
}

int vlm_vcpu_set_cpuid(struct vlm_vcpu *vcpu, const struct kvm_cpuid_entry2 *entries, u32 nent)
{
	struct vlm_cpuid *cpuid = &vcpu->cpuid;
	struct kvm_cpuid_entry2 *copy = NULL;
	int err;

	if (nent > VLM_MAX_CPUID_ENTRIES)
		return -E2BIG;
	if (nent) {
		copy = kvmalloc_array(nent, sizeof(*copy), GFP_KERNEL_ACCOUNT);
		if (!copy)
			return -ENOMEM;
		memcpy(copy, entries, nent * sizeof(*copy));
	}
	err = check_model(copy, nent);
	if (!err && cpuid->frozen) {
		/* Setting the same model again is allowed, so that a reset need not know. */
		update_entries(vcpu, copy, nent);
		if (nent != cpuid->nent || memcmp(copy, cpuid->entries, nent * sizeof(*copy)))
			err = -EINVAL;
	}
	if (err || cpuid->frozen) {
		kvfree(copy);
		return err;
	}
	kvfree(cpuid->entries);
	cpuid->entries = copy;
	cpuid->nent = nent;
	cpuid->set = true;
	derive(cpuid);
	vlm_cpuid_update(vcpu);
	if (!nent)
		memset(cpuid->words, 0, sizeof(cpuid->words));
	vcpu->debug.dr6 |= vlm_dr6_fixed(vcpu);
	if (vlm_has_lapic(vcpu))
		vlm_lapic_offer_tsc_deadline(&vcpu->head,
					     vlm_cpuid_has(vcpu, VLM_CPUID_1_ECX, BIT(24)));
	return 0;
}

int vlm_vcpu_get_cpuid(struct vlm_vcpu *vcpu, struct kvm_cpuid_entry2 *entries, u32 max)
{
	if (max < vcpu->cpuid.nent)
		return -E2BIG;
	if (vcpu->cpuid.nent)
		memcpy(entries, vcpu->cpuid.entries, vcpu->cpuid.nent * sizeof(*entries));
	return vcpu->cpuid.nent;
}

void vlm_cpuid_free(struct vlm_vcpu *vcpu)
{
	kvfree(vcpu->cpuid.entries);
	vcpu->cpuid.entries = NULL;
}
