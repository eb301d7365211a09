// SPDX-License-Identifier: GPL-2.0-only
/* Event injection and what holds events back. SDM "Event Injection". */
#include "cpu.h"

void vlm_vmx_inject(struct vlm_vmx *vmx, u32 info, u32 error, u32 insn_len)
{
	u32 type = info & INTR_INFO_INTR_TYPE_MASK;

	if (info & INTR_INFO_DELIVER_CODE_MASK)
		vlm_vmcs_write32(VM_ENTRY_EXCEPTION_ERROR_CODE, error);
	if (type == INTR_TYPE_SOFT_INTR || type == INTR_TYPE_SOFT_EXCEPTION ||
	    type == INTR_TYPE_PRIV_SW_EXCEPTION)
		vlm_vmcs_write32(VM_ENTRY_INSTRUCTION_LEN, insn_len);
	vlm_vmcs_write32(VM_ENTRY_INTR_INFO_FIELD, info | INTR_INFO_VALID_MASK);
}

void vlm_vmx_cancel_injection(struct vlm_vmx *vmx)
{
	vlm_vmcs_write32(VM_ENTRY_INTR_INFO_FIELD, 0);
}

void vlm_vmx_set_interruptibility(struct vlm_vmx *vmx, u32 state)
{
	vlm_vmcs_write32(GUEST_INTERRUPTIBILITY_INFO, state);
	vlm_cache_reg(vmx, VLM_CACHED_INTERRUPTIBILITY, state);
}

u64 vlm_vmx_pending_debug(struct vlm_vmx *vmx)
{
	return vlm_vmcs_read_natural(GUEST_PENDING_DBG_EXCEPTIONS);
}

void vlm_vmx_set_pending_debug(struct vlm_vmx *vmx, u64 bits)
{
	vlm_vmcs_write_natural(GUEST_PENDING_DBG_EXCEPTIONS, bits);
}
