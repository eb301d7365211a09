// SPDX-License-Identifier: GPL-2.0-only
/* Register logic of the I/O APIC. */
#include "ioapic_regs.h"

#define REG_SELECT	0x00
#define REG_WINDOW	0x10

/* Indices behind the window. */
#define INDEX_ID	0x00
#define INDEX_VERSION	0x01
#define INDEX_ARB	0x02
#define INDEX_REDIR	0x10

#define VERSION_VALUE	(0x11u | (VLM_IOAPIC_PINS - 1) << 16)

void vlm_ioapic_regs_reset(struct vlm_ioapic_regs *r)
{
	u32 i;

	memset(r, 0, sizeof(*r));
	r->base_address = VLM_IOAPIC_BASE;
	for (i = 0; i < VLM_IOAPIC_PINS; i++)
		r->redir[i] = VLM_REDIR_MASKED;
}

/* Send what @pin's entry says, unless it is masked or in service. */
static int service(struct vlm_ioapic_regs *r, u32 pin)
{
	u64 entry = r->redir[pin];
	bool level = entry & VLM_REDIR_LEVEL;
	struct vlm_apic_msg msg;
	int sent;

	if ((entry & VLM_REDIR_MASKED) || (level && (entry & VLM_REDIR_REMOTE_IRR)))
		return -1;
	memset(&msg, 0, sizeof(msg));
	msg.dest = (u32)(entry >> 56);
	msg.vector = (u8)(entry & VLM_REDIR_VECTOR);
	msg.mode = (entry >> 8) & 7;
	msg.logical = !!(entry & VLM_REDIR_LOGICAL);
	msg.level = 1;
	msg.trig = level;

	if (!level)
		r->delivered |= 1u << pin;
	sent = vlm_ioapic_send(r, &msg);
	/* Also when it was pending already: its EOI is still to come. */
	if (level && sent >= 0)
		r->redir[pin] |= VLM_REDIR_REMOTE_IRR;
	return sent;
}

int vlm_ioapic_regs_set_line(struct vlm_ioapic_regs *r, u32 pin, int level)
{
	u32 mask;

	if (pin >= VLM_IOAPIC_PINS)
		return -1;
	mask = 1u << pin;
	if (!level) {
		r->lines &= ~mask;
		r->delivered &= ~mask;
		return 1;
	}
	if (!(r->redir[pin] & VLM_REDIR_LEVEL)) {
		if (r->lines & mask)
			return 0;
		r->delivered &= ~mask;
	}
	r->lines |= mask;
	return service(r, pin);
}

static u32 read_index(const struct vlm_ioapic_regs *r)
{
	u32 pin;

	switch (r->select) {
	case INDEX_ID:
	case INDEX_ARB:
		return (r->id & 0xf) << 24;
	case INDEX_VERSION:
		return VERSION_VALUE;
	}
	if (r->select < INDEX_REDIR)
		return 0;
	pin = (r->select - INDEX_REDIR) / 2;
	if (pin >= VLM_IOAPIC_PINS)
		return 0xffffffffu;
	return (u32)(r->redir[pin] >> (r->select & 1 ? 32 : 0));
}

static void write_index(struct vlm_ioapic_regs *r, u32 val)
{
	u64 entry;
	u32 pin;

	if (r->select == INDEX_ID) {
		r->id = (val >> 24) & 0xf;
		return;
	}
	if (r->select < INDEX_REDIR)
		return;
	pin = (r->select - INDEX_REDIR) / 2;
	if (pin >= VLM_IOAPIC_PINS)
		return;
	entry = r->redir[pin];
	if (r->select & 1)
		entry = (entry & 0xffffffffull) | (u64)val << 32;
	else
		entry = (entry & ~0xffffffffull) | val;
	entry = (entry & VLM_REDIR_WRITABLE) | (r->redir[pin] & ~VLM_REDIR_WRITABLE);
	/* Guests clear a stuck remote IRR by switching the pin to edge and back. */
	if (!(entry & VLM_REDIR_LEVEL))
		entry &= ~VLM_REDIR_REMOTE_IRR;
	r->redir[pin] = entry;
	/* An edge that came while the pin was masked is lost, a level is not. */
	if ((entry & VLM_REDIR_LEVEL) && (r->lines & 1u << pin))
		service(r, pin);
}

void vlm_ioapic_regs_read(struct vlm_ioapic_regs *r, u32 off, u32 len, void *data)
{
	u64 val = 0;

	if (off == REG_SELECT)
		val = r->select;
	else if (off == REG_WINDOW)
		val = read_index(r);
	memset(data, 0, len);
	memcpy(data, &val, len < sizeof(val) ? len : sizeof(val));
}

void vlm_ioapic_regs_write(struct vlm_ioapic_regs *r, u32 off, u32 len, const void *data)
{
	u32 val = 0;

	memcpy(&val, data, len < sizeof(val) ? len : sizeof(val));
	if (off == REG_SELECT)
		r->select = val & 0xff;
	else if (off == REG_WINDOW)
		write_index(r, val);
}

u32 vlm_ioapic_regs_eoi(struct vlm_ioapic_regs *r, u8 vector)
{
	u32 pins = 0;
	u32 pin;

	for (pin = 0; pin < VLM_IOAPIC_PINS; pin++) {
		u64 entry = r->redir[pin];

		if ((entry & VLM_REDIR_VECTOR) != vector || !(entry & VLM_REDIR_LEVEL) ||
		    !(entry & VLM_REDIR_REMOTE_IRR))
			continue;
		r->redir[pin] &= ~VLM_REDIR_REMOTE_IRR;
		pins |= 1u << pin;
	}
	return pins;
}

bool vlm_ioapic_regs_continue(struct vlm_ioapic_regs *r, u32 pins)
{
	bool storm = false;
	u32 pin;

	for (pin = 0; pin < VLM_IOAPIC_PINS; pin++) {
		u64 entry = r->redir[pin];

		if (!(pins & 1u << pin))
			continue;
		if ((entry & VLM_REDIR_MASKED) || !(entry & VLM_REDIR_LEVEL) ||
		    !(r->lines & 1u << pin)) {
			r->streak[pin] = 0;
			continue;
		}
		if (++r->streak[pin] >= VLM_IOAPIC_STORM) {
			r->streak[pin] = 0;
			storm = true;
			continue;
		}
		service(r, pin);
	}
	return storm;
}

void vlm_ioapic_regs_redeliver(struct vlm_ioapic_regs *r)
{
	u32 pin;

	for (pin = 0; pin < VLM_IOAPIC_PINS; pin++)
		if ((r->redir[pin] & VLM_REDIR_LEVEL) && (r->lines & 1u << pin))
			service(r, pin);
}

void vlm_ioapic_regs_save(const struct vlm_ioapic_regs *r, struct kvm_ioapic_state *s)
{
	u32 i;

	memset(s, 0, sizeof(*s));
	s->base_address = r->base_address;
	s->ioregsel = r->select;
	s->id = r->id;
	/* An edge that was sent must not be sent again by the restored machine. */
	s->irr = r->lines & ~r->delivered;
	for (i = 0; i < VLM_IOAPIC_PINS; i++)
		s->redirtbl[i].bits = r->redir[i];
}

void vlm_ioapic_regs_load(struct vlm_ioapic_regs *r, const struct kvm_ioapic_state *s)
{
	u32 pin;

	memset(r, 0, sizeof(*r));
	r->base_address = s->base_address;
	r->select = s->ioregsel & 0xff;
	r->id = s->id & 0xf;
	for (pin = 0; pin < VLM_IOAPIC_PINS; pin++)
		r->redir[pin] = s->redirtbl[pin].bits &
				(VLM_REDIR_WRITABLE | VLM_REDIR_REMOTE_IRR);
	for (pin = 0; pin < VLM_IOAPIC_PINS; pin++)
		if (s->irr & 1u << pin)
			vlm_ioapic_regs_set_line(r, pin, 1);
}
