// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events of a guest in real mode that the CPU cannot run. SDM volume 3, "Real-Address Mode
 * Operation", "Interrupt and Exception Handling".
 */

#include <linux/mm.h>

#include <asm/processor-flags.h>
#include <asm/vmx.h>

#include "vm/memory.h"

#include "private.h"

#define VECTOR_BYTES	4

/* Push 16 bits; the stack pointer wraps at 64 KiB. */
static int push(struct vlm_vcpu *vcpu, u16 value)
{
	u64 *rsp = &vcpu->regs[VLM_RSP];
	u16 sp = (u16)*rsp - 2;

	if (vlm_vm_write_guest(vcpu->head.vm,
			       (u32)(vlm_vmx_segment_base(&vcpu->vmx, VLM_SEG_SS) + sp),
			       &value, sizeof(value)))
		return -EFAULT;
	*rsp = (*rsp & ~0xffffull) | sp;
	return 0;
}

static int deliver(struct vlm_vcpu *vcpu, u8 vector, u32 skip)
{
	u64 rflags = vlm_vmx_rflags(&vcpu->vmx);
	struct kvm_dtable idt;
	struct kvm_segment cs;
	u16 entry[2];

	vlm_vmx_get_dtable(&vcpu->vmx, true, &idt);
	if (vector * VECTOR_BYTES + VECTOR_BYTES - 1 > idt.limit ||
	    vlm_vm_read_guest(vcpu->head.vm, (u32)idt.base + vector * VECTOR_BYTES, entry,
			      sizeof(entry)))
		return -EFAULT;
	vlm_vmx_get_segment(&vcpu->vmx, VLM_SEG_CS, &cs);
	if (push(vcpu, rflags) || push(vcpu, cs.selector) ||
	    push(vcpu, vlm_vmx_rip(&vcpu->vmx) + skip))
		return -EFAULT;
	cs.selector = entry[1];
	cs.base = (u32)entry[1] << 4;
	vlm_vmx_set_segment(&vcpu->vmx, VLM_SEG_CS, &cs);
	vlm_vmx_set_rip(&vcpu->vmx, entry[0]);
	vlm_vmx_set_rflags(&vcpu->vmx, rflags & ~(u64)(X86_EFLAGS_IF | X86_EFLAGS_TF |
						       X86_EFLAGS_AC | X86_EFLAGS_RF));
	return 0;
}

void vlm_real_mode_deliver(struct vlm_vcpu *vcpu, u8 vector, u32 skip)
{
	u32 state = vlm_vmx_interruptibility(&vcpu->vmx);

	/* No vector or no stack: a double fault finds neither, too. */
	if (deliver(vcpu, vector, skip)) {
		vcpu->events.triple_fault = true;
		return;
	}
	state &= ~(GUEST_INTR_STATE_STI | GUEST_INTR_STATE_MOV_SS);
	if (vector == VLM_NMI)
		state |= GUEST_INTR_STATE_NMI;
	vlm_vmx_set_interruptibility(&vcpu->vmx, state);
}
