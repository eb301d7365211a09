/* SPDX-License-Identifier: GPL-2.0-only */
/* What vmx/ keeps for each CPU, and the values that probe.c chose. Private to vmx/. */
#ifndef VLM_VMX_CPU_H
#define VLM_VMX_CPU_H

#include <linux/percpu.h>
#include <linux/types.h>
#include <linux/user-return-notifier.h>

#include "vmx.h"
#include "vmcs.h"

/**
 * struct vlm_cpu - one CPU's share; touched on that CPU only
 *
 * @on:		the CPU is in VMX root operation
 * @vmxon:	VMXON region, one page; constant while the module is loaded
 * @loaded:	VMCSs that this CPU's VMCS cache may hold; changed with IRQs off,
 *		walked by the panic path from an NMI, hence RCU list primitives
 * @current_vmx: whose VMCS is current, NULL when none is
 * @notifier_on: @notifier is registered
 * @notifier:	puts the MSRs below back before user space runs
 * @host_msr:	the host's values of the lazily switched MSRs
 * @msr:	what the MSRs hold now
 */
struct vlm_cpu {
	bool on;
	struct vmcs *vmxon;
	struct list_head loaded;
	struct vlm_vmx *current_vmx;
	bool notifier_on;
	struct user_return_notifier notifier;
	u64 host_msr[VLM_NR_LAZY_MSRS];
	u64 msr[VLM_NR_LAZY_MSRS];
};

DECLARE_PER_CPU(struct vlm_cpu, vlm_cpus);

/*
 * Control values for a new VMCS, from the VMX capability MSRs; constant after
 * vlm_vmx_probe(). @*_all: every bit that may be set.
 */
struct vlm_vmx_controls {
	u32 pin;
	u32 cpu_based, cpu_based_all;
	u32 secondary, secondary_all;
	u32 exit_ctls;
	u32 entry_ctls;
	bool debugctl;		/* IA32_DEBUGCTL exists */
	bool spec_ctrl;		/* IA32_SPEC_CTRL exists */
	u64 host_efer, host_pat;
};
extern struct vlm_vmx_controls vlm_vmx_controls;

/* owner.c: set once VMX may vanish under running code; silences complaints. */
extern bool vlm_vmx_vanishing;

/* vmcs.c: VMCLEAR and leave the list, on the CPU that vmx->cpu names, IRQs off. */
void vlm_vmcs_clear_local(struct vlm_vmx *vmx);

/* msr.c: per-CPU half of the lazily switched MSRs. */
void vlm_lazy_msrs_read_host(struct vlm_cpu *pc);
void vlm_lazy_msrs_restore_host(struct vlm_cpu *pc);
void vlm_lazy_msrs_load(struct vlm_vmx *vmx);
void vlm_lazy_msrs_set_syscall(struct vlm_vmx *vmx, bool on);
void vlm_msr_bitmap_init(struct vlm_vmx *vmx);

/* flush.c */
u16 vlm_vpid_alloc(void);
void vlm_vpid_free(u16 vpid);
void vlm_flush_all_on_cpu(void);
void vlm_flush_pending(struct vlm_vmx *vmx);

/* l1d.c */
int vlm_l1d_init(void);
void vlm_l1d_exit(void);
void vlm_l1d_flush(struct vlm_vmx *vmx);

/* host.c */
void vlm_host_state_set_constant(void);
void vlm_host_state_set_cpu(struct vlm_vmx *vmx, int cpu);
void vlm_host_state_save(struct vlm_vmx *vmx);
void vlm_host_state_restore(struct vlm_vmx *vmx);

static inline void vlm_cache_reg(struct vlm_vmx *vmx, enum vlm_cached_reg reg, u64 value)
{
	vmx->cached[reg] = value;
	vmx->cached_valid |= BIT(reg);
}

/* regs.c */
void vlm_regs_flush(struct vlm_vmx *vmx);

#endif
