// SPDX-License-Identifier: GPL-2.0-only
/* The I/O APIC on the memory bus, and its messages to the local APICs. */

#include <linux/jiffies.h>

#include "chip.h"

/* How long a storming pin rests. */
#define STORM_REST_JIFFIES	max(HZ / 100, 1)

int vlm_ioapic_send(struct vlm_ioapic_regs *r, const struct vlm_apic_msg *msg)
{
	struct vlm_ioapic *io = container_of(r, struct vlm_ioapic, regs);

	lockdep_assert_held(&io->lock);
	io->fresh = false;
	return vlm_apic_deliver(io->vm, NULL, msg, &io->fresh);
}

int vlm_ioapic_set_line(struct vlm_ioapic *io, u32 pin, enum vlm_irq_source source, int level)
{
	unsigned long flags;
	int ret;

	if (pin >= VLM_IOAPIC_PINS)
		return -1;
	spin_lock_irqsave(&io->lock, flags);
	if (level)
		io->sources[pin] |= BIT(source);
	else
		io->sources[pin] &= ~BIT(source);
	ret = vlm_ioapic_regs_set_line(&io->regs, pin, io->sources[pin] != 0);
	/* Ticks that merge in the local APIC are lost to the guest: the PIT makes up for them. */
	if (level && source == VLM_IRQ_SOURCE_PIT && ret > 0 && !io->fresh)
		ret = 0;
	spin_unlock_irqrestore(&io->lock, flags);
	return ret;
}

void vlm_ioapic_eoi(struct vlm_ioapic *io, u8 vector)
{
	unsigned long flags;
	bool storm;
	u32 pins;

	spin_lock_irqsave(&io->lock, flags);
	pins = vlm_ioapic_regs_eoi(&io->regs, vector);
	spin_unlock_irqrestore(&io->lock, flags);
	if (!pins)
		return;
	vlm_irqfd_resample(container_of(io, struct vlm_irqchip, ioapic),
			   KVM_IRQCHIP_IOAPIC, pins);
	spin_lock_irqsave(&io->lock, flags);
	storm = vlm_ioapic_regs_continue(&io->regs, pins);
	spin_unlock_irqrestore(&io->lock, flags);
	if (storm)
		schedule_delayed_work(&io->redeliver, STORM_REST_JIFFIES);
}

static void redeliver_fn(struct work_struct *work)
{
	struct vlm_ioapic *io = container_of(to_delayed_work(work), struct vlm_ioapic, redeliver);
	unsigned long flags;

	spin_lock_irqsave(&io->lock, flags);
	vlm_ioapic_regs_redeliver(&io->regs);
	spin_unlock_irqrestore(&io->lock, flags);
}

static int ioapic_read(struct vlm_iodev *dev, struct vlm_vcpu_head *v, u64 addr, u32 len,
		       void *val)
{
	struct vlm_ioapic *io = container_of(dev, struct vlm_ioapic, dev);
	unsigned long flags;

	spin_lock_irqsave(&io->lock, flags);
	vlm_ioapic_regs_read(&io->regs, addr & (VLM_IOAPIC_BYTES - 1), len, val);
	spin_unlock_irqrestore(&io->lock, flags);
	return 0;
}

static int ioapic_write(struct vlm_iodev *dev, struct vlm_vcpu_head *v, u64 addr, u32 len,
			const void *val)
{
	struct vlm_ioapic *io = container_of(dev, struct vlm_ioapic, dev);
	unsigned long flags;

	spin_lock_irqsave(&io->lock, flags);
	vlm_ioapic_regs_write(&io->regs, addr & (VLM_IOAPIC_BYTES - 1), len, val);
	spin_unlock_irqrestore(&io->lock, flags);
	return 0;
}

void vlm_ioapic_init(struct vlm_ioapic *io, struct vlm_vm *vm)
{
	spin_lock_init(&io->lock);
	vlm_ioapic_regs_reset(&io->regs);
	INIT_DELAYED_WORK(&io->redeliver, redeliver_fn);
	io->vm = vm;
	io->dev.read = ioapic_read;
	io->dev.write = ioapic_write;
}

int vlm_ioapic_connect(struct vlm_ioapic *io)
{
	return vlm_iobus_add(io->vm, &io->vm->mmio, VLM_IOAPIC_BASE, VLM_IOAPIC_BYTES, &io->dev);
}

void vlm_ioapic_disconnect(struct vlm_ioapic *io)
{
	vlm_iobus_remove(io->vm, &io->vm->mmio, &io->dev);
}

void vlm_ioapic_quiesce(struct vlm_ioapic *io)
{
	cancel_delayed_work_sync(&io->redeliver);
}

void vlm_ioapic_get(struct vlm_ioapic *io, struct kvm_ioapic_state *s)
{
	unsigned long flags;

	spin_lock_irqsave(&io->lock, flags);
	vlm_ioapic_regs_save(&io->regs, s);
	spin_unlock_irqrestore(&io->lock, flags);
}

void vlm_ioapic_set(struct vlm_ioapic *io, const struct kvm_ioapic_state *s)
{
	unsigned long flags;

	spin_lock_irqsave(&io->lock, flags);
	vlm_ioapic_regs_load(&io->regs, s);
	spin_unlock_irqrestore(&io->lock, flags);
}
