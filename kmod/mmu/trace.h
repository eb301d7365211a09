/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the MMU tells whoever traces it. Bound at link time: vm/trace.c hands on to the
 * tracepoints of kmod/trace.h, and costs a call and a skipped jump when nobody listens.
 * Any context; the mmu lock may be held.
 */
#ifndef VLM_MMU_TRACE_H
#define VLM_MMU_TRACE_H

#include "mmu.h"
#include "page.h"

enum vlm_root_event {
	VLM_ROOT_CREATED,
	VLM_ROOT_TAKEN,		/* by a vCPU that looked it up */
	VLM_ROOT_PUT,
	VLM_ROOT_INVALIDATED,
	VLM_ROOT_FREED,		/* the last reference was dropped */
};

/* A table was linked. */
void vlm_trace_page_create(struct vlm_mmu *mmu, const struct vlm_mmu_page *sp);
/* A table was unlinked, and is about to be emptied. */
void vlm_trace_page_zap(struct vlm_mmu *mmu, const struct vlm_mmu_page *sp);
/* @refs: after the event, a moment ago. */
void vlm_trace_root(struct vlm_mmu *mmu, const struct vlm_mmu_page *root,
		    enum vlm_root_event event, unsigned int refs);
void vlm_trace_zap_all_fast(struct vlm_mmu *mmu);
void vlm_trace_fault(struct vlm_mmu_vcpu *mv, u64 gpa, u32 access, enum vlm_fault_result result);
/* A table that only the NX mitigation kept goes, or became a huge leaf in place. */
void vlm_trace_nx_recovery(struct vlm_mmu *mmu, const struct vlm_mmu_page *sp);
/* Readers see @fresh instead of @old now; either may be NULL. @generation: of the address space. */
void vlm_trace_slot_update(struct vlm_mmu *mmu, const struct vlm_memslot *old,
			   const struct vlm_memslot *fresh, u64 generation);

#endif
