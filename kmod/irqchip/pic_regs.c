// SPDX-License-Identifier: GPL-2.0-only
/* Register logic of the 8259A pair. ICW and OCW are the names of the data sheet. */
#include "pic_regs.h"

#define CASCADE		2u	/* master input that the slave drives */

/* Steps of initialisation: the word expected next at the data port. */
enum {
	READY = 0,
	WANT_ICW2 = 1,
	WANT_ICW3 = 2,
	WANT_ICW4 = 3,
};

static const u8 elcr_writable[2] = { 0xf8, 0xde };

/* Rank of the most urgent request in @mask: 0 is the highest priority, 8 means none. */
static u32 rank(const struct kvm_pic_state *c, u8 mask)
{
	u32 i;

	for (i = 0; i < 8; i++)
		if (mask & 1u << ((i + c->priority_add) & 7))
			return i;
	return 8;
}

/* Input that this chip asks to serve, or -1. */
static int request(const struct vlm_pic_regs *p, u32 nr)
{
	const struct kvm_pic_state *c = &p->chip[nr];
	u8 serving = c->isr;
	u32 want = rank(c, (u8)(c->irr & ~c->imr));

	/* Special mask mode: a masked input in service blocks nobody. */
	if (c->special_mask)
		serving = (u8)(serving & ~c->imr);
	/* Special fully nested mode: the slave may interrupt its own service. */
	if (nr == 0 && c->special_fully_nested_mode)
		serving = (u8)(serving & ~(1u << CASCADE));
	if (want >= rank(c, serving))
		return -1;
	return (int)((want + c->priority_add) & 7);
}

/* Carry the slave's output to the master, and the master's to the processor. */
static void update(struct vlm_pic_regs *p)
{
	if (request(p, 1) >= 0)
		p->chip[0].irr |= 1u << CASCADE;
	else
		p->chip[0].irr &= (u8)~(1u << CASCADE);
	p->output = request(p, 0) >= 0;
}

static void reset_chip(struct kvm_pic_state *c, u8 elcr_mask)
{
	memset(c, 0, sizeof(*c));
	c->elcr_mask = elcr_mask;
}

void vlm_pic_regs_reset(struct vlm_pic_regs *p)
{
	reset_chip(&p->chip[0], elcr_writable[0]);
	reset_chip(&p->chip[1], elcr_writable[1]);
	update(p);
}

int vlm_pic_regs_set_line(struct vlm_pic_regs *p, u32 pin, int level)
{
	struct kvm_pic_state *c;
	int result = 1;
	u8 mask;

	if (pin >= VLM_PIC_PINS || pin == CASCADE)
		return -1;
	c = &p->chip[pin / 8];
	mask = (u8)(1u << (pin % 8));
	if (level) {
		/* Edge mode: a request needs a rise; it stays until it is acknowledged. */
		if ((c->elcr & mask) || !(c->last_irr & mask)) {
			result = !(c->irr & mask);
			c->irr |= mask;
		}
		c->last_irr |= mask;
	} else {
		if (c->elcr & mask)
			c->irr &= (u8)~mask;
		c->last_irr &= (u8)~mask;
	}
	update(p);
	return c->imr & mask ? -1 : result;
}

static void end_service(struct vlm_pic_regs *p, u32 nr, u32 irq, bool rotate)
{
	struct kvm_pic_state *c = &p->chip[nr];

	c->isr &= (u8)~(1u << irq);
	if (rotate)
		c->priority_add = (irq + 1) & 7;
	p->ended |= (u16)(1u << (nr * 8 + irq));
}

/* The chip's part in an acknowledge cycle or a poll. */
static void begin_service(struct vlm_pic_regs *p, u32 nr, u32 irq)
{
	struct kvm_pic_state *c = &p->chip[nr];
	u8 mask = (u8)(1u << irq);

	if (!(c->elcr & mask))
		c->irr &= (u8)~mask;
	if (c->auto_eoi)
		end_service(p, nr, irq, c->rotate_on_auto_eoi);
	else
		c->isr |= mask;
}

static int vector_of(const struct kvm_pic_state *c, int irq)
{
	return c->irq_base + (irq < 0 ? 7 : irq);
}

int vlm_pic_regs_peek(const struct vlm_pic_regs *p)
{
	int irq = request(p, 0);

	if (irq < 0)
		return -1;
	if (irq == CASCADE)
		return vector_of(&p->chip[1], request(p, 1));
	return vector_of(&p->chip[0], irq);
}

int vlm_pic_regs_ack(struct vlm_pic_regs *p)
{
	int irq = request(p, 0);
	int vector;

	if (irq >= 0)
		begin_service(p, 0, (u32)irq);
	if (irq == CASCADE) {
		irq = request(p, 1);
		if (irq >= 0)
			begin_service(p, 1, (u32)irq);
		vector = vector_of(&p->chip[1], irq);
	} else {
		vector = vector_of(&p->chip[0], irq);
	}
	update(p);
	return vector;
}

/* OCW2: end of interrupt and rotation of priorities. */
static void write_ocw2(struct vlm_pic_regs *p, u32 nr, u8 val)
{
	struct kvm_pic_state *c = &p->chip[nr];
	u8 candidates = c->isr;
	u32 level = val & 7;
	u32 first;

	switch (val >> 5) {
	case 0:	/* rotate in automatic EOI mode: clear */
	case 4:	/* and set */
		c->rotate_on_auto_eoi = val >> 7;
		break;
	case 1:	/* non-specific EOI */
	case 5:	/* and rotate */
		if (c->special_mask)
			candidates = (u8)(candidates & ~c->imr);
		first = rank(c, candidates);
		if (first < 8)
			end_service(p, nr, (first + c->priority_add) & 7, val >> 7);
		break;
	case 3:	/* specific EOI */
	case 7:	/* and rotate */
		end_service(p, nr, level, val >> 7);
		break;
	case 6:	/* set priority: @level becomes the lowest */
		c->priority_add = (level + 1) & 7;
		break;
	}
}

static void write_command(struct vlm_pic_regs *p, u32 nr, u8 val)
{
	struct kvm_pic_state *c = &p->chip[nr];

	if (val & 0x10) {	/* ICW1 */
		c->init4 = val & 1;
		/* Edge requests are forgotten; what is level-triggered stays. */
		c->irr &= c->elcr;
		c->imr = 0;
		p->ended |= (u16)(c->isr << nr * 8);
		c->isr = 0;
		c->priority_add = 0;
		c->special_mask = 0;
		c->read_reg_select = 0;
		c->poll = 0;
		c->rotate_on_auto_eoi = 0;
		if (!c->init4) {
			c->special_fully_nested_mode = 0;
			c->auto_eoi = 0;
		}
		c->init_state = WANT_ICW2;
	} else if (val & 0x08) {	/* OCW3 */
		if (val & 0x04)
			c->poll = 1;
		if (val & 0x02)
			c->read_reg_select = val & 1;
		if (val & 0x40)
			c->special_mask = (val >> 5) & 1;
	} else {
		write_ocw2(p, nr, val);
	}
}

static void write_data(struct kvm_pic_state *c, u8 val)
{
	switch (c->init_state) {
	case WANT_ICW2:
		c->irq_base = val & 0xf8;
		c->init_state = WANT_ICW3;
		break;
	case WANT_ICW3:	/* how the chips are cascaded is fixed */
		c->init_state = c->init4 ? WANT_ICW4 : READY;
		break;
	case WANT_ICW4:
		c->special_fully_nested_mode = (val >> 4) & 1;
		c->auto_eoi = (val >> 1) & 1;
		c->init_state = READY;
		break;
	default:
		c->imr = val;
	}
}

/* A read after the poll command acknowledges and tells which input. */
static u8 poll(struct vlm_pic_regs *p, u32 nr)
{
	int irq = request(p, nr);

	p->chip[nr].poll = 0;
	if (irq < 0)
		return 0;
	begin_service(p, nr, (u32)irq);
	update(p);
	return (u8)(0x80 | irq);
}

u8 vlm_pic_regs_read(struct vlm_pic_regs *p, u16 port)
{
	u32 nr = port >= 0xa0;

	switch (port) {
	case 0x20:
	case 0xa0:
		if (p->chip[nr].poll)
			return poll(p, nr);
		return p->chip[nr].read_reg_select ? p->chip[nr].isr : p->chip[nr].irr;
	case 0x21:
	case 0xa1:
		if (p->chip[nr].poll)
			return poll(p, nr);
		return p->chip[nr].imr;
	case 0x4d0:
	case 0x4d1:
		return p->chip[port & 1].elcr;
	}
	return 0;
}

void vlm_pic_regs_write(struct vlm_pic_regs *p, u16 port, u8 val)
{
	switch (port) {
	case 0x20:
	case 0xa0:
		write_command(p, port == 0xa0, val);
		break;
	case 0x21:
	case 0xa1:
		write_data(&p->chip[port == 0xa1], val);
		break;
	case 0x4d0:
	case 0x4d1:
		p->chip[port & 1].elcr = val & elcr_writable[port & 1];
		break;
	}
	update(p);
}

void vlm_pic_regs_load(struct vlm_pic_regs *p, u32 nr, const struct kvm_pic_state *s)
{
	struct kvm_pic_state *c = &p->chip[nr & 1];

	*c = *s;
	c->priority_add &= 7;
	c->irq_base &= 0xf8;
	c->read_reg_select &= 1;
	c->poll = !!c->poll;
	c->special_mask = !!c->special_mask;
	c->init_state &= 3;
	c->auto_eoi = !!c->auto_eoi;
	c->rotate_on_auto_eoi = !!c->rotate_on_auto_eoi;
	c->special_fully_nested_mode = !!c->special_fully_nested_mode;
	c->init4 = !!c->init4;
	c->elcr_mask = elcr_writable[nr & 1];
	c->elcr &= c->elcr_mask;
	update(p);
}
