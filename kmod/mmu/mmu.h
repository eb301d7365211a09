/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The face of the MMU: all that vm/ and vcpu/ may use of mmu/.
 */
#ifndef VLM_MMU_MMU_H
#define VLM_MMU_MMU_H

#include "platform.h"
#include "dirty.h"
#include "memslot.h"
#include "stats.h"

/* Kinds of access, as bits. */
#define VLM_ACCESS_READ		1u
#define VLM_ACCESS_WRITE	2u
#define VLM_ACCESS_EXEC		4u
#define VLM_ACCESS_USER		8u	/* guest walk only: CPL 3 or implicit user access */

/* Outcome of a fault. Never an errno, so that the two cannot be mixed up. */
enum vlm_fault_result {
	VLM_FAULT_FIXED = 1,	/* mapped: enter the guest again */
	VLM_FAULT_SPURIOUS,	/* the tables already allow the access */
	VLM_FAULT_RETRY,	/* raced with an update: enter the guest, it will fault again */
	VLM_FAULT_EMULATE,	/* MMIO, or a write that must not reach memory */
	VLM_FAULT_ERROR,	/* vlm_mmu_vcpu::fault_errno says why: -EFAULT, -ENOMEM, -EINTR, -EHWPOISON */
};

struct vlm_mmu;
struct vlm_mmu_vcpu;

/* struct vlm_mmu and struct vlm_mmu_vcpu: see state.h; embedded by vm/ and vcpu/. */
#include "state.h"

/* Once per module, before any VM. */
struct vlm_mmu_caps {
	bool ept_ad;		/* EPT accessed and dirty flags */
	bool ept_2m;
	bool ept_1g;
	bool ept_exec_only;
	bool ept_5level;
	bool gbpages;		/* 1-GiB pages in the CPU's own tables */
	bool shadow;		/* guests run without EPT: each machine has a shadow MMU */
	bool pml;		/* the hardware logs the first write to a clean page; needs @ept_ad */
	u8 maxphyaddr;		/* of the host, bits that may stand in an SPTE */
};
int vlm_mmu_module_init(const struct vlm_mmu_caps *caps);
void vlm_mmu_module_exit(void);

int vlm_mmu_init(struct vlm_mmu *mmu);
/* Zap everything and free all tables. No vCPU may run any more. May sleep. */
void vlm_mmu_zap_all(struct vlm_mmu *mmu);
void vlm_mmu_destroy(struct vlm_mmu *mmu);
/*
 * Give back the tables of roots that were cut off. For the thread behind
 * vlm_platform_reclaim_later(). Takes the mmu lock for read, yields, sleeps.
 */
void vlm_mmu_reclaim(struct vlm_mmu *mmu);

/* The NX huge page mitigation, see nx.h. */
enum vlm_nx_mitigation {
	VLM_NX_OFF,
	VLM_NX_ON,
};
/*
 * Switch the mitigation. A change zaps everything: on return no executable huge page is left, or
 * no table that only the mitigation kept. Slots lock held, or no vCPU exists. Sleeps.
 */
void vlm_mmu_set_nx(struct vlm_mmu *mmu, enum vlm_nx_mitigation what);
/* Milliseconds between two runs of recovery; 0: recovery is off. @period_ms 0 is computed. */
u64 vlm_nx_period_ms(unsigned int ratio, unsigned int period_ms);
/* Tables that one run recovers: the @ratio-th part of those there are, rounded up; 0 for 0. */
u64 vlm_mmu_nx_quota(const struct vlm_mmu *mmu, unsigned int ratio);
/* What recovery does to a table. */
enum vlm_nx_recovery {
	VLM_NX_IN_PLACE,	/* put a huge leaf there, if there are leaves to make it of */
	VLM_NX_BY_FAULT,	/* zap it: the next access maps it huge, as with KVM */
};
/*
 * Recover huge pages where only the mitigation forbade them, up to @quota tables, oldest
 * first. Return what is left of the quota when it is time to leave the slots read section,
 * in which the caller is. Takes the mmu lock for read, yields, sleeps.
 */
u64 vlm_mmu_recover_nx(struct vlm_mmu *mmu, u64 quota, enum vlm_nx_recovery how);

/*
 * Shadow tables that the machine may have, KVM_SET_NR_MMU_PAGES; 0: in proportion to its
 * slots. False, and nothing is done, without a shadow MMU. Slots lock; yields.
 */
bool vlm_mmu_limit_pages(struct vlm_mmu *mmu, u64 pages);

int vlm_mmu_vcpu_init(struct vlm_mmu_vcpu *mv, struct vlm_mmu *mmu);
void vlm_mmu_vcpu_destroy(struct vlm_mmu_vcpu *mv);

/*
 * Have a valid root loaded: drop an obsolete one, take or create a new one.
 * Called before entry on VLM_REQ_MMU_RELOAD and on the first run. Return 1 if the
 * root changed (caller must load vlm_mmu_vcpu_eptp() and flush this EP4TA), 0 if
 * the current one stands, -ENOMEM.
 */
int vlm_mmu_reload(struct vlm_mmu_vcpu *mv);
/* The EPT pointer of the loaded root, SDM "Extended-Page-Table Pointer (EPTP)". */
u64 vlm_mmu_vcpu_eptp(const struct vlm_mmu_vcpu *mv);
/* Drop the root, e.g. when the vCPU is destroyed. */
void vlm_mmu_unload(struct vlm_mmu_vcpu *mv);

/*
 * Resolve an EPT violation at @gpa. @access is one of READ, WRITE, EXEC (a
 * read-modify-write counts as WRITE). Sleeps. Caller: vCPU thread in vm->srcu.
 */
enum vlm_fault_result vlm_mmu_fault(struct vlm_mmu_vcpu *mv, u64 gpa, u32 access);

/*
 * Resolve an EPT misconfiguration at @gpa: VLM_FAULT_EMULATE for a current MMIO
 * entry, what a read fault gives for a stale one, VLM_FAULT_ERROR (-EIO) for a corrupt entry.
 */
enum vlm_fault_result vlm_mmu_misconfig(struct vlm_mmu_vcpu *mv, u64 gpa);

#endif
