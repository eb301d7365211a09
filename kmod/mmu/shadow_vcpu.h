/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The face of the shadow MMU: what vcpu/ does with it, beside mmu.h. Only a vCPU of a machine
 * whose vlm_mmu::shadow is set has a part in it.
 */
#ifndef VLM_MMU_SHADOW_VCPU_H
#define VLM_MMU_SHADOW_VCPU_H

#include "guest_walk.h"
#include "shadow_page.h"

/**
 * struct vlm_shadow_vcpu - one vCPU's part; used by its own thread only
 * @roots:	one, or four for modes with 2 levels below a PDPTE; NULL where the guest has none
 * @nr_roots:	1 or 4
 * @stats:	what faults came to
 * @paging:	registers that the roots were made for; the caller keeps rflags, pkru and
 *		pkrs up to date
 */
struct vlm_shadow_vcpu {
	struct vlm_shadow *sh;
	struct vlm_shadow_page *roots[4];
	unsigned int nr_roots;
	struct vlm_guest_paging paging;
	struct vlm_shadow_cache cache;
	int fault_errno;
	struct vlm_pf_stats stats;
};

void vlm_shadow_vcpu_init(struct vlm_shadow_vcpu *sv, struct vlm_shadow *sh);
void vlm_shadow_vcpu_destroy(struct vlm_shadow_vcpu *sv);

/*
 * Load the roots for @paging and bring them up to date: for a new CR3, for a change of CR0, CR4
 * or EFER, and when a reload was requested. The caller then flushes the TLB of this vCPU
 * whatever it held. 0, -ENOMEM, -EFAULT (the guest's table is not in memory: it shuts
 * down), -EAGAIN. Nothing is loaded then. Slots read section; sleeps.
 */
int vlm_shadow_load(struct vlm_shadow_vcpu *sv, const struct vlm_guest_paging *paging);
void vlm_shadow_unload(struct vlm_shadow_vcpu *sv);
/* Physical address of the table that the CPU walks first: a PML4, or that of PDPTE @index. */
u64 vlm_shadow_root_pa(const struct vlm_shadow_vcpu *sv, unsigned int index);

static inline struct vlm_shadow_page *vlm_shadow_root_of(const struct vlm_shadow_vcpu *sv,
							  u64 gva)
{
	return sv->roots[sv->nr_roots == 4 ? (gva >> 30) & 3 : 0];
}

/* The guest flushed its TLB. The caller flushes that of this vCPU. Slots read section; sleeps. */
void vlm_shadow_sync(struct vlm_shadow_vcpu *sv);
/* The guest flushed one page. Likewise. */
void vlm_shadow_invlpg(struct vlm_shadow_vcpu *sv, u64 gva);

enum vlm_shadow_result {
	VLM_SHADOW_FIXED = 1,	/* enter the guest again, it may fault again */
	VLM_SHADOW_INJECT,	/* the guest's tables forbid it: #PF with walk.pfec */
	VLM_SHADOW_EMULATE,	/* no memory at walk.gpa, or a write to a guest table */
	VLM_SHADOW_RETRY,	/* raced with an update */
	VLM_SHADOW_ERROR,	/* vlm_shadow_vcpu::fault_errno */
};

/*
 * Resolve a page fault at @gva. @access as for vlm_guest_walk(). @walk is valid for INJECT
 * and EMULATE. Slots read section; sleeps.
 */
enum vlm_shadow_result vlm_shadow_fault(struct vlm_shadow_vcpu *sv, u64 gva, u32 access,
					struct vlm_guest_walk *walk);

/*
 * The frame @gfn must be written, and how is not known: let go of all tables that shadow it.
 * False: none does. Slots read section.
 */
bool vlm_shadow_unprotect(struct vlm_shadow *sh, u64 gfn);

/* @bytes at @gpa were written on the guest's behalf. After the write. Slots read section. */
void vlm_shadow_written(struct vlm_shadow *sh, u64 gpa, unsigned int bytes);

#endif
