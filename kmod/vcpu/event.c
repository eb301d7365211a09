// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events on their way into the guest: handed to the CPU through the VM-entry
 * interruption fields, taken back when the delivery itself exits.
 * SDM volume 3, "Event Injection" and "Information for VM Exits During Event Delivery".
 */

#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include <asm/vmx.h>

#include "private.h"

bool vlm_irq_allowed(struct vlm_vcpu *vcpu)
{
	return (vlm_vmx_rflags(&vcpu->vmx) & X86_EFLAGS_IF) &&
	       !(vlm_vmx_interruptibility(&vcpu->vmx) &
		 (GUEST_INTR_STATE_STI | GUEST_INTR_STATE_MOV_SS));
}

bool vlm_nmi_allowed(struct vlm_vcpu *vcpu)
{
	return !(vlm_vmx_interruptibility(&vcpu->vmx) &
		 (GUEST_INTR_STATE_STI | GUEST_INTR_STATE_MOV_SS | GUEST_INTR_STATE_NMI));
}

/* One NMI can be latched while another is being handled, so two count at most. */
void vlm_take_nmi_requests(struct vlm_vcpu *vcpu)
{
	struct vlm_events *ev = &vcpu->events;
	u8 limit = 2;

	if (!test_and_clear_bit(VLM_EVENT_NMI, &vcpu->head.events))
		return;
	if (ev->nmi_injected ||
	    (vlm_vmx_interruptibility(&vcpu->vmx) & GUEST_INTR_STATE_NMI))
		limit = 1;
	if (ev->nmi_pending < limit)
		ev->nmi_pending++;
}

/* The 8259 is user space's: it injects by KVM_INTERRUPT and wants to know when. */
static bool user_pic(struct vlm_vcpu *vcpu)
{
	return !vcpu->head.vm->irqchip;
}

bool vlm_user_irq_wanted(struct vlm_vcpu *vcpu)
{
	return READ_ONCE(vcpu->run->request_interrupt_window) && user_pic(vcpu);
}

bool vlm_user_irq_ready(struct vlm_vcpu *vcpu)
{
	const struct vlm_events *ev = &vcpu->events;

	if (!user_pic(vcpu))
		return true;
	return vlm_irq_allowed(vcpu) && ev->user_irq < 0 && !ev->irq_injected &&
	       !ev->nmi_injected && !ev->ex.injected && !ev->ex.pending;
}

/* Faults are restarted: RF keeps an instruction breakpoint from hitting a second time. */
static bool is_fault(u8 vector)
{
	return vector != VLM_DB && vector != VLM_BP && vector != VLM_OF &&
	       vector != VLM_DF && vector != VLM_MC;
}

/* A guest in real mode that is emulated has its events delivered likewise. */
static void hand(struct vlm_vcpu *vcpu, u32 info, u32 error, u32 insn_len)
{
	if (vlm_vmx_can_run(&vcpu->vmx))
		vlm_vmx_inject(&vcpu->vmx, info, error, insn_len);
	else
		vlm_real_mode_deliver(vcpu, info & INTR_INFO_VECTOR_MASK, insn_len);
}

static void hand_exception(struct vlm_vcpu *vcpu)
{
	struct vlm_exception *ex = &vcpu->events.ex;
	u32 info = ex->vector;

	if (ex->pending) {
		vlm_exception_apply_payload(vcpu);
		if (is_fault(ex->vector))
			vlm_vmx_set_rflags(&vcpu->vmx,
					   vlm_vmx_rflags(&vcpu->vmx) | X86_EFLAGS_RF);
		if (ex->vector == VLM_DB && (vcpu->debug.dr7 & VLM_DR7_GD)) {
			vcpu->debug.dr7 &= ~VLM_DR7_GD;
			vlm_debug_apply(vcpu);
		}
		ex->pending = false;
		ex->injected = true;
	}
	if (ex->soft)
		info |= ex->vector == VLM_DB ? INTR_TYPE_PRIV_SW_EXCEPTION :
					       INTR_TYPE_SOFT_EXCEPTION;
	else
		info |= INTR_TYPE_HARD_EXCEPTION;
	/* Real mode has no error codes, and an entry that delivers one there fails. */
	if (ex->has_error && (vlm_vmx_cr0(&vcpu->vmx) & X86_CR0_PE))
		info |= INTR_INFO_DELIVER_CODE_MASK;
	hand(vcpu, info, ex->error, ex->insn_len);
	vcpu->events.handed = VLM_HANDED_EXCEPTION;
}

static void hand_nmi(struct vlm_vcpu *vcpu)
{
	vlm_vcpu_count(vcpu, VLM_VCPU_NMI_INJECTIONS);
	hand(vcpu, INTR_TYPE_NMI_INTR | VLM_NMI, 0, 0);
	vcpu->events.handed = VLM_HANDED_NMI;
}

static void hand_irq(struct vlm_vcpu *vcpu)
{
	struct vlm_events *ev = &vcpu->events;

	vlm_vcpu_count(vcpu, VLM_VCPU_IRQ_INJECTIONS);
	hand(vcpu, ev->irq_vector | (ev->irq_soft ? INTR_TYPE_SOFT_INTR : INTR_TYPE_EXT_INTR), 0,
	     ev->irq_soft ? ev->irq_insn_len : 0);
	ev->handed = VLM_HANDED_IRQ;
}

/* What was accepted before comes first. */
static void hand_again(struct vlm_vcpu *vcpu)
{
	struct vlm_events *ev = &vcpu->events;

	if (ev->ex.injected || ev->ex.pending)
		hand_exception(vcpu);
	else if (ev->nmi_injected)
		hand_nmi(vcpu);
	else if (ev->irq_injected && (ev->irq_soft || vlm_irq_allowed(vcpu)))
		hand_irq(vcpu);
}

static bool irq_waits(struct vlm_vcpu *vcpu)
{
	const struct vlm_events *ev = &vcpu->events;

	if ((ev->irq_injected && ev->handed != VLM_HANDED_IRQ) || ev->user_irq >= 0)
		return true;
	return vlm_has_lapic(vcpu) && vlm_irq_pending(&vcpu->head) >= 0;
}

static void hand_new_irq(struct vlm_vcpu *vcpu)
{
	struct vlm_events *ev = &vcpu->events;
	int vector;

	if (ev->user_irq >= 0) {
		vector = ev->user_irq;
		ev->user_irq = -1;
	} else {
		vector = vlm_irq_accept(&vcpu->head);
		if (vector < 0)
			return;
	}
	ev->irq_injected = true;
	ev->irq_soft = false;
	ev->irq_vector = vector;
	hand_irq(vcpu);
}

static void hand_new(struct vlm_vcpu *vcpu)
{
	struct vlm_events *ev = &vcpu->events;

	if (ev->nmi_pending && vlm_nmi_allowed(vcpu)) {
		ev->nmi_pending--;
		ev->nmi_injected = true;
		hand_nmi(vcpu);
	} else if (!ev->irq_injected && vlm_irq_allowed(vcpu) && irq_waits(vcpu)) {
		hand_new_irq(vcpu);
	}
}

/* Exit as soon as the guest can take what is left over. */
static void set_windows(struct vlm_vcpu *vcpu, bool blocked)
{
	struct vlm_events *ev = &vcpu->events;
	bool nmi = (ev->nmi_pending && !blocked) ||
		   (ev->nmi_injected && ev->handed != VLM_HANDED_NMI);
	bool irq = !blocked && (irq_waits(vcpu) || vlm_user_irq_wanted(vcpu));

	/* The NMI window opens in the shadow of STI, where an NMI cannot be injected. */
	if (nmi && (vlm_vmx_interruptibility(&vcpu->vmx) & GUEST_INTR_STATE_STI)) {
		nmi = false;
		irq = true;
	}
	vlm_vmx_set_nmi_window(&vcpu->vmx, nmi);
	vlm_vmx_set_irq_window(&vcpu->vmx, irq);
}

/*
 * In an interrupt shadow the CPU has a single-step trap pending exactly if the trap flag
 * is on and does not mean branches, and entry insists on that. The flags may have been
 * changed since the exit. SDM "Checks on Guest Non-Register State".
 */
static void set_pending_step(struct vlm_vcpu *vcpu)
{
	const u32 shadow = GUEST_INTR_STATE_STI | GUEST_INTR_STATE_MOV_SS;
	bool steps = vlm_vmx_rflags(&vcpu->vmx) & X86_EFLAGS_TF;
	u32 state = vlm_vmx_interruptibility(&vcpu->vmx);
	u64 pending, debugctl = 0;

	if (likely(!(state & shadow)))
		return;
	/* The debugger has had its trap; a second one at the same place would never end. */
	if (vcpu->debug.control & KVM_GUESTDBG_SINGLESTEP) {
		vlm_vmx_set_interruptibility(&vcpu->vmx, state & ~shadow);
		return;
	}
	vlm_vmx_get_msr(&vcpu->vmx, MSR_IA32_DEBUGCTLMSR, &debugctl);
	if (debugctl & DEBUGCTLMSR_BTF)
		steps = false;
	/* Breakpoints that wait for the end of the shadow stay. */
	pending = vlm_vmx_pending_debug(&vcpu->vmx);
	if (steps != !!(pending & VLM_DR6_BS))
		vlm_vmx_set_pending_debug(&vcpu->vmx, pending ^ VLM_DR6_BS);
}

/* Before most entries: no event, no shadow, no window. */
static bool nothing_to_do(struct vlm_vcpu *vcpu)
{
	const struct vlm_events *ev = &vcpu->events;

	if (ev->ex.pending | ev->ex.injected | ev->nmi_pending | ev->nmi_injected |
	    ev->irq_injected | ev->triple_fault)
		return false;
	if (ev->user_irq >= 0 || test_bit(VLM_EVENT_NMI, &vcpu->head.events))
		return false;
	if (vlm_vmx_has_window(&vcpu->vmx) ||
	    (vlm_vmx_interruptibility(&vcpu->vmx) & (GUEST_INTR_STATE_STI | GUEST_INTR_STATE_MOV_SS)))
		return false;
	if (vlm_has_lapic(vcpu) && vlm_irq_pending(&vcpu->head) >= 0)
		return false;
	return !vlm_user_irq_wanted(vcpu);
}

static bool irqs_blocked(const struct vlm_vcpu *vcpu)
{
	return vcpu->debug.control & KVM_GUESTDBG_BLOCKIRQ;
}

/* Returns a step. */
static int hand_one(struct vlm_vcpu *vcpu)
{
	struct vlm_events *ev = &vcpu->events;

	vlm_take_nmi_requests(vcpu);
	if (ev->triple_fault) {
		ev->triple_fault = false;
		vcpu->run->exit_reason = KVM_EXIT_SHUTDOWN;
		return VLM_TO_USER;
	}
	ev->handed = VLM_HANDED_NONE;
	hand_again(vcpu);
	if (ev->handed == VLM_HANDED_NONE && !irqs_blocked(vcpu))
		hand_new(vcpu);
	return VLM_RESUME;
}

int vlm_events_inject(struct vlm_vcpu *vcpu)
{
	int step;

	if (nothing_to_do(vcpu)) {
		vcpu->events.handed = VLM_HANDED_NONE;
		return VLM_RESUME;
	}
	step = hand_one(vcpu);
	if (step != VLM_RESUME)
		return step;
	set_windows(vcpu, irqs_blocked(vcpu));
	set_pending_step(vcpu);
	return VLM_RESUME;
}

/* What was handed to the guest is delivered, unless the exit says otherwise. */
static void settle(struct vlm_events *ev)
{
	switch (ev->handed) {
	case VLM_HANDED_EXCEPTION:
		ev->ex.injected = false;
		break;
	case VLM_HANDED_NMI:
		ev->nmi_injected = false;
		break;
	case VLM_HANDED_IRQ:
		ev->irq_injected = false;
		break;
	case VLM_HANDED_NONE:
		break;
	}
	ev->handed = VLM_HANDED_NONE;
}

int vlm_events_emulate(struct vlm_vcpu *vcpu)
{
	int step = hand_one(vcpu);

	if (step == VLM_RESUME)
		settle(&vcpu->events);
	return step;
}

/* The exit says that IRET had ended NMI blocking before it faulted: NMIs are blocked again. */
static bool nmi_unblocked_early(const struct vlm_exit *exit)
{
	if (exit->idt_info & VECTORING_INFO_VALID_MASK)
		return false;
	switch (exit->reason) {
	case EXIT_REASON_EXCEPTION_NMI:
		return (exit->intr_info & INTR_INFO_UNBLOCK_NMI) &&
		       (exit->intr_info & INTR_INFO_VECTOR_MASK) != VLM_DF;
	case EXIT_REASON_EPT_VIOLATION:
	case EXIT_REASON_PML_FULL:
		return exit->qualification & INTR_INFO_UNBLOCK_NMI;
	default:
		return false;
	}
}

static void set_nmi_blocking(struct vlm_vcpu *vcpu, bool on)
{
	u32 state = vlm_vmx_interruptibility(&vcpu->vmx) & ~GUEST_INTR_STATE_NMI;

	if (on)
		state |= GUEST_INTR_STATE_NMI;
	vlm_vmx_set_interruptibility(&vcpu->vmx, state);
}

static void take_back(struct vlm_vcpu *vcpu)
{
	const struct vlm_exit *exit = &vcpu->exit;
	struct vlm_events *ev = &vcpu->events;
	u32 type = exit->idt_info & VECTORING_INFO_TYPE_MASK;
	u8 vector = exit->idt_info & VECTORING_INFO_VECTOR_MASK;

	vlm_request_set(&vcpu->head, VLM_REQ_EVENT);
	switch (type) {
	case INTR_TYPE_NMI_INTR:
		ev->nmi_injected = true;
		/* An injected NMI sets blocking on its own, and refuses to start with it. */
		set_nmi_blocking(vcpu, false);
		break;
	case INTR_TYPE_SOFT_EXCEPTION:
	case INTR_TYPE_PRIV_SW_EXCEPTION:
	case INTR_TYPE_HARD_EXCEPTION:
		ev->ex = (struct vlm_exception){
			.injected = true,
			.vector = vector,
			.soft = type != INTR_TYPE_HARD_EXCEPTION,
			.insn_len = exit->insn_len,
			.has_error = exit->idt_info & VECTORING_INFO_DELIVER_CODE_MASK,
			.error = exit->idt_error,
		};
		break;
	case INTR_TYPE_SOFT_INTR:
	case INTR_TYPE_EXT_INTR:
		ev->irq_injected = true;
		ev->irq_soft = type == INTR_TYPE_SOFT_INTR;
		ev->irq_vector = vector;
		ev->irq_insn_len = exit->insn_len;
		break;
	}
}

void vlm_events_after_exit(struct vlm_vcpu *vcpu)
{
	/* A refused entry delivered nothing, and left the event in the entry fields. */
	if (vcpu->exit.entry_failed || vcpu->exit.entry_error) {
		vlm_vmx_cancel_injection(&vcpu->vmx);
		return;
	}
	settle(&vcpu->events);
	if (nmi_unblocked_early(&vcpu->exit))
		set_nmi_blocking(vcpu, true);
	if (vcpu->exit.idt_info & VECTORING_INFO_VALID_MASK)
		take_back(vcpu);
}
