/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of irqchip/ share: the chips of one machine and how they reach each other. */
#ifndef VLM_IRQCHIP_CHIP_H
#define VLM_IRQCHIP_CHIP_H

#include <linux/hrtimer.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "../vm/vm.h"
#include "ioapic_regs.h"
#include "irqchip.h"
#include "lapic_regs.h"
#include "pic_regs.h"
#include "pit_regs.h"

/*
 * Who drives a line. Every input is the OR of its sources, so that user space and a
 * device in the kernel can share one.
 */
enum vlm_irq_source {
	VLM_IRQ_SOURCE_USER,
	VLM_IRQ_SOURCE_PIT,
	VLM_IRQ_SOURCE_RESAMPLE,
};

/**
 * struct vlm_lapic - a local APIC and its host timer
 * @regs:	registers; see lapic_regs.h for who may touch what
 * @v:		the vCPU; constant
 * @timer:	runs while @regs.timer_expiry is set
 * @tsc_multiplier: guest TSC per host TSC, 48 bits after the point; vCPU thread, @timer
 *		cancelled
 * @tsc_offset:	guest TSC minus scaled host TSC; likewise
 * @tsc_khz:	rate of the guest's TSC; likewise
 */
struct vlm_lapic {
	struct vlm_lapic_regs regs;
	struct vlm_vcpu_head *v;
	struct hrtimer timer;
	u64 tsc_multiplier;
	u64 tsc_offset;
	u32 tsc_khz;
};

/**
 * struct vlm_pic - the two 8259
 * @lock:	everything below; taken in any context
 * @sources:	for each input, bits of enum vlm_irq_source that assert it
 */
struct vlm_pic {
	spinlock_t lock;
	struct vlm_pic_regs regs;
	u8 sources[VLM_PIC_PINS];
	struct vlm_iodev dev;
	struct vlm_vm *vm;
};

/**
 * struct vlm_ioapic - the I/O APIC
 * @lock:	everything below; taken in any context; held while interrupts are sent, so
 *		that an EOI cannot overtake the remote IRR bit
 * @fresh:	the last message made a vector pending that was not
 * @redeliver:	continues a pin that stormed
 */
struct vlm_ioapic {
	spinlock_t lock;
	struct vlm_ioapic_regs regs;
	u8 sources[VLM_IOAPIC_PINS];
	struct vlm_iodev dev;
	struct vlm_vm *vm;
	bool fresh;
	struct delayed_work redeliver;
};

struct vlm_pit;
struct vlm_routing;

/**
 * struct vlm_irqchip - the in-kernel interrupt hardware of one machine
 * @pit:	l  read with smp_load_acquire
 * @routing:	replaced as a whole under vm->lock; RCU readers
 * @irqfds:	eventfds bound to GSIs, see irqfd.c. @lock: the lists, in any context;
 *		@mutex: binding and unbinding, taken first; @resample has RCU readers
 */
struct vlm_irqchip {
	struct vlm_vm *vm;
	struct vlm_pic pic;
	struct vlm_ioapic ioapic;
	struct vlm_pit *pit;
	struct vlm_routing __rcu *routing;
	struct {
		struct mutex mutex;
		spinlock_t lock;
		struct list_head list;
		struct list_head resample;
	} irqfds;
};

static inline struct vlm_irqchip *vlm_vm_irqchip(struct vlm_vm *vm)
{
	return smp_load_acquire(&vm->irqchip);
}

/* Make the vCPU look at its interrupts again: it wakes, or leaves the guest. */
static inline void vlm_irq_notify(struct vlm_vcpu_head *v)
{
	vlm_request_set(v, VLM_REQ_EVENT);
	vlm_vcpu_kick(v);
}

/*
 * deliver.c: send @msg to the local APICs that it names. @from is the sender of an
 * IPI, or NULL. Number of APICs that took it, 0 if none acts on such a message, -1 if
 * nobody was there. As on KVM, a vector that was pending already counts, too; who
 * must know passes @fresh, which becomes true if one was not. Any context.
 */
int vlm_apic_deliver(struct vlm_vm *vm, struct vlm_vcpu_head *from, const struct vlm_apic_msg *msg,
		     bool *fresh);
/* Likewise for one APIC, which the caller chose. */
int vlm_lapic_receive(struct vlm_vcpu_head *v, const struct vlm_apic_msg *msg, bool *fresh);

/* pic.c */
void vlm_pic_init(struct vlm_pic *pic, struct vlm_vm *vm);
int vlm_pic_connect(struct vlm_pic *pic);	/* to the port bus; caller holds slots_lock */
void vlm_pic_disconnect(struct vlm_pic *pic);
/* Status as vlm_pic_regs_set_line(). Any context. */
int vlm_pic_set_line(struct vlm_pic *pic, u32 pin, enum vlm_irq_source source, int level);
void vlm_pic_get(struct vlm_pic *pic, u32 nr, struct kvm_pic_state *s);
void vlm_pic_set(struct vlm_pic *pic, u32 nr, const struct kvm_pic_state *s);
/* Does @v take what the PIC outputs? */
bool vlm_pic_reaches(struct vlm_vcpu_head *v);
int vlm_pic_peek(struct vlm_pic *pic);		/* vector or -1 */
int vlm_pic_ack(struct vlm_pic *pic);		/* vector or -1 */

/* ioapic.c */
void vlm_ioapic_init(struct vlm_ioapic *io, struct vlm_vm *vm);
int vlm_ioapic_connect(struct vlm_ioapic *io);	/* to the memory bus; caller holds slots_lock */
void vlm_ioapic_disconnect(struct vlm_ioapic *io);
void vlm_ioapic_quiesce(struct vlm_ioapic *io);	/* stop delayed work; may sleep */
/* Status as vlm_ioapic_regs_set_line(); the PIT gets 0, too, if the vector was pending. */
int vlm_ioapic_set_line(struct vlm_ioapic *io, u32 pin, enum vlm_irq_source source, int level);
void vlm_ioapic_eoi(struct vlm_ioapic *io, u8 vector);
void vlm_ioapic_get(struct vlm_ioapic *io, struct kvm_ioapic_state *s);
void vlm_ioapic_set(struct vlm_ioapic *io, const struct kvm_ioapic_state *s);

/* gsi.c */
int vlm_gsi_init(struct vlm_irqchip *chip);	/* the default routing; -ENOMEM */
void vlm_gsi_destroy(struct vlm_irqchip *chip);
/*
 * Drive everything that @gsi is routed to. Sum of the positive statuses, 0 when all
 * coalesced, -1 when all were masked or none exists. Any context.
 */
int vlm_gsi_set(struct vlm_irqchip *chip, u32 gsi, enum vlm_irq_source source, int level);
/* Does @gsi drive one of @pins of @chip_id (KVM_IRQCHIP_*)? Any context. */
bool vlm_gsi_reaches(struct vlm_irqchip *chip, u32 gsi, u32 chip_id, u32 pins);
/* Decode an MSI. */
void vlm_msi_decode(u32 address_lo, u32 address_hi, u32 data, struct vlm_apic_msg *msg);

/* irqfd.c */
int vlm_irqfd_module_init(void);
void vlm_irqfd_module_exit(void);
void vlm_irqfd_init(struct vlm_irqchip *chip);
void vlm_irqfd_destroy(struct vlm_irqchip *chip);
/*
 * The guest ended interrupts of @pins of @chip_id: lower what resampling irqfds
 * raised there, and tell them. No chip's lock is held.
 */
void vlm_irqfd_resample(struct vlm_irqchip *chip, u32 chip_id, u32 pins);

/* pit.c */
void vlm_pit_destroy(struct vlm_irqchip *chip);

#endif
