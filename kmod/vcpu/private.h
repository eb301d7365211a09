/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of vcpu/ offer each other, file by file. Caller holds the vCPU's
 * lock and has it loaded, unless said otherwise. "Returns a step" means enum
 * vlm_next or a negative errno.
 */
#ifndef VLM_VCPU_PRIVATE_H
#define VLM_VCPU_PRIVATE_H

#include "irqchip/irqchip.h"

#include "state.h"

/* Exceptions that emulation raises. */
enum vlm_vector {
	VLM_DE = 0, VLM_DB = 1, VLM_NMI = 2, VLM_BP = 3, VLM_OF = 4, VLM_BR = 5, VLM_UD = 6,
	VLM_NM = 7, VLM_DF = 8, VLM_TS = 10, VLM_NP = 11, VLM_SS = 12, VLM_GP = 13, VLM_PF = 14,
	VLM_MF = 16, VLM_AC = 17, VLM_MC = 18, VLM_XM = 19, VLM_VE = 20, VLM_CP = 21,
};

/* SDM volume 3, "Debug Registers". */
#define VLM_DR7_GD		BIT_ULL(13)
#define VLM_DR6_BD		BIT_ULL(13)
#define VLM_DR6_BS		BIT_ULL(14)
#define VLM_DR6_BT		BIT_ULL(15)
#define VLM_DR6_RTM		BIT_ULL(16)
/* Bits that read as one unless their cause struck. */
#define VLM_DR6_ACTIVE_LOW	0xffff0ff0ull

/* life.c: state after RESET, or after INIT if @init. */
void vlm_vcpu_reset(struct vlm_vcpu *vcpu, bool init);

/* run.c: leave the guest's SRCU section around something that blocks, and enter it again. */
void vlm_srcu_enter(struct vlm_vcpu *vcpu);
void vlm_srcu_leave(struct vlm_vcpu *vcpu);

/* exit.c: handle vcpu->exit. Returns a step. */
int vlm_handle_exit(struct vlm_vcpu *vcpu);
int vlm_internal_error(struct vlm_vcpu *vcpu, u32 suberror);

/* exit_trap.c: exceptions and instructions without a file of their own. Each returns a step. */
int vlm_exit_exception(struct vlm_vcpu *vcpu);
int vlm_exit_hypercall(struct vlm_vcpu *vcpu);
int vlm_exit_cpuid(struct vlm_vcpu *vcpu);
int vlm_exit_rdmsr(struct vlm_vcpu *vcpu);
int vlm_exit_wrmsr(struct vlm_vcpu *vcpu);
int vlm_exit_xsetbv(struct vlm_vcpu *vcpu);
int vlm_exit_monitor(struct vlm_vcpu *vcpu);
int vlm_exit_pause(struct vlm_vcpu *vcpu);
int vlm_exit_rdpmc(struct vlm_vcpu *vcpu);
int vlm_exit_invlpg(struct vlm_vcpu *vcpu);
int vlm_exit_skip(struct vlm_vcpu *vcpu);
int vlm_exit_undefined(struct vlm_vcpu *vcpu);

/* exit_memory.c. Each returns a step. */
int vlm_exit_ept_violation(struct vlm_vcpu *vcpu);
int vlm_exit_ept_misconfig(struct vlm_vcpu *vcpu);

/* shadow.c: guests without EPT. */
int vlm_vcpu_shadow_init(struct vlm_vcpu *vcpu);	/* 0 or -ENOMEM; nothing with EPT */
void vlm_vcpu_shadow_destroy(struct vlm_vcpu *vcpu);
/* A control register changed what translations mean: those that are cached go. */
void vlm_paging_changed(struct vlm_vcpu *vcpu);
/* The guest invalidates the translation of @gva. */
void vlm_guest_invlpg(struct vlm_vcpu *vcpu, u64 gva);
int vlm_shadow_reload(struct vlm_vcpu *vcpu);		/* 0 or a negative errno; SRCU held */
int vlm_exit_page_fault(struct vlm_vcpu *vcpu);		/* a step */
/* An instruction that cannot be emulated writes to a guest table: true, let it do so itself. */
bool vlm_shadow_give_way(struct vlm_vcpu *vcpu);
/* In place of an entry where the CPU cannot run the guest: one instruction, or event. A step. */
int vlm_run_emulated(struct vlm_vcpu *vcpu);

/* real_mode.c: deliver through the vector table, @skip bytes behind the instruction pointer. */
void vlm_real_mode_deliver(struct vlm_vcpu *vcpu, u8 vector, u32 skip);

/* stats.c: it slept @ns nanoseconds. */
void vlm_vcpu_count_wait(struct vlm_vcpu *vcpu, u64 ns);

/* halt.c */
int vlm_exit_hlt(struct vlm_vcpu *vcpu);
int vlm_halt(struct vlm_vcpu *vcpu);		/* HLT was executed and stepped over; a step */
int vlm_block(struct vlm_vcpu *vcpu);		/* until there is a reason to run; a step */
bool vlm_runnable(struct vlm_vcpu *vcpu);	/* the task may be in any state */
void vlm_accept_init_sipi(struct vlm_vcpu *vcpu);

/* exception.c: a second exception becomes #DF or a triple fault as the SDM says. */
void vlm_raise(struct vlm_vcpu *vcpu, u8 vector);
void vlm_raise_error(struct vlm_vcpu *vcpu, u8 vector, u32 error);
void vlm_raise_pf(struct vlm_vcpu *vcpu, u64 address, u32 error);
void vlm_raise_db(struct vlm_vcpu *vcpu, u64 dr6_bits);
/* ... payload of the pending exception into CR2 or DR6. */
void vlm_exception_apply_payload(struct vlm_vcpu *vcpu);

/* event.c: write the VM-entry fields and the windows. Returns a step. */
int vlm_events_inject(struct vlm_vcpu *vcpu);
/* ... deliver to a guest in real mode that is emulated. Returns a step. */
int vlm_events_emulate(struct vlm_vcpu *vcpu);
/* ... after an exit: what was not delivered is to be delivered again. */
void vlm_events_after_exit(struct vlm_vcpu *vcpu);
bool vlm_irq_allowed(struct vlm_vcpu *vcpu);
bool vlm_nmi_allowed(struct vlm_vcpu *vcpu);
void vlm_take_nmi_requests(struct vlm_vcpu *vcpu);
bool vlm_user_irq_wanted(struct vlm_vcpu *vcpu);	/* kvm_run::request_interrupt_window */
bool vlm_user_irq_ready(struct vlm_vcpu *vcpu);	/* kvm_run::ready_for_interrupt_injection */

/* insn.c */
bool vlm_is_long64(struct vlm_vcpu *vcpu);	/* 64-bit code segment */
u64 vlm_linear_rip(struct vlm_vcpu *vcpu);
int vlm_skip_insn(struct vlm_vcpu *vcpu);	/* by exit.insn_len; a step */
int vlm_skip_bytes(struct vlm_vcpu *vcpu, u32 len);
int vlm_step_done(struct vlm_vcpu *vcpu, u64 rflags);	/* #DB for RFLAGS.TF as it was before; a step */

/* cr.c: 0, or -EINVAL for #GP. Checks are those of MOV to CR by the guest. */
int vlm_set_cr0(struct vlm_vcpu *vcpu, u64 cr0);
int vlm_set_cr3(struct vlm_vcpu *vcpu, u64 cr3);
int vlm_set_cr4(struct vlm_vcpu *vcpu, u64 cr4);
int vlm_set_cr8(struct vlm_vcpu *vcpu, u64 cr8);
int vlm_set_efer(struct vlm_vcpu *vcpu, u64 efer, bool host);
u64 vlm_get_cr8(struct vlm_vcpu *vcpu);
bool vlm_cr0_valid(u64 cr0);
bool vlm_cr4_valid(struct vlm_vcpu *vcpu, u64 cr4);
bool vlm_efer_valid(struct vlm_vcpu *vcpu, u64 efer, bool host);
bool vlm_is_pae(u64 cr0, u64 cr4, u64 efer);
int vlm_load_pdptrs(struct vlm_vcpu *vcpu, u64 cr3);
int vlm_exit_cr(struct vlm_vcpu *vcpu);		/* a step */

/* dr.c */
int vlm_exit_dr(struct vlm_vcpu *vcpu);		/* a step */
u64 vlm_get_dr(struct vlm_vcpu *vcpu, u32 nr);
int vlm_set_dr(struct vlm_vcpu *vcpu, u32 nr, u64 val);	/* 0 or -EINVAL for #GP */
u64 vlm_dr6_fixed(struct vlm_vcpu *vcpu);
/* IRQs off, around the entry. */
void vlm_dr_enter(struct vlm_vcpu *vcpu);
void vlm_dr_leave(struct vlm_vcpu *vcpu);

/* debug.c */
void vlm_debug_apply(struct vlm_vcpu *vcpu);	/* DR7, exception bitmap, stepping */
int vlm_debug_exit(struct vlm_vcpu *vcpu, u8 vector, u64 dr6);	/* KVM_EXIT_DEBUG; a step */

/* gva.c: 0, or -EFAULT with *@fault filled as a page fault; SRCU held. */
struct vlm_emul_fault;
struct vlm_guest_paging;
void vlm_fill_paging(struct vlm_vcpu *vcpu, struct vlm_guest_paging *paging);
int vlm_gva_to_gpa(struct vlm_vcpu *vcpu, u64 gva, u32 access, u64 *gpa,
		   struct vlm_emul_fault *fault);

/* The vCPU whose instruction it is. */
static inline struct vlm_vcpu *vlm_emul_owner(struct vlm_emul *e)
{
	return container_of(e, struct vlm_vcpu, emul);
}

/* emulate.c: run the instruction at RIP, or go on with it after user space. A step. */
int vlm_emulate(struct vlm_vcpu *vcpu);
/* The same after an EPT exit that says something of the access. */
int vlm_emulate_access(struct vlm_vcpu *vcpu, enum vlm_io_known known);
int vlm_emulate_again(struct vlm_vcpu *vcpu);

/* pio.c */
int vlm_exit_io(struct vlm_vcpu *vcpu);		/* a step */
/* Port access of a string instruction; *@count is lowered to what was done or asked for. */
enum vlm_emul_io vlm_pio_string_in(struct vlm_vcpu *vcpu, u16 port, u32 size, u32 *count,
				   void *buf);
enum vlm_emul_io vlm_pio_string_out(struct vlm_vcpu *vcpu, u16 port, u32 size, u32 count,
				    const void *buf);

/* mmio.c: access to guest-physical pieces that are set up in vcpu->io. */
enum vlm_emul_io vlm_mmio_read(struct vlm_vcpu *vcpu, void *buf);
enum vlm_emul_io vlm_mmio_write(struct vlm_vcpu *vcpu, const void *buf);
int vlm_mmio_continue(struct vlm_vcpu *vcpu);	/* after a fragment; a step */

/* user_io.c: what KVM_RUN finds done by user space. A step. */
int vlm_user_io_complete(struct vlm_vcpu *vcpu);
/* User space is about to set registers: remember where the pending instruction was. */
void vlm_user_io_disturb(struct vlm_vcpu *vcpu);

/* cpuid.c */
void vlm_cpuid(struct vlm_vcpu *vcpu, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx);
void vlm_cpuid_update(struct vlm_vcpu *vcpu);	/* dynamic bits after a change of state */
bool vlm_cpuid_faulting(struct vlm_vcpu *vcpu);
void vlm_cpuid_free(struct vlm_vcpu *vcpu);
/* cpuid_words.c */
void vlm_cpuid_module_init(void);
u32 vlm_cpuid_cap(enum vlm_cpuid_word word);	/* what the host and this module support */
u8 vlm_host_maxphyaddr(void);
u32 vlm_xstate_bytes(u64 xcr0, bool compacted);

/* msr.c: 0, or -EINVAL for #GP; -ENOENT when there is no such register. */
int vlm_get_msr(struct vlm_vcpu *vcpu, u32 msr, u64 *data, bool host);
int vlm_set_msr(struct vlm_vcpu *vcpu, u32 msr, u64 data, bool host);
void vlm_msrs_init(struct vlm_vcpu *vcpu);	/* not loaded yet */
void vlm_msrs_reset(struct vlm_vcpu *vcpu, bool init);
u64 vlm_apic_base(struct vlm_vcpu *vcpu);
int vlm_set_apic_base(struct vlm_vcpu *vcpu, u64 base, bool host);
bool vlm_apic_base_valid(struct vlm_vcpu *vcpu, u64 base);
u64 vlm_host_arch_capabilities(void);
void vlm_msr_module_init(void);
/* mtrr.c, mce.c: accessors for the table of msr.c */
bool vlm_memory_type_valid(u8 type);
int vlm_mtrr_get(struct vlm_vcpu *vcpu, u32 msr, u64 *data, bool host);
int vlm_mtrr_set(struct vlm_vcpu *vcpu, u32 msr, u64 data, bool host);
int vlm_mce_get(struct vlm_vcpu *vcpu, u32 msr, u64 *data, bool host);
int vlm_mce_set(struct vlm_vcpu *vcpu, u32 msr, u64 data, bool host);

/* fpu.c */
int vlm_fpu_init(struct vlm_vcpu *vcpu);	/* not loaded; -ENOMEM */
void vlm_fpu_destroy(struct vlm_vcpu *vcpu);
void vlm_fpu_module_init(void);
void vlm_fpu_load(struct vlm_vcpu *vcpu);	/* at the start of KVM_RUN ... */
void vlm_fpu_put(struct vlm_vcpu *vcpu);	/* ... and its end */
void vlm_fpu_enter(struct vlm_vcpu *vcpu);	/* IRQs off, around the entry */
void vlm_fpu_leave(struct vlm_vcpu *vcpu);
void vlm_fpu_reset(struct vlm_vcpu *vcpu, bool init);
int vlm_set_xcr(struct vlm_vcpu *vcpu, u32 index, u64 value);	/* 0 or -EINVAL for #GP */
u64 vlm_supported_xcr0(void);
void vlm_fpu_xmm_read(struct vlm_vcpu *vcpu, u32 nr, void *buf);	/* inside KVM_RUN */
void vlm_fpu_xmm_write(struct vlm_vcpu *vcpu, u32 nr, const void *buf);

/* tsc.c */
void vlm_tsc_init(struct vlm_vcpu *vcpu);	/* loaded, in vm->vcpus or about to be */
u64 vlm_tsc_read(struct vlm_vcpu *vcpu);
void vlm_tsc_write(struct vlm_vcpu *vcpu, u64 value, bool host);
void vlm_tsc_set_adjust(struct vlm_vcpu *vcpu, u64 value, bool host);
void vlm_tsc_apply(struct vlm_vcpu *vcpu);	/* to the VMCS and the local APIC */

/* sync_regs.c */
int vlm_sync_regs_check(const struct kvm_run *run);	/* 0 or -EINVAL */
int vlm_sync_regs_load(struct vlm_vcpu *vcpu);		/* 0 or -EINVAL */
void vlm_sync_regs_store(struct vlm_vcpu *vcpu);

#endif
