/* SPDX-License-Identifier: GPL-2.0-only */
/* Registers of the I/O APIC. Intel 82093AA data sheet; polarity is ignored, lines are logical. */
#ifndef VLM_IRQCHIP_IOAPIC_REGS_H
#define VLM_IRQCHIP_IOAPIC_REGS_H

#include "msg.h"

#define VLM_IOAPIC_PINS		24
#define VLM_IOAPIC_BASE		0xfec00000ull
#define VLM_IOAPIC_BYTES	0x100

/* Redirection entries. */
#define VLM_REDIR_VECTOR	0xffull
#define VLM_REDIR_LOGICAL	(1ull << 11)
#define VLM_REDIR_STATUS	(1ull << 12)	/* always reads 0: delivery is immediate */
#define VLM_REDIR_REMOTE_IRR	(1ull << 14)	/* level: accepted, EOI outstanding */
#define VLM_REDIR_LEVEL		(1ull << 15)
#define VLM_REDIR_MASKED	(1ull << 16)
#define VLM_REDIR_WRITABLE	0xff0000000001afffull

/*
 * After this many re-deliveries of one pin straight from its EOI, the guest cannot
 * be handling the device: insert a pause, so that it gets to run something else.
 */
#define VLM_IOAPIC_STORM	10000u

/**
 * struct vlm_ioapic_regs - state of the I/O APIC; the caller serialises everything
 * @base_address: of the register window
 * @select:	index register
 * @id:		bits 27:24 of the ID register
 * @lines:	asserted inputs
 * @delivered:	edge inputs among @lines that were sent
 * @redir:	redirection entries
 * @streak:	re-deliveries in a row from EOI, for each pin
 */
struct vlm_ioapic_regs {
	u64 base_address;
	u32 select;
	u32 id;
	u32 lines;
	u32 delivered;
	u64 redir[VLM_IOAPIC_PINS];
	u32 streak[VLM_IOAPIC_PINS];
};

/*
 * Service, bound at link time: send @msg to the local APICs. Number of APICs in
 * which it became pending, 0 if it was pending already, -1 without a destination.
 */
int vlm_ioapic_send(struct vlm_ioapic_regs *r, const struct vlm_apic_msg *msg);

void vlm_ioapic_regs_reset(struct vlm_ioapic_regs *r);
/* Drive input @pin. 1 or more: delivered; 0: coalesced; -1: masked, or nobody there. */
int vlm_ioapic_regs_set_line(struct vlm_ioapic_regs *r, u32 pin, int level);
/* @off below VLM_IOAPIC_BYTES; @len 1, 2, 4 or 8. */
void vlm_ioapic_regs_read(struct vlm_ioapic_regs *r, u32 off, u32 len, void *data);
void vlm_ioapic_regs_write(struct vlm_ioapic_regs *r, u32 off, u32 len, const void *data);
/*
 * A local APIC finished @vector: take the pins that it served out of service and
 * return them as a mask. Then lower the lines whose devices are satisfied, and call
 * vlm_ioapic_regs_continue() with the mask.
 */
u32 vlm_ioapic_regs_eoi(struct vlm_ioapic_regs *r, u8 vector);
/*
 * Send again those of @pins that are asserted still. True if one of them storms:
 * call vlm_ioapic_regs_redeliver() some milliseconds later.
 */
bool vlm_ioapic_regs_continue(struct vlm_ioapic_regs *r, u32 pins);
/* Send every level-triggered pin that is asserted, unmasked and not in service. */
void vlm_ioapic_regs_redeliver(struct vlm_ioapic_regs *r);
void vlm_ioapic_regs_save(const struct vlm_ioapic_regs *r, struct kvm_ioapic_state *s);
void vlm_ioapic_regs_load(struct vlm_ioapic_regs *r, const struct kvm_ioapic_state *s);

#endif
