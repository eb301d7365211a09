/* SPDX-License-Identifier: GPL-2.0-only */
/* The hardware half of a vCPU. Included by vmx.h alone; embedded by vcpu/, touched by vmx/ only. */
#ifndef VLM_VMX_STATE_H
#define VLM_VMX_STATE_H

#include <linux/list.h>
#include <linux/types.h>

/* MSRs of the guest that stay loaded until the CPU returns to user space; order of the table in msr.c. */
enum vlm_lazy_msr {
	VLM_LAZY_STAR,
	VLM_LAZY_LSTAR,
	VLM_LAZY_CSTAR,
	VLM_LAZY_FMASK,
	VLM_LAZY_TSC_AUX,
	VLM_NR_LAZY_MSRS
};

/* Guest registers of the VMCS that are read at most once per exit. */
enum vlm_cached_reg {
	VLM_CACHED_RIP,
	VLM_CACHED_RFLAGS,
	VLM_CACHED_CR0,		/* as the guest sees it */
	VLM_CACHED_CR3,
	VLM_CACHED_CR4,		/* as the guest sees it */
	VLM_CACHED_EFER,
	VLM_CACHED_CS_AR,
	VLM_CACHED_SS_AR,
	VLM_CACHED_INTERRUPTIBILITY,
	VLM_NR_CACHED_REGS
};

/* The part that entry.S reaches; offsets are in entry.h. */
struct vlm_vmx_switch {
	u64 *regs;		/* GPRs, indices of enum vlm_gpr */
	u64 host_rsp;		/* what HOST_RSP of the VMCS holds */
	u64 spec_ctrl;		/* the guest's IA32_SPEC_CTRL */
	u64 host_spec_ctrl;	/* the host's, read before each entry */
	u32 flags;		/* VLM_SWITCH_* of entry.h */
};

/**
 * struct vlm_vmx - the hardware half of a vCPU
 *
 * Owned by the thread that holds the vCPU's lock, except @cpu, @launched and @link:
 * those change on the CPU that the VMCS is loaded on, with IRQs off, also from an
 * IPI or when that CPU goes down. The panic path walks the list as it is.
 *
 * @sw:		what the world switch needs
 * @vmcs:	the VMCS region, one page
 * @msr_bitmap:	one page; SDM "MSR-Bitmap Address"
 * @pml:	the page-modification log, one page; NULL where it is not in use
 * @cpu:	CPU whose VMCS cache may hold this VMCS, -1 when it is clear
 * @launched:	VMRESUME instead of VMLAUNCH
 * @link:	entry of the per-CPU list of loaded VMCSs while @cpu >= 0
 * @vpid:	tag of guest-linear translations, 0 when none is used
 * @eptp:	EPT pointer in use, 0 before the first
 * @shadow:	without EPT, registers of the guest whose field of the VMCS holds the host's choice
 * @unchecked:	segments were written since vlm_vmx_can_run() last found them fit to enter with
 * @flush:	translations of this CPU may be stale: flush before the next entry
 *
 * @pin, @cpu_based, @secondary, @exit_ctls: what the VMCS holds, to save VMREADs.
 *		The entry controls are not kept, hardware changes a bit of them.
 * @cr4_guest_mask: CR4 bits that the guest may change without an exit
 * @cr4_shadow: what the guest reads of the other bits
 * @cached:	registers by enum vlm_cached_reg
 * @cached_valid: bits of those that are known; none after an exit
 * @cached_dirty: bits of those that the VMCS gets before the next entry (RIP and RFLAGS;
 *		the others are written through)
 * @cr2:	the guest's CR2 while the host runs
 * @spec_ctrl_passed: the guest writes IA32_SPEC_CTRL without an exit
 * @l1d_dirty:	the host worked since the last entry: flush the L1 data cache if that matters here
 *
 * @host_loaded: false while guest values stand in the MSRs and segments below
 * @host_fs, @host_gs, @host_ds, @host_es, @host_ldt: the host's selectors
 * @host_fs_base, @host_kernel_gs_base: the host's user-space bases
 * @kernel_gs_base: the guest's value while @host_loaded
 * @host_cr3, @host_cr4: what the VMCS's host area holds
 * @host_perf_ctrl: the same for IA32_PERF_GLOBAL_CTRL
 * @lazy:	guest values of the lazily switched MSRs
 * @rcu_noted:	jiffies when RCU last heard of an entry
 * @first_lazy:	those before it are not in use: SYSCALL is off
 */
struct vlm_vmx {
	struct vlm_vmx_switch sw;
	struct vmcs *vmcs;
	unsigned long *msr_bitmap;
	u64 *pml;
	int cpu;
	bool launched;
	struct list_head link;
	u16 vpid;
	u64 eptp;
	struct {
		u64 cr3;
		u64 efer;
		u64 pat;
		u64 pdptrs[4];
	} shadow;
	bool unchecked;
	bool flush;

	u32 pin;
	u32 cpu_based;
	u32 secondary;
	u32 exit_ctls;
	u64 cr4_guest_mask;
	u64 cr4_shadow;
	u64 cached[VLM_NR_CACHED_REGS];
	u32 cached_valid;
	u32 cached_dirty;
	u64 cr2;
	bool spec_ctrl_passed;
	bool l1d_dirty;

	bool host_loaded;
	u16 host_fs, host_gs, host_ds, host_es, host_ldt;
	u64 host_fs_base;
	u64 host_kernel_gs_base;
	u64 kernel_gs_base;
	u64 host_cr3;
	u64 host_cr4;
	u64 host_perf_ctrl;
	u64 lazy[VLM_NR_LAZY_MSRS];
	int first_lazy;
	unsigned long rcu_noted;
};

#endif
