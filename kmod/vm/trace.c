// SPDX-License-Identifier: GPL-2.0-only
/* The kernel's side of mmu/trace.h. */
#define CREATE_TRACE_POINTS
#include "trace.h"

#include "vm.h"

static struct vlm_vm *vm_of(struct vlm_mmu *mmu)
{
	return container_of(mmu, struct vlm_vm, mmu);
}

/* Both versions of a set of slots live as long as the machine. */
static u64 generation(struct vlm_mmu *mmu, unsigned int as_id)
{
	return READ_ONCE(vlm_memslots_get(mmu, as_id)->generation) & ~VLM_GEN_UPDATING;
}

void vlm_trace_page_create(struct vlm_mmu *mmu, const struct vlm_mmu_page *sp)
{
	if (trace_vlm_page_create_enabled())
		trace_vlm_page_create(vm_of(mmu)->serial, generation(mmu, sp->role.as_id), sp->gfn,
				      sp->role.word, sp->invalid);
}

void vlm_trace_page_zap(struct vlm_mmu *mmu, const struct vlm_mmu_page *sp)
{
	if (trace_vlm_page_zap_enabled())
		trace_vlm_page_zap(vm_of(mmu)->serial, generation(mmu, sp->role.as_id), sp->gfn,
				   sp->role.word, sp->invalid);
}

void vlm_trace_nx_recovery(struct vlm_mmu *mmu, const struct vlm_mmu_page *sp)
{
	if (trace_vlm_nx_recovery_enabled())
		trace_vlm_nx_recovery(vm_of(mmu)->serial, generation(mmu, sp->role.as_id), sp->gfn,
				      sp->role.word, sp->invalid);
}

void vlm_trace_root(struct vlm_mmu *mmu, const struct vlm_mmu_page *root,
		    enum vlm_root_event event, unsigned int refs)
{
	if (trace_vlm_root_enabled())
		trace_vlm_root(vm_of(mmu)->serial, generation(mmu, root->role.as_id),
			       vlm_platform_table_pa(root->table), root->role.word,
			       READ_ONCE(root->invalid), event, refs);
}

void vlm_trace_zap_all_fast(struct vlm_mmu *mmu)
{
	if (trace_vlm_zap_all_fast_enabled())
		trace_vlm_zap_all_fast(vm_of(mmu)->serial, generation(mmu, 0),
				       vlm_stat_read(&mmu->stats, VLM_STAT_RECLAIM_BACKLOG));
}

void vlm_trace_fault(struct vlm_mmu_vcpu *mv, u64 gpa, u32 access, enum vlm_fault_result result)
{
	if (trace_vlm_fault_enabled())
		trace_vlm_fault(vm_of(mv->mmu)->serial, mv->id, generation(mv->mmu, mv->as_id),
				mv->root ? mv->root->role.word : 0, gpa, access, result);
}

void vlm_trace_slot_update(struct vlm_mmu *mmu, const struct vlm_memslot *old,
			   const struct vlm_memslot *fresh, u64 generation)
{
	const struct vlm_memslot *slot = fresh ?: old;

	if (slot && trace_vlm_slot_update_enabled())
		trace_vlm_slot_update(vm_of(mmu)->serial, generation, slot, !fresh);
}
