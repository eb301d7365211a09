// SPDX-License-Identifier: GPL-2.0-only
/* The 8259 pair on the port bus, and its wire to LINT0 of the local APICs. */

#include "chip.h"

bool vlm_pic_reaches(struct vlm_vcpu_head *v)
{
	struct vlm_apic_msg msg;

	if (!v->lapic)
		return false;
	/* Without an APIC the wire ends at the INTR pin of the boot processor. */
	if (!vlm_lapic_is_hw_enabled(&v->lapic->regs))
		return v->lapic->regs.bsp;
	return vlm_lapic_regs_lvt(&v->lapic->regs, VLM_LAPIC_LVT_LINT0, &msg) &&
	       msg.mode == VLM_APIC_EXTINT;
}

/* The output rose: LINT0 of every local APIC sees it and acts by its LVT entry. */
static void raise_output(struct vlm_vm *vm)
{
	struct vlm_vcpu_head *v;
	struct vlm_apic_msg msg;
	u32 i;

	vlm_vm_for_each_vcpu(vm, v, i) {
		if (!v->lapic)
			continue;
		if (vlm_pic_reaches(v))
			vlm_irq_notify(v);
		else if (vlm_lapic_regs_lvt(&v->lapic->regs, VLM_LAPIC_LVT_LINT0, &msg))
			vlm_lapic_receive(v, &msg, NULL);
	}
}

static void lock_pic(struct vlm_pic *pic, unsigned long *flags, bool *was)
	__acquires(&pic->lock)
{
	spin_lock_irqsave(&pic->lock, *flags);
	*was = pic->regs.output;
}

static void unlock_pic(struct vlm_pic *pic, unsigned long flags, bool was)
	__releases(&pic->lock)
{
	struct vlm_irqchip *chip = container_of(pic, struct vlm_irqchip, pic);
	bool rose = pic->regs.output && !was;
	u16 ended = pic->regs.ended;

	pic->regs.ended = 0;
	spin_unlock_irqrestore(&pic->lock, flags);
	if (rose)
		raise_output(pic->vm);
	if (ended) {
		vlm_irqfd_resample(chip, KVM_IRQCHIP_PIC_MASTER, ended & 0xff);
		vlm_irqfd_resample(chip, KVM_IRQCHIP_PIC_SLAVE, ended >> 8);
	}
}

int vlm_pic_set_line(struct vlm_pic *pic, u32 pin, enum vlm_irq_source source, int level)
{
	unsigned long flags;
	bool was;
	int ret;

	if (pin >= VLM_PIC_PINS)
		return -1;
	lock_pic(pic, &flags, &was);
	if (level)
		pic->sources[pin] |= BIT(source);
	else
		pic->sources[pin] &= ~BIT(source);
	ret = vlm_pic_regs_set_line(&pic->regs, pin, pic->sources[pin] != 0);
	unlock_pic(pic, flags, was);
	return ret;
}

int vlm_pic_peek(struct vlm_pic *pic)
{
	unsigned long flags;
	int vector;

	/* What made the output rise also raised a request, so a stale 0 is looked at again. */
	if (!READ_ONCE(pic->regs.output))
		return -1;
	spin_lock_irqsave(&pic->lock, flags);
	vector = vlm_pic_regs_peek(&pic->regs);
	spin_unlock_irqrestore(&pic->lock, flags);
	return vector;
}

int vlm_pic_ack(struct vlm_pic *pic)
{
	unsigned long flags;
	int vector = -1;
	bool was;

	lock_pic(pic, &flags, &was);
	if (was)
		vector = vlm_pic_regs_ack(&pic->regs);
	/* INT drops during the cycle: what is pending still, as in automatic EOI, rises anew. */
	unlock_pic(pic, flags, false);
	return vector;
}

static int pic_read(struct vlm_iodev *dev, struct vlm_vcpu_head *v, u64 addr, u32 len, void *val)
{
	struct vlm_pic *pic = container_of(dev, struct vlm_pic, dev);
	unsigned long flags;
	u8 data;
	bool was;

	memset(val, 0, len);
	if (len != 1)
		return 0;
	lock_pic(pic, &flags, &was);
	data = vlm_pic_regs_read(&pic->regs, addr);
	unlock_pic(pic, flags, was);
	memcpy(val, &data, 1);
	return 0;
}

static int pic_write(struct vlm_iodev *dev, struct vlm_vcpu_head *v, u64 addr, u32 len,
		     const void *val)
{
	struct vlm_pic *pic = container_of(dev, struct vlm_pic, dev);
	unsigned long flags;
	bool was;

	if (len != 1)
		return 0;
	lock_pic(pic, &flags, &was);
	vlm_pic_regs_write(&pic->regs, addr, *(const u8 *)val);
	unlock_pic(pic, flags, was);
	return 0;
}

void vlm_pic_init(struct vlm_pic *pic, struct vlm_vm *vm)
{
	spin_lock_init(&pic->lock);
	vlm_pic_regs_reset(&pic->regs);
	pic->vm = vm;
	pic->dev.read = pic_read;
	pic->dev.write = pic_write;
}

int vlm_pic_connect(struct vlm_pic *pic)
{
	static const u16 ports[] = { 0x20, 0xa0, 0x4d0 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ports); i++) {
		int err = vlm_iobus_add(pic->vm, &pic->vm->pio, ports[i], 2, &pic->dev);

		if (err) {
			vlm_pic_disconnect(pic);
			return err;
		}
	}
	return 0;
}

void vlm_pic_disconnect(struct vlm_pic *pic)
{
	vlm_iobus_remove(pic->vm, &pic->vm->pio, &pic->dev);
}

void vlm_pic_get(struct vlm_pic *pic, u32 nr, struct kvm_pic_state *s)
{
	unsigned long flags;

	spin_lock_irqsave(&pic->lock, flags);
	*s = pic->regs.chip[nr];
	spin_unlock_irqrestore(&pic->lock, flags);
}

void vlm_pic_set(struct vlm_pic *pic, u32 nr, const struct kvm_pic_state *s)
{
	unsigned long flags;
	bool was;

	lock_pic(pic, &flags, &was);
	vlm_pic_regs_load(&pic->regs, nr, s);
	unlock_pic(pic, flags, was);
}
