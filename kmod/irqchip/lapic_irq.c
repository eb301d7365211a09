// SPDX-License-Identifier: GPL-2.0-only
/*
 * How interrupts pass through a local APIC: request, priority, service, end.
 * SDM "Handling Interrupts", "Interrupt Priorities", "Issuing IPIs".
 */
#include "lapic_regs.h"

/* Vectors 0 to 15 are reserved for exceptions. */
#define FIRST_VECTOR	16

/* The eight registers of a bank stand 16 bytes apart, so a vector's word is 8-byte aligned. */
static unsigned long *bank_word(const struct vlm_lapic_regs *r, u32 bank, u32 vector)
{
	return &r->page->longs[(bank + (vector / 32) * 16) / sizeof(unsigned long)];
}

static bool bank_test(const struct vlm_lapic_regs *r, u32 bank, u32 vector)
{
	return vlm_lapic_reg(r, bank + (vector / 32) * 16) & (1u << (vector % 32));
}

int vlm_lapic_regs_highest(const struct vlm_lapic_regs *r, u32 bank)
{
	int i;

	for (i = 7; i >= 0; i--) {
		u32 word = vlm_lapic_reg(r, bank + (u32)i * 16);

		if (word)
			return i * 32 + fls(word) - 1;
	}
	return -1;
}

u32 vlm_lapic_regs_ppr(const struct vlm_lapic_regs *r)
{
	u32 tpr = vlm_lapic_reg(r, VLM_LAPIC_TPR) & 0xff;
	int isr = vlm_lapic_regs_highest(r, VLM_LAPIC_ISR);
	u32 serving = isr < 0 ? 0 : (u32)isr & 0xf0;

	return (tpr & 0xf0) >= serving ? tpr : serving;
}

int vlm_lapic_regs_pending(const struct vlm_lapic_regs *r)
{
	int irr;

	if (!vlm_lapic_is_hw_enabled(r))
		return -1;
	irr = vlm_lapic_regs_highest(r, VLM_LAPIC_IRR);
	if (irr < 0 || ((u32)irr & 0xf0) <= (vlm_lapic_regs_ppr(r) & 0xf0))
		return -1;
	return irr;
}

int vlm_lapic_regs_accept(struct vlm_lapic_regs *r)
{
	int vector = vlm_lapic_regs_pending(r);

	if (vector < 0)
		return -1;
	clear_bit((u32)vector % 32, bank_word(r, VLM_LAPIC_IRR, (u32)vector));
	set_bit((u32)vector % 32, bank_word(r, VLM_LAPIC_ISR, (u32)vector));
	return vector;
}

void vlm_lapic_regs_eoi(struct vlm_lapic_regs *r, struct vlm_lapic_fx *fx)
{
	int isr = vlm_lapic_regs_highest(r, VLM_LAPIC_ISR);
	u32 vector = (u32)isr;

	if (isr < 0)
		return;
	clear_bit(vector % 32, bank_word(r, VLM_LAPIC_ISR, vector));
	fx->flags |= VLM_LAPIC_FX_EVENT;
	if (!bank_test(r, VLM_LAPIC_TMR, vector) ||
	    (vlm_lapic_reg(r, VLM_LAPIC_SVR) & VLM_LAPIC_SVR_NO_EOI))
		return;
	fx->flags |= VLM_LAPIC_FX_EOI;
	fx->eoi_vector = (u8)vector;
}

void vlm_lapic_regs_error(struct vlm_lapic_regs *r, u32 bit)
{
	struct vlm_apic_msg msg;

	set_bit(bit, &r->errors);
	/* An illegal vector in the error entry itself must not count again. */
	if (vlm_lapic_regs_lvt(r, VLM_LAPIC_LVT_ERROR, &msg) && msg.vector >= FIRST_VECTOR)
		vlm_lapic_regs_post(r, msg.vector, false);
}

bool vlm_lapic_regs_post(struct vlm_lapic_regs *r, u8 vector, bool level_trig)
{
	if (vector < FIRST_VECTOR) {
		vlm_lapic_regs_error(r, VLM_LAPIC_ESR_RECV_ILLEGAL);
		return false;
	}
	/* TMR first: who sees the request must see how it was triggered. */
	if (bank_test(r, VLM_LAPIC_TMR, vector) != level_trig) {
		if (level_trig)
			set_bit(vector % 32, bank_word(r, VLM_LAPIC_TMR, vector));
		else
			clear_bit(vector % 32, bank_word(r, VLM_LAPIC_TMR, vector));
	}
	return !test_and_set_bit(vector % 32, bank_word(r, VLM_LAPIC_IRR, vector));
}

bool vlm_lapic_regs_lvt(const struct vlm_lapic_regs *r, u32 off, struct vlm_apic_msg *msg)
{
	u32 lvt = vlm_lapic_reg(r, off);

	if (!vlm_lapic_is_hw_enabled(r) || (lvt & VLM_LVT_MASKED))
		return false;
	memset(msg, 0, sizeof(*msg));
	msg->shorthand = VLM_APIC_TO_SELF;
	msg->vector = (u8)lvt;
	msg->level = 1;
	/* Timer and error entries have no delivery mode; their bits 10:8 are kept zero. */
	msg->mode = (lvt >> 8) & 7;
	if (off == VLM_LAPIC_LVT_LINT0 || off == VLM_LAPIC_LVT_LINT1)
		msg->trig = (lvt >> 15) & 1;
	return true;
}

void vlm_lapic_icr_decode(u32 icr, u32 dest, bool wide, struct vlm_apic_msg *msg)
{
	memset(msg, 0, sizeof(*msg));
	msg->dest = dest;
	msg->vector = (u8)icr;
	msg->mode = (icr >> 8) & 7;
	msg->logical = (icr >> 11) & 1;
	msg->level = (icr >> 14) & 1;
	msg->trig = (icr >> 15) & 1;
	msg->shorthand = (icr >> 18) & 3;
	msg->wide = wide;
}

static bool match_logical(const struct vlm_lapic_regs *r, u32 dest)
{
	u32 ldr = vlm_lapic_reg(r, VLM_LAPIC_LDR);

	if (vlm_lapic_is_x2apic(r))
		return ldr >> 16 == dest >> 16 && (ldr & dest & 0xffff);

	ldr >>= 24;
	dest &= 0xff;
	switch (vlm_lapic_reg(r, VLM_LAPIC_DFR) >> 28) {
	case 0xf:	/* flat model */
		return ldr & dest;
	case 0x0:	/* cluster model */
		return ldr >> 4 == dest >> 4 && (ldr & dest & 0xf);
	default:
		return false;
	}
}

bool vlm_lapic_regs_match(const struct vlm_lapic_regs *r, const struct vlm_apic_msg *msg)
{
	u32 dest = msg->dest;

	if (!vlm_lapic_is_hw_enabled(r))
		return false;
	if (vlm_lapic_is_x2apic(r)) {
		/* Devices and xAPIC senders have eight bits of destination. */
		if (dest == VLM_APIC_BROADCAST && !msg->wide)
			dest = VLM_X2APIC_BROADCAST;
		if (dest == VLM_X2APIC_BROADCAST)
			return true;
		return msg->logical ? match_logical(r, dest) : dest == r->x2apic_id;
	}
	if (dest == VLM_APIC_BROADCAST || dest == VLM_X2APIC_BROADCAST)
		return true;
	if (msg->logical)
		return match_logical(r, dest);
	/* Let an ID above 254 start in xAPIC mode: only an x2APIC sender can name it. */
	if (r->x2apic_id > 0xff)
		return dest == r->x2apic_id;
	return dest == vlm_lapic_reg(r, VLM_LAPIC_ID) >> 24;
}
