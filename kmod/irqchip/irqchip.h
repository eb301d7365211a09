/* SPDX-License-Identifier: GPL-2.0-only */
/* The face of the interrupt controllers for vcpu/ and abi/. */
#ifndef VLM_IRQCHIP_IRQCHIP_H
#define VLM_IRQCHIP_IRQCHIP_H

#include <linux/kvm.h>
#include <linux/types.h>

#include "../vcpu/request.h"

struct vlm_vm;

#define VLM_MAX_IRQ_ROUTES 4096	/* KVM_CAP_IRQ_ROUTING */

int vlm_irqchip_module_init(void);
void vlm_irqchip_module_exit(void);

/* VM level. Neither creation nor routing without vm->lock, which the caller takes. */
/* KVM_CREATE_IRQCHIP: -EEXIST, -EINVAL (vCPUs exist), -ENOMEM. */
int vlm_irqchip_create(struct vlm_vm *vm);
/* KVM_CREATE_PIT2: -EEXIST, -ENOENT (no irqchip), -ENOMEM. */
int vlm_pit_create(struct vlm_vm *vm, const struct kvm_pit_config *config);
/*
 * KVM_IRQ_LINE. @line_status may be NULL, receives KVM's status (0 coalesced, 1 delivered,
 * -1 masked). No lock held. -ENXIO without irqchip.
 */
int vlm_irqchip_set_line(struct vlm_vm *vm, u32 gsi, int level, int *line_status);
/* State of the chips, without vm->lock: -ENXIO, and -EINVAL for a chip that does not exist. */
int vlm_irqchip_get(struct vlm_vm *vm, struct kvm_irqchip *chip);
int vlm_irqchip_set(struct vlm_vm *vm, const struct kvm_irqchip *chip);
int vlm_pit_get(struct vlm_vm *vm, struct kvm_pit_state2 *state);
int vlm_pit_set(struct vlm_vm *vm, const struct kvm_pit_state2 *state);
/* KVM_REINJECT_CONTROL: catch up on timer interrupts that the guest had no time to take. -ENXIO. */
int vlm_pit_set_reinject(struct vlm_vm *vm, bool reinject);
/* KVM_SET_GSI_ROUTING with @entries in kernel memory, @nr up to 4096. -EINVAL, -ENOMEM. */
int vlm_irqchip_set_routing(struct vlm_vm *vm, const struct kvm_irq_routing_entry *entries, u32 nr);
/*
 * KVM_SIGNAL_MSI. No lock held. Number of APICs that took it, -1 without a destination;
 * -EINVAL without irqchip or for unknown flags.
 */
int vlm_irqchip_signal_msi(struct vlm_vm *vm, const struct kvm_msi *msi);
/*
 * KVM_IRQFD. No lock held. -EINVAL (unknown flags, no irqchip, not an eventfd), -EBADF,
 * -EBUSY (bound already), -ENOMEM. To unbind what is not bound is no error.
 */
int vlm_irqchip_irqfd(struct vlm_vm *vm, const struct kvm_irqfd *args);
/* A local APIC broadcast the EOI of @vector of a level-triggered interrupt. vCPU thread. */
void vlm_irqchip_eoi(struct vlm_vm *vm, u8 vector);

/* vCPU level: local APIC. vCPU thread or vCPU lock held, unless said otherwise. */
int vlm_lapic_create(struct vlm_vcpu_head *v);
void vlm_lapic_destroy(struct vlm_vcpu_head *v);
void vlm_lapic_reset(struct vlm_vcpu_head *v, bool init_event);	/* INIT keeps the APIC ID and base */
u64 vlm_lapic_base(struct vlm_vcpu_head *v);			/* IA32_APIC_BASE */
/*
 * SDM "Local APIC State Transitions"; @host may go from any valid state to any. -EINVAL
 * means #GP. The caller checks MAXPHYADDR and whether CPUID offers x2APIC.
 */
int vlm_lapic_set_base(struct vlm_vcpu_head *v, u64 base, bool host);
u64 vlm_lapic_cr8(struct vlm_vcpu_head *v);			/* TPR bits 7:4 */
void vlm_lapic_set_cr8(struct vlm_vcpu_head *v, u64 cr8);
/*
 * True if an access to @gpa ends at the local APIC: it lies in the page that
 * IA32_APIC_BASE names. In other modes than xAPIC, too, unless user space disabled
 * KVM_X86_QUIRK_LAPIC_MMIO_HOLE; reads are all ones then, writes are lost.
 */
bool vlm_lapic_claims(struct vlm_vcpu_head *v, u64 gpa);
void vlm_lapic_mmio_read(struct vlm_vcpu_head *v, u64 gpa, u32 len, void *data);
void vlm_lapic_mmio_write(struct vlm_vcpu_head *v, u64 gpa, u32 len, const void *data);
/* x2APIC MSRs 0x800-0x8ff and IA32_TSC_DEADLINE. -EINVAL means #GP. */
int vlm_lapic_msr_read(struct vlm_vcpu_head *v, u32 msr, u64 *data);
int vlm_lapic_msr_write(struct vlm_vcpu_head *v, u32 msr, u64 data);
void vlm_lapic_set_tsc_deadline(struct vlm_vcpu_head *v, u64 guest_tsc);
u64 vlm_lapic_tsc_deadline(struct vlm_vcpu_head *v);
int vlm_lapic_get_state(struct vlm_vcpu_head *v, struct kvm_lapic_state *s);	/* KVM_GET_LAPIC */
int vlm_lapic_set_state(struct vlm_vcpu_head *v, const struct kvm_lapic_state *s);
/* Does CPUID offer TSC-deadline mode? Offered until told otherwise. */
void vlm_lapic_offer_tsc_deadline(struct vlm_vcpu_head *v, bool offered);
/*
 * vcpu/ tells how to turn TSC deadlines into host time, whenever that changes: the guest
 * reads host TSC x @multiplier >> 48, plus @offset; @khz is its rate, 0 for the last one.
 */
void vlm_lapic_set_tsc(struct vlm_vcpu_head *v, u64 multiplier, u64 offset, u32 khz);

/*
 * Highest-priority interrupt that may be injected now: vector, or -1. Covers the
 * local APIC (IRR above PPR) and the PIC through LINT0 in ExtINT mode. vCPU thread.
 */
int vlm_irq_pending(struct vlm_vcpu_head *v);
/* Accept what vlm_irq_pending() offered: IRR to ISR, or PIC acknowledge. Return the vector or -1. */
int vlm_irq_accept(struct vlm_vcpu_head *v);
/* True if a halted vCPU must wake for an interrupt. */
bool vlm_irq_wakes(struct vlm_vcpu_head *v);
/* Highest requested vector whatever the priority, for the TPR threshold; -1 when none. */
int vlm_lapic_highest_irr(struct vlm_vcpu_head *v);

#endif
