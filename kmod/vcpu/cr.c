// SPDX-License-Identifier: GPL-2.0-only
/*
 * Control registers and EFER: what the guest may write, and what follows from it.
 * SDM volume 3, "Control Registers" and "Paging-Mode Enabling".
 */

#include <linux/kernel.h>

#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include <asm/vmx.h>

#include "mmu/guest_walk.h"

#include "private.h"

#define CR0_DEFINED (X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_ET | \
		     X86_CR0_NE | X86_CR0_WP | X86_CR0_AM | X86_CR0_NW | X86_CR0_CD | X86_CR0_PG)
/* Bits 63:32 must be zero; the undefined ones below are ignored. */
#define CR0_MUST_BE_ZERO 0xffffffff00000000ull

/* Bits whose change makes PAE paging load the PDPTEs again. */
#define CR0_PDPTE_BITS (X86_CR0_PG | X86_CR0_CD | X86_CR0_NW)
#define CR4_PDPTE_BITS (X86_CR4_PGE | X86_CR4_PSE | X86_CR4_PAE | X86_CR4_SMEP)
/* Bits whose change invalidates translations. */
#define CR4_FLUSH_BITS (X86_CR4_PGE | X86_CR4_PSE | X86_CR4_PAE | X86_CR4_SMEP | \
			X86_CR4_SMAP | X86_CR4_PCIDE | X86_CR4_PKE)

/* CR4 bits that depend on a CPUID feature. */
static const struct {
	u64 bit;
	enum vlm_cpuid_word word;
	u32 feature;
} cr4_features[] = {
	{ X86_CR4_OSXSAVE, VLM_CPUID_1_ECX, BIT(26) },
	{ X86_CR4_PCIDE, VLM_CPUID_1_ECX, BIT(17) },
	{ X86_CR4_SMXE, VLM_CPUID_1_ECX, BIT(6) },
	{ X86_CR4_VMXE, VLM_CPUID_1_ECX, BIT(5) },
	{ X86_CR4_FSGSBASE, VLM_CPUID_7_EBX, BIT(0) },
	{ X86_CR4_SMEP, VLM_CPUID_7_EBX, BIT(7) },
	{ X86_CR4_SMAP, VLM_CPUID_7_EBX, BIT(20) },
	{ X86_CR4_UMIP, VLM_CPUID_7_ECX, BIT(2) },
	{ X86_CR4_PKE, VLM_CPUID_7_ECX, BIT(3) },
	{ X86_CR4_LA57, VLM_CPUID_7_ECX, BIT(16) },
};

#define CR4_ALWAYS (X86_CR4_VME | X86_CR4_PVI | X86_CR4_TSD | X86_CR4_DE | X86_CR4_PSE | \
		    X86_CR4_PAE | X86_CR4_MCE | X86_CR4_PGE | X86_CR4_PCE | X86_CR4_OSFXSR | \
		    X86_CR4_OSXMMEXCPT)

bool vlm_cr0_valid(u64 cr0)
{
	if (cr0 & CR0_MUST_BE_ZERO)
		return false;
	if ((cr0 & X86_CR0_NW) && !(cr0 & X86_CR0_CD))
		return false;
	return !(cr0 & X86_CR0_PG) || (cr0 & X86_CR0_PE);
}

/* Before KVM_SET_CPUID2 everything that could be offered is allowed. */
bool vlm_cr4_valid(struct vlm_vcpu *vcpu, u64 cr4)
{
	u64 allowed = CR4_ALWAYS;
	int i;

	for (i = 0; i < ARRAY_SIZE(cr4_features); i++) {
		u32 feature = cr4_features[i].feature;

		if (!(vlm_cpuid_cap(cr4_features[i].word) & feature))
			continue;
		if (!vcpu->cpuid.set || vlm_cpuid_has(vcpu, cr4_features[i].word, feature))
			allowed |= cr4_features[i].bit;
	}
	return !(cr4 & ~allowed);
}

bool vlm_efer_valid(struct vlm_vcpu *vcpu, u64 efer, bool host)
{
	u64 allowed = EFER_SCE | EFER_LME | EFER_LMA | EFER_NX;

	if (efer & ~allowed)
		return false;
	if (host || !vcpu->cpuid.set)
		return true;
	if ((efer & EFER_NX) && !vlm_cpuid_has(vcpu, VLM_CPUID_80000001_EDX, BIT(20)))
		return false;
	return !(efer & (EFER_LME | EFER_LMA)) ||
	       vlm_cpuid_has(vcpu, VLM_CPUID_80000001_EDX, BIT(29));
}

bool vlm_is_pae(u64 cr0, u64 cr4, u64 efer)
{
	return (cr0 & X86_CR0_PG) && (cr4 & X86_CR4_PAE) && !(efer & EFER_LMA);
}

/* Returns 0, or -EINVAL for #GP: a reserved bit, or no memory there. */
int vlm_load_pdptrs(struct vlm_vcpu *vcpu, u64 cr3)
{
	u64 pdptrs[4];

	if (vlm_guest_load_pdptrs(vcpu->mmu.mmu, vcpu->mmu.as_id, cr3, vcpu->cpuid.maxphyaddr,
				  pdptrs))
		return -EINVAL;
	vlm_vmx_set_pdptrs(&vcpu->vmx, pdptrs);
	return 0;
}

/* The rules of entering and leaving IA-32e mode; *@efer gets LMA as it will be. */
static int check_long_mode(struct vlm_vcpu *vcpu, u64 old, u64 cr0, u64 cr4, u64 *efer)
{
	bool on = !(old & X86_CR0_PG) && (cr0 & X86_CR0_PG);
	bool off = (old & X86_CR0_PG) && !(cr0 & X86_CR0_PG);
	struct kvm_segment cs;

	if (on && (*efer & EFER_LME)) {
		vlm_vmx_get_segment(&vcpu->vmx, VLM_SEG_CS, &cs);
		if (!(cr4 & X86_CR4_PAE) || cs.l)
			return -EINVAL;
		*efer |= EFER_LMA;
	}
	if (off) {
		if ((cr4 & X86_CR4_PCIDE) || vlm_is_long64(vcpu))
			return -EINVAL;
		*efer &= ~EFER_LMA;
	}
	return 0;
}

int vlm_set_cr0(struct vlm_vcpu *vcpu, u64 cr0)
{
	u64 old = vlm_vmx_cr0(&vcpu->vmx), cr4 = vlm_vmx_cr4(&vcpu->vmx);
	u64 old_efer = vlm_vmx_efer(&vcpu->vmx), efer = old_efer;

	if (!vlm_cr0_valid(cr0))
		return -EINVAL;
	cr0 = (cr0 & CR0_DEFINED) | X86_CR0_ET;
	if (check_long_mode(vcpu, old, cr0, cr4, &efer))
		return -EINVAL;
	if (vlm_is_pae(cr0, cr4, efer) && ((cr0 ^ old) & CR0_PDPTE_BITS) &&
	    vlm_load_pdptrs(vcpu, vlm_vmx_cr3(&vcpu->vmx)))
		return -EINVAL;

	/* Leaving IA-32e mode clears the entry control before paging goes off, and vice versa. */
	vlm_vmx_set_cr0(&vcpu->vmx, cr0);
	if (efer != old_efer)
		vlm_vmx_set_efer(&vcpu->vmx, efer);
	if ((cr0 ^ old) & (X86_CR0_PG | X86_CR0_WP))
		vlm_paging_changed(vcpu);
	return 0;
}

int vlm_set_cr3(struct vlm_vcpu *vcpu, u64 cr3)
{
	u64 cr4 = vlm_vmx_cr4(&vcpu->vmx), efer = vlm_vmx_efer(&vcpu->vmx);
	bool keep = false;

	if (efer & EFER_LMA) {
		if (cr4 & X86_CR4_PCIDE) {
			keep = cr3 & BIT_ULL(63);
			cr3 &= ~BIT_ULL(63);
		}
		if (cr3 >> vcpu->cpuid.maxphyaddr)
			return -EINVAL;
	} else {
		cr3 = (u32)cr3;
		if (vlm_is_pae(vlm_vmx_cr0(&vcpu->vmx), cr4, efer) && vlm_load_pdptrs(vcpu, cr3))
			return -EINVAL;
	}
	vlm_vmx_set_cr3(&vcpu->vmx, cr3);
	if (!keep)
		vlm_paging_changed(vcpu);
	return 0;
}

int vlm_set_cr4(struct vlm_vcpu *vcpu, u64 cr4)
{
	u64 old = vlm_vmx_cr4(&vcpu->vmx), cr0 = vlm_vmx_cr0(&vcpu->vmx);
	u64 efer = vlm_vmx_efer(&vcpu->vmx), cr3 = vlm_vmx_cr3(&vcpu->vmx);

	if (!vlm_cr4_valid(vcpu, cr4))
		return -EINVAL;
	if (efer & EFER_LMA) {
		if (!(cr4 & X86_CR4_PAE) || ((cr4 ^ old) & X86_CR4_LA57))
			return -EINVAL;
	}
	if ((cr4 & ~old) & X86_CR4_PCIDE) {
		if (!(efer & EFER_LMA) || (cr3 & 0xfff))
			return -EINVAL;
	}
	if (vlm_is_pae(cr0, cr4, efer) && ((cr4 ^ old) & CR4_PDPTE_BITS) &&
	    vlm_load_pdptrs(vcpu, cr3))
		return -EINVAL;
	vlm_vmx_set_cr4(&vcpu->vmx, cr4);
	if ((cr4 ^ old) & CR4_FLUSH_BITS)
		vlm_paging_changed(vcpu);
	if ((cr4 ^ old) & (X86_CR4_OSXSAVE | X86_CR4_PKE))
		vlm_cpuid_update(vcpu);
	return 0;
}

int vlm_set_efer(struct vlm_vcpu *vcpu, u64 efer, bool host)
{
	u64 old = vlm_vmx_efer(&vcpu->vmx);

	if (!vlm_efer_valid(vcpu, efer, host))
		return -EINVAL;
	if (!host && (vlm_vmx_cr0(&vcpu->vmx) & X86_CR0_PG) && ((efer ^ old) & EFER_LME))
		return -EINVAL;
	/* LMA is the CPU's to set. */
	efer = (efer & ~EFER_LMA) | (old & EFER_LMA);
	vlm_vmx_set_efer(&vcpu->vmx, efer);
	if ((efer ^ old) & EFER_NX)
		vlm_paging_changed(vcpu);
	return 0;
}

u64 vlm_get_cr8(struct vlm_vcpu *vcpu)
{
	return vlm_has_lapic(vcpu) ? vlm_lapic_cr8(&vcpu->head) : vcpu->cr8;
}

int vlm_set_cr8(struct vlm_vcpu *vcpu, u64 cr8)
{
	if (cr8 & ~0xfull)
		return -EINVAL;
	if (vlm_has_lapic(vcpu)) {
		vlm_lapic_set_cr8(&vcpu->head, cr8);
		vlm_request_set(&vcpu->head, VLM_REQ_EVENT);
	} else {
		vcpu->cr8 = cr8;
	}
	return 0;
}

/* With the local APIC in user space, a lower priority may let an interrupt through there. */
static int exit_cr8(struct vlm_vcpu *vcpu, u64 value)
{
	u64 old = vlm_get_cr8(vcpu);
	int step;

	if (vlm_set_cr8(vcpu, value)) {
		vlm_raise_error(vcpu, VLM_GP, 0);
		return VLM_RESUME;
	}
	step = vlm_skip_insn(vcpu);
	if (step != VLM_RESUME || vlm_has_lapic(vcpu) || old <= value)
		return step;
	vcpu->run->exit_reason = KVM_EXIT_SET_TPR;
	return VLM_TO_USER;
}

static int write_cr(struct vlm_vcpu *vcpu, u32 nr, u64 value)
{
	int err;

	switch (nr) {
	case 0:
		err = vlm_set_cr0(vcpu, value);
		break;
	case 3:
		err = vlm_set_cr3(vcpu, value);
		break;
	case 4:
		err = vlm_set_cr4(vcpu, value);
		break;
	case 8:
		return exit_cr8(vcpu, value);
	default:
		return vlm_exit_undefined(vcpu);
	}
	if (err) {
		vlm_raise_error(vcpu, VLM_GP, 0);
		return VLM_RESUME;
	}
	return vlm_skip_insn(vcpu);
}

static int read_cr(struct vlm_vcpu *vcpu, u32 nr, u32 gpr)
{
	switch (nr) {
	case 3:
		vcpu->regs[gpr] = vlm_vmx_cr3(&vcpu->vmx);
		break;
	case 8:
		vcpu->regs[gpr] = vlm_get_cr8(vcpu);
		break;
	default:
		return vlm_exit_undefined(vcpu);
	}
	return vlm_skip_insn(vcpu);
}

/* LMSW changes the low four bits, and cannot clear PE. */
static u64 lmsw(u64 cr0, u64 source)
{
	return (cr0 & ~0xeull) | (source & 0xf);
}

/* SDM table "Exit Qualification for Control-Register Accesses". */
int vlm_exit_cr(struct vlm_vcpu *vcpu)
{
	u64 q = vcpu->exit.qualification;
	u64 cr0 = vlm_vmx_cr0(&vcpu->vmx);
	u32 nr = q & CONTROL_REG_ACCESS_NUM;
	u32 gpr = (q >> 8) & 0xf;
	u64 value = vcpu->regs[gpr];

	if (q & BIT(3))
		nr |= 8;
	switch ((q >> 4) & 3) {
	case 0:
		if (!vlm_is_long64(vcpu))
			value = (u32)value;
		return write_cr(vcpu, nr, value);
	case 1:
		return read_cr(vcpu, nr, gpr);
	case 2:
		return write_cr(vcpu, 0, cr0 & ~X86_CR0_TS);
	default:
		return write_cr(vcpu, 0, lmsw(cr0, q >> 16));
	}
}
