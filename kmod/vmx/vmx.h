/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The face of the hardware. A leaf: nothing here calls back. An exit is decoded
 * into a plain struct and returned. SDM volume 3, chapters "Introduction to Virtual
 * Machine Extensions" to "VMX Instruction Reference".
 */
#ifndef VLM_VMX_VMX_H
#define VLM_VMX_VMX_H

#include <linux/bits.h>
#include <linux/kvm.h>
#include <linux/types.h>

#include <asm/vmx.h>

/* Indices of vlm_vcpu::regs and of every GPR array: the architectural encoding. */
enum vlm_gpr {
	VLM_RAX, VLM_RCX, VLM_RDX, VLM_RBX, VLM_RSP, VLM_RBP, VLM_RSI, VLM_RDI,
	VLM_R8, VLM_R9, VLM_R10, VLM_R11, VLM_R12, VLM_R13, VLM_R14, VLM_R15,
	VLM_NR_GPRS
};

/* Segment registers in the VMCS's order. */
enum vlm_seg {
	VLM_SEG_ES, VLM_SEG_CS, VLM_SEG_SS, VLM_SEG_DS, VLM_SEG_FS, VLM_SEG_GS,
	VLM_SEG_LDTR, VLM_SEG_TR, VLM_NR_SEGS
};

/* What the CPU can do, read once at load; constant afterwards. */
struct vlm_vmx_caps {
	u32 vmcs_revision;
	u32 vmcs_size;
	bool vpid, invvpid_addr, invvpid_single, invvpid_global;
	bool ept;		/* guests translate by EPT, and run unrestricted; else by shadow tables */
	bool invept_single, invept_global;
	bool ept_ad, ept_2m, ept_1g, ept_exec_only, ept_5level;
	bool pml, preemption_timer, ple, tsc_scaling, xsaves, rdtscp, invpcid, umip;
	bool apicv_tpr_shadow, apicv_access, apicv_registers, apicv_vid, apicv_x2apic;
	bool virtual_nmi;
	bool posted_intr;
	bool load_perf_global_ctrl;
	bool mode_based_exec;
	u64 cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
	u8 preemption_timer_shift;
};
extern struct vlm_vmx_caps vlm_vmx_caps;	/* __ro_after_init in spirit: written by vlm_vmx_probe() only */

/* How guest-physical addresses are translated. */
enum vlm_translation {
	VLM_TRANSLATE_EPT,
	VLM_TRANSLATE_SHADOW,	/* by tables of the host's making, in place of the guest's */
};

/*
 * Read capabilities. Return 0 or, with one line in the log that names the remedy:
 * -ENODEV (no VMX), -EACCES? see vmx/probe.c for the table of errnos, -EBUSY (other owner).
 */
int vlm_vmx_probe(enum vlm_translation translation);
/* VMXON on every online CPU, and on those that come; suspend, reboot and panic hooks. */
int vlm_vmx_enable(void);
void vlm_vmx_disable(void);

struct vmcs;

/**
 * struct vlm_vmx - one vCPU's hardware half; private to vmx/ except where said
 */
struct vlm_vmx;
#include "state.h"

#define VLM_EXIT_NONE		0xffff	/* vlm_exit::reason when there was no VM exit */
#define VLM_ENTRY_FAULTED	~0u	/* vlm_exit::entry_error: VMX is off, the machine goes down */

/*
 * One VM exit, decoded. Valid until the next entry. Names follow the SDM fields.
 */
struct vlm_exit {
	u16 reason;		/* basic exit reason, EXIT_REASON_* of <asm/vmx.h> */
	bool entry_failed;	/* bit 31 of the exit reason: guest state or MSR loading refused */
	u32 entry_error;	/* VM-instruction error or VLM_ENTRY_FAULTED when the entry instruction itself failed, else 0 */
	u64 qualification;
	u64 gpa;		/* guest-physical address, for EPT exits */
	u64 gla;		/* guest-linear address */
	u32 intr_info;		/* VM-exit interruption information */
	u32 intr_error;
	u32 idt_info;		/* IDT-vectoring information */
	u32 idt_error;
	u32 insn_len;
	u32 insn_info;
};

/* Creation and loading on a CPU. load/put: preemption off. */
int vlm_vmx_vcpu_init(struct vlm_vmx *vmx, u64 *regs);	/* -ENOMEM */
void vlm_vmx_vcpu_destroy(struct vlm_vmx *vmx);
void vlm_vmx_load(struct vlm_vmx *vmx, int cpu);	/* VMPTRLD, host state of this CPU */
void vlm_vmx_put(struct vlm_vmx *vmx);			/* host MSRs and segments back */
/* All further accessors: the vCPU is loaded, preemption off or vCPU lock held with the VMCS current. */

/*
 * Enter the guest once. IRQs off, FPU holds guest state, requests were checked.
 * On return IRQs are still off, NMIs and machine checks that caused the exit have been
 * handled, @exit is filled. GPRs are in the array given at init; RIP, RSP, RFLAGS in it too.
 */
void vlm_vmx_enter(struct vlm_vmx *vmx, struct vlm_exit *exit);

/* Registers kept in the VMCS. RSP lives in regs[VLM_RSP] and is synchronised by enter. */
void vlm_vmx_fetch(struct vlm_vmx *vmx, enum vlm_cached_reg reg);	/* fill the cache */

static inline u64 vlm_vmx_cached(struct vlm_vmx *vmx, enum vlm_cached_reg reg)
{
	if (!(vmx->cached_valid & BIT(reg)))
		vlm_vmx_fetch(vmx, reg);
	return vmx->cached[reg];
}

static inline u64 vlm_vmx_rip(struct vlm_vmx *vmx)
{
	return vlm_vmx_cached(vmx, VLM_CACHED_RIP);
}

static inline u64 vlm_vmx_rflags(struct vlm_vmx *vmx)
{
	return vlm_vmx_cached(vmx, VLM_CACHED_RFLAGS);
}

void vlm_vmx_set_rip(struct vlm_vmx *vmx, u64 rip);
void vlm_vmx_set_rflags(struct vlm_vmx *vmx, u64 rflags);
void vlm_vmx_get_segment(struct vlm_vmx *vmx, enum vlm_seg seg, struct kvm_segment *out);
void vlm_vmx_set_segment(struct vlm_vmx *vmx, enum vlm_seg seg, const struct kvm_segment *in);
u64 vlm_vmx_segment_base(struct vlm_vmx *vmx, enum vlm_seg seg);

/* Access rights in the VMCS's format, SDM table "Format of Access Rights". */
static inline u32 vlm_vmx_cs_ar(struct vlm_vmx *vmx)
{
	return (u32)vlm_vmx_cached(vmx, VLM_CACHED_CS_AR);
}

/* DPL of SS, SDM "Guest Register State". */
static inline int vlm_vmx_cpl(struct vlm_vmx *vmx)
{
	return vlm_vmx_cached(vmx, VLM_CACHED_SS_AR) >> 5 & 3;
}

void vlm_vmx_get_dtable(struct vlm_vmx *vmx, bool idt, struct kvm_dtable *out);
void vlm_vmx_set_dtable(struct vlm_vmx *vmx, bool idt, const struct kvm_dtable *in);

/* Control registers as the guest sees them; masks and fixed bits are handled inside. */
static inline u64 vlm_vmx_cr0(struct vlm_vmx *vmx)
{
	return vlm_vmx_cached(vmx, VLM_CACHED_CR0);
}

void vlm_vmx_set_cr0(struct vlm_vmx *vmx, u64 cr0);
/* CR2 is switched by enter; */
u64 vlm_vmx_cr2(struct vlm_vmx *vmx);
void vlm_vmx_set_cr2(struct vlm_vmx *vmx, u64 cr2);
static inline u64 vlm_vmx_cr3(struct vlm_vmx *vmx)
{
	return vlm_vmx_cached(vmx, VLM_CACHED_CR3);
}

void vlm_vmx_set_cr3(struct vlm_vmx *vmx, u64 cr3);
static inline u64 vlm_vmx_cr4(struct vlm_vmx *vmx)
{
	return vlm_vmx_cached(vmx, VLM_CACHED_CR4);
}

/* Likewise, but only bits that exit when the guest changes them count: OSXSAVE, PKE, ... */
static inline u64 vlm_vmx_cr4_exiting(const struct vlm_vmx *vmx)
{
	return vmx->cr4_shadow;
}

void vlm_vmx_set_cr4(struct vlm_vmx *vmx, u64 cr4);
/*
 * CR4 bits that vcpu/ leaves to the guest, e.g. by its CPUID. Bits that must exit
 * (VMXE, MCE, OSXSAVE, PKE, ...) are removed. The default is the set of bits that every
 * 64-bit processor has.
 */
void vlm_vmx_set_cr4_guest_bits(struct vlm_vmx *vmx, u64 bits);

static inline u64 vlm_vmx_efer(struct vlm_vmx *vmx)
{
	return vlm_vmx_cached(vmx, VLM_CACHED_EFER);
}

void vlm_vmx_set_efer(struct vlm_vmx *vmx, u64 efer);	/* also the "IA-32e mode guest" control */
u64 vlm_vmx_dr7(struct vlm_vmx *vmx);
#define VLM_DR7_FIXED	0x400ULL	/* the bit of DR7 that is always 1 */
void vlm_vmx_set_dr7(struct vlm_vmx *vmx, u64 dr7);
void vlm_vmx_get_pdptrs(struct vlm_vmx *vmx, u64 pdptr[4]);
void vlm_vmx_set_pdptrs(struct vlm_vmx *vmx, const u64 pdptr[4]);

/*
 * Without EPT: the tables that the CPU walks, a PML4 or, outside of IA-32e mode, a table of
 * PDPTEs below 4 GiB. What vlm_vmx_cr3() returns is the guest's all the same.
 */
void vlm_vmx_set_shadow_root(struct vlm_vmx *vmx, u64 pa);
/*
 * The CPU can run the guest as it is. Always true with EPT; without, real mode cannot be run,
 * nor can segments that only a switch of modes leaves behind.
 */
bool vlm_vmx_can_run(struct vlm_vmx *vmx);

/* Paging structures. */
void vlm_vmx_set_eptp(struct vlm_vmx *vmx, u64 eptp);
void vlm_vmx_flush_ept(struct vlm_vmx *vmx, u64 eptp);	/* INVEPT single context, else global */
void vlm_vmx_flush_vpid(struct vlm_vmx *vmx);		/* INVVPID of this vCPU */
void vlm_vmx_flush_gva(struct vlm_vmx *vmx, u64 gva);

/*
 * The log of pages that writes made dirty, SDM "Page-Modification Logging". The CPU fills it from its
 * last entry downwards, with addresses of pages: VLM_PML_FREE is none, so the last entry says whether
 * there is anything.
 */
#define VLM_PML_ENTRIES	512
#define VLM_PML_FREE	1ULL

static inline bool vlm_vmx_pml_is_empty(const struct vlm_vmx *vmx)
{
	return !vmx->pml || READ_ONCE(vmx->pml[VLM_PML_ENTRIES - 1]) == VLM_PML_FREE;
}

/* Number of entries, at @gpas the newest first; until the reset. */
unsigned int vlm_vmx_pml_entries(struct vlm_vmx *vmx, const u64 **gpas);
void vlm_vmx_pml_reset(struct vlm_vmx *vmx);

/* Events. @info as the VM-entry interruption-information field without the valid bit. */
void vlm_vmx_inject(struct vlm_vmx *vmx, u32 info, u32 error, u32 insn_len);
void vlm_vmx_cancel_injection(struct vlm_vmx *vmx);
void vlm_vmx_set_irq_window(struct vlm_vmx *vmx, bool on);
void vlm_vmx_set_nmi_window(struct vlm_vmx *vmx, bool on);
/* Is one of the two set? */
static inline bool vlm_vmx_has_window(const struct vlm_vmx *vmx)
{
	return vmx->cpu_based & (CPU_BASED_INTR_WINDOW_EXITING | CPU_BASED_NMI_WINDOW_EXITING);
}

/* SDM "Interruptibility State" bits. */
static inline u32 vlm_vmx_interruptibility(struct vlm_vmx *vmx)
{
	return (u32)vlm_vmx_cached(vmx, VLM_CACHED_INTERRUPTIBILITY);
}

void vlm_vmx_set_interruptibility(struct vlm_vmx *vmx, u32 state);
u64 vlm_vmx_pending_debug(struct vlm_vmx *vmx);		/* SDM "Pending Debug Exceptions" */
void vlm_vmx_set_pending_debug(struct vlm_vmx *vmx, u64 bits);
void vlm_vmx_set_exception_bitmap(struct vlm_vmx *vmx, u32 bitmap);
void vlm_vmx_set_dr_exiting(struct vlm_vmx *vmx, bool on);
void vlm_vmx_set_hlt_exiting(struct vlm_vmx *vmx, bool on);
void vlm_vmx_set_pause_exiting(struct vlm_vmx *vmx, bool on);
void vlm_vmx_set_monitor_trap(struct vlm_vmx *vmx, bool on);
void vlm_vmx_set_tpr_threshold(struct vlm_vmx *vmx, u32 threshold);

/* Time and MSRs. */
void vlm_vmx_set_tsc_offset(struct vlm_vmx *vmx, u64 offset);
#define VLM_TSC_MULTIPLIER_ONE	(1ULL << 48)	/* 16.48 fixed point; no effect without caps.tsc_scaling */
void vlm_vmx_set_tsc_multiplier(struct vlm_vmx *vmx, u64 multiplier);
void vlm_vmx_intercept_msr(struct vlm_vmx *vmx, u32 msr, bool read, bool write);
/*
 * MSRs that live in the VMCS or are switched by vmx/: FS_BASE, GS_BASE,
 * KERNEL_GS_BASE, STAR, LSTAR, CSTAR, SYSCALL_MASK, TSC_AUX, SYSENTER_*, PAT,
 * SPEC_CTRL, DEBUGCTL. Return -ENOENT for any other; values were validated by vcpu/.
 * set returns -EINVAL if the CPU refuses the value all the same.
 */
int vlm_vmx_get_msr(struct vlm_vmx *vmx, u32 msr, u64 *data);
int vlm_vmx_set_msr(struct vlm_vmx *vmx, u32 msr, u64 data);

/*
 * Registers and injection state as after RESET. GPRs are the caller's. MSRs stay, INIT
 * keeps them; after vlm_vmx_vcpu_init() they are 0 and PAT has its power-up value.
 */
void vlm_vmx_reset(struct vlm_vmx *vmx);
/* Log all VMCS fields after a failed entry, if the module parameter dump_failed_entries asks for it. */
void vlm_vmx_dump(struct vlm_vmx *vmx);

/* Indirect branch barrier when this CPU last ran another VM's vCPU. Called by load. */

#endif
