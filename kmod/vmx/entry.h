/* SPDX-License-Identifier: GPL-2.0-only */
/* What entry.S and enter.c must agree on; enter.c asserts the offsets. */
#ifndef VLM_VMX_ENTRY_H
#define VLM_VMX_ENTRY_H

/* Offsets in struct vlm_vmx_switch. */
#define VLM_SWITCH_REGS			0
#define VLM_SWITCH_HOST_RSP		8
#define VLM_SWITCH_SPEC_CTRL		16
#define VLM_SWITCH_HOST_SPEC_CTRL	24
#define VLM_SWITCH_FLAGS		32

/* Bits of vlm_vmx_switch::flags. */
#define VLM_SWITCH_RESUME_BIT		0	/* VMRESUME, not VMLAUNCH */
#define VLM_SWITCH_RESUME		(1 << VLM_SWITCH_RESUME_BIT)
#define VLM_SWITCH_SPEC			(1 << 1) /* the CPU has IA32_SPEC_CTRL */
#define VLM_SWITCH_SPEC_SAVE		(1 << 2) /* the guest may write it without an exit */
#define VLM_SWITCH_SPEC_FORCE		(1 << 3) /* write the host's value even if equal: legacy IBRS */

/* HOST_RSP's encoding; <asm/vmx.h> cannot be included by assembly. */
#define VLM_FIELD_HOST_RSP		0x6c14

#ifndef __ASSEMBLY__
#include <linux/types.h>

struct vlm_vmx_switch;

/*
 * Enter the guest and come back. IRQs off. Return false after a VM exit, true when
 * VMLAUNCH or VMRESUME failed or faulted. Not for any caller but enter.c.
 */
bool vlm_vmx_world_switch(struct vlm_vmx_switch *sw);
/* Where VM exits arrive: the value of HOST_RIP. Not a function. */
void vlm_vmx_exit_point(void);
#endif

#endif
