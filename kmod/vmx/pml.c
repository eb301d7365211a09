// SPDX-License-Identifier: GPL-2.0-only
/* The page-modification log. SDM "Page-Modification Logging". */
#include "cpu.h"

unsigned int vlm_vmx_pml_entries(struct vlm_vmx *vmx, const u64 **gpas)
{
	/* The next entry to write; 0xffff after the first one was. */
	u16 index = vlm_vmcs_read16(GUEST_PML_INDEX);
	unsigned int first = index < VLM_PML_ENTRIES ? index + 1u : 0;

	*gpas = vmx->pml + first;
	return VLM_PML_ENTRIES - first;
}

void vlm_vmx_pml_reset(struct vlm_vmx *vmx)
{
	WRITE_ONCE(vmx->pml[VLM_PML_ENTRIES - 1], VLM_PML_FREE);
	vlm_vmcs_write16(GUEST_PML_INDEX, VLM_PML_ENTRIES - 1);
}
