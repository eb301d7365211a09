/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The face of a vCPU for abi/. Every function below that takes a struct vlm_vcpu
 * is called with vcpu->lock held and, unless said otherwise, the vCPU loaded
 * (vlm_vcpu_load()). They return 0 or the errno that the KVM API documents.
 */
#ifndef VLM_VCPU_VCPU_H
#define VLM_VCPU_VCPU_H

#include <linux/kvm.h>
#include <linux/mm_types.h>
#include <linux/types.h>

#include "request.h"
#include "stats.h"

struct vlm_vm;
struct vlm_vcpu;

int vlm_vcpu_module_init(void);
void vlm_vcpu_module_exit(void);

/*
 * Create a vCPU with @id in @vm and publish it in vm->vcpus. Takes vm->lock.
 * -EINVAL (id out of range), -EEXIST, -ENOMEM. The VM reference for the fd is the caller's.
 */
struct vlm_vcpu *vlm_vcpu_create(struct vlm_vm *vm, u32 id);
/* Constants; no lock. */
struct vlm_vm *vlm_vcpu_vm(struct vlm_vcpu *vcpu);
u32 vlm_vcpu_id(struct vlm_vcpu *vcpu);
/* Lock with a killable wait (-EINTR), load on this CPU; and back. */
int vlm_vcpu_load(struct vlm_vcpu *vcpu);
void vlm_vcpu_put(struct vlm_vcpu *vcpu);
/*
 * Fault handler of the vCPU fd's mapping: page 0 kvm_run, 1 PIO data, 2 coalesced ring, from
 * KVM_DIRTY_LOG_PAGE_OFFSET on the dirty ring. No lock.
 */
struct page *vlm_vcpu_mmap_page(struct vlm_vcpu *vcpu, unsigned long pgoff);
/* True if a mapping of @pages pages from @pgoff on shows part of a dirty ring. */
bool vlm_vcpu_mmap_has_ring(struct vlm_vcpu *vcpu, unsigned long pgoff, unsigned long pages);
#define VLM_VCPU_MMAP_PAGES 3	/* without the dirty ring */

/* KVM_RUN. Returns 0 with run->exit_reason set, or -EINTR, -EFAULT, -EIO, ... */
int vlm_vcpu_run(struct vlm_vcpu *vcpu);

int vlm_vcpu_get_regs(struct vlm_vcpu *vcpu, struct kvm_regs *regs);
int vlm_vcpu_set_regs(struct vlm_vcpu *vcpu, struct kvm_regs *regs);
int vlm_vcpu_get_sregs(struct vlm_vcpu *vcpu, struct kvm_sregs *sregs);
int vlm_vcpu_set_sregs(struct vlm_vcpu *vcpu, struct kvm_sregs *sregs);
int vlm_vcpu_get_sregs2(struct vlm_vcpu *vcpu, struct kvm_sregs2 *sregs);
int vlm_vcpu_set_sregs2(struct vlm_vcpu *vcpu, struct kvm_sregs2 *sregs);
int vlm_vcpu_get_fpu(struct vlm_vcpu *vcpu, struct kvm_fpu *fpu);
int vlm_vcpu_set_fpu(struct vlm_vcpu *vcpu, struct kvm_fpu *fpu);
int vlm_vcpu_get_xsave(struct vlm_vcpu *vcpu, struct kvm_xsave *xsave);	/* 4096 bytes */
int vlm_vcpu_set_xsave(struct vlm_vcpu *vcpu, struct kvm_xsave *xsave);
int vlm_vcpu_get_xcrs(struct vlm_vcpu *vcpu, struct kvm_xcrs *xcrs);
int vlm_vcpu_set_xcrs(struct vlm_vcpu *vcpu, struct kvm_xcrs *xcrs);
int vlm_vcpu_get_debugregs(struct vlm_vcpu *vcpu, struct kvm_debugregs *dbg);
int vlm_vcpu_set_debugregs(struct vlm_vcpu *vcpu, struct kvm_debugregs *dbg);
int vlm_vcpu_get_events(struct vlm_vcpu *vcpu, struct kvm_vcpu_events *ev);
int vlm_vcpu_set_events(struct vlm_vcpu *vcpu, struct kvm_vcpu_events *ev);
int vlm_vcpu_get_mp_state(struct vlm_vcpu *vcpu, struct kvm_mp_state *state);
int vlm_vcpu_set_mp_state(struct vlm_vcpu *vcpu, struct kvm_mp_state *state);
int vlm_vcpu_interrupt(struct vlm_vcpu *vcpu, struct kvm_interrupt *irq);	/* KVM_INTERRUPT */
int vlm_vcpu_nmi(struct vlm_vcpu *vcpu);					/* KVM_NMI */
int vlm_vcpu_set_guest_debug(struct vlm_vcpu *vcpu, struct kvm_guest_debug *dbg);
int vlm_vcpu_translate(struct vlm_vcpu *vcpu, struct kvm_translation *tr);
int vlm_vcpu_set_signal_mask(struct vlm_vcpu *vcpu, const sigset_t *mask);	/* NULL clears */
int vlm_vcpu_set_tsc_khz(struct vlm_vcpu *vcpu, u32 khz);
u32 vlm_vcpu_tsc_khz(struct vlm_vcpu *vcpu);
int vlm_vcpu_enable_cap(struct vlm_vcpu *vcpu, struct kvm_enable_cap *cap);
int vlm_vcpu_setup_mce(struct vlm_vcpu *vcpu, u64 mcg_cap);
int vlm_vcpu_kvmclock_ctrl(struct vlm_vcpu *vcpu);
int vlm_vcpu_get_lapic(struct vlm_vcpu *vcpu, struct kvm_lapic_state *state);
int vlm_vcpu_set_lapic(struct vlm_vcpu *vcpu, struct kvm_lapic_state *state);
int vlm_vcpu_tpr_access_reporting(struct vlm_vcpu *vcpu, struct kvm_tpr_access_ctl *ctl);
int vlm_vcpu_set_vapic_addr(struct vlm_vcpu *vcpu, struct kvm_vapic_addr *va);

/* CPUID. @entries in kernel memory. -E2BIG when more than @max, else the count. */
int vlm_vcpu_set_cpuid(struct vlm_vcpu *vcpu, const struct kvm_cpuid_entry2 *entries, u32 nent);
int vlm_vcpu_get_cpuid(struct vlm_vcpu *vcpu, struct kvm_cpuid_entry2 *entries, u32 max);
int vlm_cpuid_supported(struct kvm_cpuid_entry2 *entries, u32 max);	/* KVM_GET_SUPPORTED_CPUID */
#define VLM_MAX_CPUID_ENTRIES 256

/* MSRs: number of entries processed before the first that failed. */
int vlm_vcpu_get_msrs(struct vlm_vcpu *vcpu, struct kvm_msr_entry *entries, u32 n);
int vlm_vcpu_set_msrs(struct vlm_vcpu *vcpu, const struct kvm_msr_entry *entries, u32 n);
/* System level: feature MSRs, and the two index lists. */
int vlm_msr_get_features(struct kvm_msr_entry *entries, u32 n);
u32 vlm_msr_index_list(const u32 **list);
u32 vlm_msr_feature_list(const u32 **list);
u64 vlm_mce_cap_supported(void);

/* KVM_CHECK_EXTENSION for the capabilities that vcpu/ implements; 0 for others. */
int vlm_vcpu_check_extension(long cap);

#endif
