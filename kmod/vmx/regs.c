// SPDX-License-Identifier: GPL-2.0-only
/*
 * The registers that live in the VMCS. SDM "Guest Register State", "Guest/Host Masks
 * and Read Shadows for CR0 and CR4".
 */
#include <linux/kernel.h>

#include <asm/desc_defs.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include <asm/tlbflush.h>

#include "cpu.h"

/*
 * CR0 bits that the guest changes without an exit. With an unrestricted guest these
 * include paging and protection: hardware keeps EFER.LMA and the "IA-32e mode
 * guest" control in step. CD and NW stay with the host, a VM entry does not switch
 * them; NE must be 1 in VMX operation.
 */
#define VLM_CR0_GUEST	(X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_ET | \
			 X86_CR0_WP | X86_CR0_AM | X86_CR0_PG)

/*
 * Without EPT the CPU always pages, by tables that the host makes, and write-protection
 * works on the kernel too: those bits exit.
 */
#define VLM_CR0_GUEST_SHADOW (VLM_CR0_GUEST & ~(X86_CR0_PE | X86_CR0_PG | X86_CR0_WP))
#define VLM_CR0_SHADOW	(X86_CR0_PE | X86_CR0_PG | X86_CR0_WP)

/* CR4 bits that every 64-bit processor has and that concern nobody but the guest. */
#define VLM_CR4_GUEST_DEFAULT							\
	(X86_CR4_VME | X86_CR4_PVI | X86_CR4_TSD | X86_CR4_DE | X86_CR4_PSE |	\
	 X86_CR4_PAE | X86_CR4_PGE | X86_CR4_PCE | X86_CR4_OSFXSR |		\
	 X86_CR4_OSXMMEXCPT)

/* Bits that CPUID mirrors or whose hardware value is not the guest's choice. */
#define VLM_CR4_MUST_EXIT							\
	(X86_CR4_VMXE | X86_CR4_SMXE | X86_CR4_MCE | X86_CR4_OSXSAVE | X86_CR4_PKE)
/* Without EPT, bits that say what the guest's tables mean. */
#define VLM_CR4_SHADOW_EXIT VLM_CR4_FLUSH
/* Of those, what would take the user's pages from a guest that does not page. */
#define VLM_CR4_PAGING_ONLY (X86_CR4_SMEP | X86_CR4_SMAP | X86_CR4_PKE)

/* Changes of these bits drop translations: SDM "Operations that Invalidate TLBs". */
#define VLM_CR0_FLUSH	(X86_CR0_PG | X86_CR0_WP)
#define VLM_CR4_FLUSH	(X86_CR4_PGE | X86_CR4_PAE | X86_CR4_PSE | X86_CR4_PCIDE |	\
			 X86_CR4_SMEP | X86_CR4_SMAP | X86_CR4_PKE | X86_CR4_LA57)

static u64 cr0_guest(void)
{
	return vlm_vmx_caps.ept ? VLM_CR0_GUEST : VLM_CR0_GUEST_SHADOW;
}

/* Where the cached registers stand; CR0 and CR4 get the bits that the guest does not own. */
static const u16 cached_field[VLM_NR_CACHED_REGS] = {
	[VLM_CACHED_RIP] = GUEST_RIP,
	[VLM_CACHED_RFLAGS] = GUEST_RFLAGS,
	[VLM_CACHED_CR0] = GUEST_CR0,
	[VLM_CACHED_CR3] = GUEST_CR3,
	[VLM_CACHED_CR4] = GUEST_CR4,
	[VLM_CACHED_EFER] = GUEST_IA32_EFER,
	[VLM_CACHED_CS_AR] = GUEST_CS_AR_BYTES,
	[VLM_CACHED_SS_AR] = GUEST_SS_AR_BYTES,
	[VLM_CACHED_INTERRUPTIBILITY] = GUEST_INTERRUPTIBILITY_INFO,
};

void vlm_vmx_fetch(struct vlm_vmx *vmx, enum vlm_cached_reg reg)
{
	u64 value = vlm_vmcs_read_any(cached_field[reg]);

	if (reg == VLM_CACHED_CR0)
		value = (value & cr0_guest()) |
			(vlm_vmcs_read_natural(CR0_READ_SHADOW) & ~cr0_guest());
	else if (reg == VLM_CACHED_CR3 && !vlm_vmx_caps.ept)
		value = vmx->shadow.cr3;
	else if (reg == VLM_CACHED_EFER && !vlm_vmx_caps.ept)
		value = vmx->shadow.efer;
	else if (reg == VLM_CACHED_CR4)
		value = (value & vmx->cr4_guest_mask) | (vmx->cr4_shadow & ~vmx->cr4_guest_mask);
	vlm_cache_reg(vmx, reg, value);
}

static void forget(struct vlm_vmx *vmx, enum vlm_cached_reg reg)
{
	vmx->cached_valid &= ~BIT(reg);
}

void vlm_vmx_set_rip(struct vlm_vmx *vmx, u64 rip)
{
	vlm_cache_reg(vmx, VLM_CACHED_RIP, rip);
	vmx->cached_dirty |= BIT(VLM_CACHED_RIP);
}

void vlm_vmx_set_rflags(struct vlm_vmx *vmx, u64 rflags)
{
	vlm_cache_reg(vmx, VLM_CACHED_RFLAGS, rflags | X86_EFLAGS_FIXED);
	if (rflags & X86_EFLAGS_VM)
		vmx->unchecked = true;
	vmx->cached_dirty |= BIT(VLM_CACHED_RFLAGS);
}

/* Write what the cache holds back before an entry. */
void vlm_regs_flush(struct vlm_vmx *vmx)
{
	if (vmx->cached_dirty & BIT(VLM_CACHED_RIP))
		vlm_vmcs_write_natural(GUEST_RIP, vmx->cached[VLM_CACHED_RIP]);
	if (vmx->cached_dirty & BIT(VLM_CACHED_RFLAGS))
		vlm_vmcs_write_natural(GUEST_RFLAGS, vmx->cached[VLM_CACHED_RFLAGS]);
	vmx->cached_dirty = 0;
	vlm_vmcs_write_natural(GUEST_RSP, vmx->sw.regs[VLM_RSP]);
}

/* The fields of the segments follow each other two by two, in the order of enum vlm_seg. */
#define VLM_SEG_FIELD(first, seg)	((first) + 2 * (seg))

static u32 access_rights(enum vlm_seg seg, const struct kvm_segment *in)
{
	u32 type = in->type;

	if (in->unusable || !in->present)
		return VMX_AR_UNUSABLE_MASK;
	/* A loaded segment was accessed, a loaded TSS is busy: entry checks insist. */
	if (seg == VLM_SEG_TR)
		type |= 2;
	else if (seg != VLM_SEG_LDTR && in->s)
		type |= 1;
	return type | (in->s & 1) << 4 | (in->dpl & 3) << 5 | 1 << 7 |
	       (in->avl & 1) << 12 | (in->l & 1) << 13 | (in->db & 1) << 14 | (in->g & 1) << 15;
}

void vlm_vmx_get_segment(struct vlm_vmx *vmx, enum vlm_seg seg, struct kvm_segment *out)
{
	u32 ar = vlm_vmcs_read32(VLM_SEG_FIELD(GUEST_ES_AR_BYTES, seg));
	bool unusable = ar & VMX_AR_UNUSABLE_MASK;

	*out = (struct kvm_segment) {
		.base = vlm_vmcs_read_natural(VLM_SEG_FIELD(GUEST_ES_BASE, seg)),
		.limit = vlm_vmcs_read32(VLM_SEG_FIELD(GUEST_ES_LIMIT, seg)),
		.selector = vlm_vmcs_read16(VLM_SEG_FIELD(GUEST_ES_SELECTOR, seg)),
		.type = ar & 15,
		.s = ar >> 4 & 1,
		.dpl = ar >> 5 & 3,
		.present = !unusable && (ar >> 7 & 1),
		.avl = ar >> 12 & 1,
		.l = ar >> 13 & 1,
		.db = ar >> 14 & 1,
		.g = ar >> 15 & 1,
		.unusable = unusable,
	};
}

/* IA-32e mode knows no 16-bit TSS: entry checks want a busy 64-bit one. */
static void fix_tr_for_long_mode(void)
{
	u32 ar = vlm_vmcs_read32(GUEST_TR_AR_BYTES);

	if (ar & VMX_AR_UNUSABLE_MASK)
		ar = VMX_AR_P_MASK;
	if ((ar & VMX_AR_TYPE_MASK) != VMX_AR_TYPE_BUSY_64_TSS)
		vlm_vmcs_write32(GUEST_TR_AR_BYTES,
				 (ar & ~VMX_AR_TYPE_MASK) | VMX_AR_TYPE_BUSY_64_TSS);
}

void vlm_vmx_set_segment(struct vlm_vmx *vmx, enum vlm_seg seg, const struct kvm_segment *in)
{
	vlm_vmcs_write16(VLM_SEG_FIELD(GUEST_ES_SELECTOR, seg), in->selector);
	vlm_vmcs_write_natural(VLM_SEG_FIELD(GUEST_ES_BASE, seg), in->base);
	vlm_vmcs_write32(VLM_SEG_FIELD(GUEST_ES_LIMIT, seg), in->limit);
	vlm_vmcs_write32(VLM_SEG_FIELD(GUEST_ES_AR_BYTES, seg), access_rights(seg, in));
	vmx->unchecked = true;
	if (seg == VLM_SEG_CS)
		forget(vmx, VLM_CACHED_CS_AR);
	else if (seg == VLM_SEG_SS)
		forget(vmx, VLM_CACHED_SS_AR);
	if (seg == VLM_SEG_TR && (vlm_vmx_efer(vmx) & EFER_LMA))
		fix_tr_for_long_mode();
}

u64 vlm_vmx_segment_base(struct vlm_vmx *vmx, enum vlm_seg seg)
{
	return vlm_vmcs_read_natural(VLM_SEG_FIELD(GUEST_ES_BASE, seg));
}

void vlm_vmx_get_dtable(struct vlm_vmx *vmx, bool idt, struct kvm_dtable *out)
{
	*out = (struct kvm_dtable) {
		.base = idt ? vlm_vmcs_read_natural(GUEST_IDTR_BASE) :
			      vlm_vmcs_read_natural(GUEST_GDTR_BASE),
		.limit = idt ? vlm_vmcs_read32(GUEST_IDTR_LIMIT) :
			       vlm_vmcs_read32(GUEST_GDTR_LIMIT),
	};
}

void vlm_vmx_set_dtable(struct vlm_vmx *vmx, bool idt, const struct kvm_dtable *in)
{
	if (idt) {
		vlm_vmcs_write_natural(GUEST_IDTR_BASE, in->base);
		vlm_vmcs_write32(GUEST_IDTR_LIMIT, in->limit);
	} else {
		vlm_vmcs_write_natural(GUEST_GDTR_BASE, in->base);
		vlm_vmcs_write32(GUEST_GDTR_LIMIT, in->limit);
	}
}

/* What the CPU gets for the guest's @cr4. */
static u64 hardware_cr4(struct vlm_vmx *vmx, u64 cr4)
{
	/* Without MCE a machine check in the guest would shut the machine down. */
	u64 value = cr4 | vlm_vmx_caps.cr4_fixed0 | (__read_cr4() & X86_CR4_MCE);

	if (vlm_vmx_caps.ept)
		return value;
	value |= X86_CR4_PAE;
	if (!(vlm_vmx_cr0(vmx) & X86_CR0_PG))
		value &= ~(u64)VLM_CR4_PAGING_ONLY;
	return value;
}

void vlm_vmx_set_cr0(struct vlm_vmx *vmx, u64 cr0)
{
	u64 old = vlm_vmcs_read_natural(GUEST_CR0);
	u64 value = (cr0 & ~(X86_CR0_CD | X86_CR0_NW)) | X86_CR0_ET;

	/* With an unrestricted guest PE and PG may be 0 against the fixed bits. */
	value |= vlm_vmx_caps.cr0_fixed0 & ~(X86_CR0_PE | X86_CR0_PG);
	if (!vlm_vmx_caps.ept)
		value |= VLM_CR0_SHADOW;
	value &= vlm_vmx_caps.cr0_fixed1;
	vlm_vmcs_write_natural(CR0_READ_SHADOW, cr0 | X86_CR0_ET);
	vlm_vmcs_write_natural(GUEST_CR0, value);
	forget(vmx, VLM_CACHED_CR0);
	vmx->unchecked = true;
	if (!vlm_vmx_caps.ept)
		vlm_vmcs_write_natural(GUEST_CR4, hardware_cr4(vmx, vlm_vmx_cr4(vmx)));
	if ((old ^ value) & VLM_CR0_FLUSH)
		vlm_vmx_flush_vpid(vmx);
}

u64 vlm_vmx_cr2(struct vlm_vmx *vmx)
{
	return vmx->cr2;
}

void vlm_vmx_set_cr2(struct vlm_vmx *vmx, u64 cr2)
{
	vmx->cr2 = cr2;
}

void vlm_vmx_set_cr3(struct vlm_vmx *vmx, u64 cr3)
{
	if (vlm_vmx_caps.ept)
		vlm_vmcs_write_natural(GUEST_CR3, cr3);
	else
		vmx->shadow.cr3 = cr3;
	vlm_cache_reg(vmx, VLM_CACHED_CR3, cr3);
	vlm_vmx_flush_vpid(vmx);
}

void vlm_vmx_set_shadow_root(struct vlm_vmx *vmx, u64 pa)
{
	vlm_vmcs_write_natural(GUEST_CR3, pa);
	vlm_vmx_flush_vpid(vmx);
}

void vlm_vmx_set_cr4(struct vlm_vmx *vmx, u64 cr4)
{
	u64 old = vlm_vmcs_read_natural(GUEST_CR4);
	u64 value = hardware_cr4(vmx, cr4);

	vlm_vmcs_write_natural(CR4_READ_SHADOW, cr4);
	vmx->cr4_shadow = cr4;
	vlm_vmcs_write_natural(GUEST_CR4, value);
	forget(vmx, VLM_CACHED_CR4);
	if ((old ^ value) & VLM_CR4_FLUSH)
		vlm_vmx_flush_vpid(vmx);
}

void vlm_vmx_set_cr4_guest_bits(struct vlm_vmx *vmx, u64 bits)
{
	u64 cr4 = vlm_vmx_cr4(vmx);

	vmx->cr4_guest_mask = bits & ~VLM_CR4_MUST_EXIT & vlm_vmx_caps.cr4_fixed1;
	if (!vlm_vmx_caps.ept)
		vmx->cr4_guest_mask &= ~(u64)VLM_CR4_SHADOW_EXIT;
	vlm_vmcs_write_natural(CR4_GUEST_HOST_MASK, ~vmx->cr4_guest_mask);
	vlm_vmcs_write_natural(CR4_READ_SHADOW, cr4);
	vmx->cr4_shadow = cr4;
	forget(vmx, VLM_CACHED_CR4);
}

/*
 * What the CPU gets for the guest's @efer. Shadow tables forbid execution where the guest's do
 * not, and the CPU pages already where the guest has only announced IA-32e mode.
 */
static u64 hardware_efer(u64 efer)
{
	if (vlm_vmx_caps.ept)
		return efer;
	if (!(efer & EFER_LMA))
		efer &= ~(u64)EFER_LME;
	return efer | EFER_NX;
}

void vlm_vmx_set_efer(struct vlm_vmx *vmx, u64 efer)
{
	/* Hardware writes this control at each exit, so there is no copy of it to trust. */
	u32 ctls = vlm_vmcs_read32(VM_ENTRY_CONTROLS);
	u32 value = efer & EFER_LMA ? ctls | VM_ENTRY_IA32E_MODE : ctls & ~VM_ENTRY_IA32E_MODE;

	vmx->shadow.efer = efer;
	vmx->unchecked = true;
	vlm_vmcs_write64(GUEST_IA32_EFER, hardware_efer(efer));
	vlm_cache_reg(vmx, VLM_CACHED_EFER, efer);
	if (value != ctls)
		vlm_vmcs_write32(VM_ENTRY_CONTROLS, value);
	if (efer & EFER_LMA)
		fix_tr_for_long_mode();
	if (!(efer & EFER_SCE) != (vmx->first_lazy == VLM_LAZY_TSC_AUX))
		vlm_lazy_msrs_set_syscall(vmx, efer & EFER_SCE);
}

u64 vlm_vmx_dr7(struct vlm_vmx *vmx)
{
	return vlm_vmcs_read_natural(GUEST_DR7);
}

void vlm_vmx_set_dr7(struct vlm_vmx *vmx, u64 dr7)
{
	vlm_vmcs_write_natural(GUEST_DR7, lower_32_bits(dr7) | VLM_DR7_FIXED);
}

void vlm_vmx_get_pdptrs(struct vlm_vmx *vmx, u64 pdptr[4])
{
	int i;

	for (i = 0; i < 4; i++)
		pdptr[i] = vlm_vmx_caps.ept ? vlm_vmcs_read64(GUEST_PDPTR0 + 2 * i) :
					      vmx->shadow.pdptrs[i];
}

void vlm_vmx_set_pdptrs(struct vlm_vmx *vmx, const u64 pdptr[4])
{
	int i;

	/* Without EPT the CPU loads them with CR3, from the host's tables. */
	for (i = 0; i < 4; i++) {
		vmx->shadow.pdptrs[i] = pdptr[i];
		if (vlm_vmx_caps.ept)
			vlm_vmcs_write64(GUEST_PDPTR0 + 2 * i, pdptr[i]);
	}
}

/* SDM table "IA-32 and Intel 64 Processor States Following Power-up, Reset, or INIT". */
void vlm_vmx_reset(struct vlm_vmx *vmx)
{
	static const struct kvm_segment code = {
		.base = 0xffff0000, .limit = 0xffff, .selector = 0xf000,
		.type = 11, .present = 1, .s = 1,
	};
	static const struct kvm_segment data = {
		.limit = 0xffff, .type = 3, .present = 1, .s = 1,
	};
	static const struct kvm_segment ldtr = { .limit = 0xffff, .type = 2, .present = 1 };
	static const struct kvm_segment tr = { .limit = 0xffff, .type = 11, .present = 1 };
	static const struct kvm_dtable dtable = { .limit = 0xffff };
	enum vlm_seg seg;

	vlm_vmcs_write_natural(CR0_GUEST_HOST_MASK, ~(unsigned long)cr0_guest());
	vlm_vmx_set_efer(vmx, 0);
	vlm_vmx_set_cr0(vmx, X86_CR0_CD | X86_CR0_NW | X86_CR0_ET);
	vlm_vmx_set_cr4(vmx, 0);
	vlm_vmx_set_cr4_guest_bits(vmx, VLM_CR4_GUEST_DEFAULT);
	vlm_vmx_set_cr3(vmx, 0);
	vlm_vmx_set_cr2(vmx, 0);

	for (seg = VLM_SEG_ES; seg <= VLM_SEG_GS; seg++)
		vlm_vmx_set_segment(vmx, seg, seg == VLM_SEG_CS ? &code : &data);
	vlm_vmx_set_segment(vmx, VLM_SEG_LDTR, &ldtr);
	vlm_vmx_set_segment(vmx, VLM_SEG_TR, &tr);
	vlm_vmx_set_dtable(vmx, false, &dtable);
	vlm_vmx_set_dtable(vmx, true, &dtable);

	vlm_vmx_set_rip(vmx, 0xfff0);
	vlm_vmx_set_rflags(vmx, X86_EFLAGS_FIXED);
	vlm_vmx_set_dr7(vmx, VLM_DR7_FIXED);
	vlm_vmcs_write64(GUEST_IA32_DEBUGCTL, 0);
	vlm_vmcs_write_natural(GUEST_PENDING_DBG_EXCEPTIONS, 0);
	vlm_vmx_set_interruptibility(vmx, 0);
	vlm_vmcs_write32(GUEST_ACTIVITY_STATE, GUEST_ACTIVITY_ACTIVE);
	vlm_vmcs_write32(VM_ENTRY_INTR_INFO_FIELD, 0);
	vlm_vmx_set_irq_window(vmx, false);
	vlm_vmx_set_nmi_window(vmx, false);
}
