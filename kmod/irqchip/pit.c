// SPDX-License-Identifier: GPL-2.0-only
/*
 * The 8254 on the port bus; channel 0 raises GSI 0 by a host timer.
 *
 * Ticks that the guest had no time to take are made up for, if user space wants
 * that: a coalesced tick is kept as a debt, and while there is debt the interrupt
 * comes more often. So the guest's clock catches up, and the load stays bounded.
 */

#include <linux/hrtimer.h>
#include <linux/ktime.h>
#include <linux/slab.h>

#include "../compat/compat.h"
#include "chip.h"

#define TIMER_GSI	0
/* Most ticks to owe: a guest that was stopped for long loses the rest. */
#define MAX_DEBT	10000u
/* How much faster than programmed to pay. */
#define CATCH_UP	4u

/**
 * struct vlm_pit - the timer of one machine
 * @lock:	everything below; taken in any context
 * @regs:	registers
 * @timer:	runs while @next is set
 * @due:	when the next regular tick is, ns; 0 when channel 0 raises none
 * @next:	what @timer was started for
 * @period:	between regular ticks, ns; 0 for a single one
 * @debt:	ticks to deliver still
 * @reinject:	keep debts
 * @has_speaker: port 0x61 is served; constant
 * @dev:	ports 0x40 to 0x43
 * @speaker:	port 0x61
 * @chip:	the machine's interrupt hardware; constant
 */
struct vlm_pit {
	spinlock_t lock;
	struct vlm_pit_regs regs;
	struct hrtimer timer;
	u64 due;
	u64 next;
	u64 period;
	u32 debt;
	bool reinject;
	bool has_speaker;
	struct vlm_iodev dev;
	struct vlm_iodev speaker;
	struct vlm_irqchip *chip;
};

static struct vlm_pit *pit_of(struct vlm_vm *vm)
{
	struct vlm_irqchip *chip = vlm_vm_irqchip(vm);

	return chip ? smp_load_acquire(&chip->pit) : NULL;
}

/* Start the timer for @pit->next. Also from its own callback, which then does not restart. */
static void start_timer(struct vlm_pit *pit)
{
	lockdep_assert_held(&pit->lock);
	hrtimer_start(&pit->timer, ns_to_ktime(pit->next), HRTIMER_MODE_ABS_SOFT);
}

/* Channel 0 was programmed. A callback that runs now finds that its moment moved. */
static void setup_timer(struct vlm_pit *pit)
{
	lockdep_assert_held(&pit->lock);
	pit->debt = 0;
	pit->due = vlm_pit_regs_expiry(&pit->regs, &pit->period);
	pit->next = pit->due;
	if (pit->due)
		start_timer(pit);
	else
		hrtimer_try_to_cancel(&pit->timer);
}

/* Owe the regular ticks up to @now. */
static void accrue(struct vlm_pit *pit, u64 now)
{
	u64 ticks = 1;

	if (!pit->due || now < pit->due)
		return;
	if (pit->period) {
		ticks += (now - pit->due) / pit->period;
		pit->due += ticks * pit->period;
	} else {
		pit->due = 0;
	}
	pit->debt = min_t(u64, pit->debt + ticks, MAX_DEBT);
}

/* Raise the interrupt once if a tick is owed, as the pulse that an edge input wants. */
static void pay(struct vlm_pit *pit)
{
	int status;

	if (!pit->debt)
		return;
	status = vlm_gsi_set(pit->chip, TIMER_GSI, VLM_IRQ_SOURCE_PIT, 1);
	vlm_gsi_set(pit->chip, TIMER_GSI, VLM_IRQ_SOURCE_PIT, 0);
	if (status > 0)
		pit->debt--;
	/* Nobody listens: nothing is owed. */
	if (status < 0 || !pit->reinject || !pit->period)
		pit->debt = 0;
}

static enum hrtimer_restart timer_fn(struct hrtimer *timer)
{
	struct vlm_pit *pit = container_of(timer, struct vlm_pit, timer);
	u64 now = ktime_get_ns();
	unsigned long flags;

	spin_lock_irqsave(&pit->lock, flags);
	if (pit->next && now >= pit->next) {
		accrue(pit, now);
		pay(pit);
		pit->next = pit->due;
		if (pit->debt)
			pit->next = min(pit->due, now + max_t(u64, pit->period / CATCH_UP,
							      VLM_TIMER_MIN_PERIOD_NS));
		if (pit->next)
			start_timer(pit);
	}
	spin_unlock_irqrestore(&pit->lock, flags);
	return HRTIMER_NORESTART;
}

static int pit_read(struct vlm_iodev *dev, struct vlm_vcpu_head *v, u64 addr, u32 len, void *val)
{
	struct vlm_pit *pit = container_of(dev, struct vlm_pit, dev);
	unsigned long flags;
	u8 data;

	spin_lock_irqsave(&pit->lock, flags);
	data = vlm_pit_regs_read(&pit->regs, addr - VLM_PIT_PORT, ktime_get_ns());
	spin_unlock_irqrestore(&pit->lock, flags);
	memset(val, 0, len);
	memcpy(val, &data, 1);
	return 0;
}

static int pit_write(struct vlm_iodev *dev, struct vlm_vcpu_head *v, u64 addr, u32 len,
		     const void *val)
{
	struct vlm_pit *pit = container_of(dev, struct vlm_pit, dev);
	unsigned long flags;

	spin_lock_irqsave(&pit->lock, flags);
	if (vlm_pit_regs_write(&pit->regs, addr - VLM_PIT_PORT, *(const u8 *)val, ktime_get_ns()))
		setup_timer(pit);
	spin_unlock_irqrestore(&pit->lock, flags);
	return 0;
}

static int speaker_read(struct vlm_iodev *dev, struct vlm_vcpu_head *v, u64 addr, u32 len,
			void *val)
{
	struct vlm_pit *pit = container_of(dev, struct vlm_pit, speaker);
	unsigned long flags;
	u8 data;

	spin_lock_irqsave(&pit->lock, flags);
	data = vlm_pit_regs_speaker_read(&pit->regs, ktime_get_ns());
	spin_unlock_irqrestore(&pit->lock, flags);
	memset(val, 0, len);
	memcpy(val, &data, 1);
	return 0;
}

static int speaker_write(struct vlm_iodev *dev, struct vlm_vcpu_head *v, u64 addr, u32 len,
			 const void *val)
{
	struct vlm_pit *pit = container_of(dev, struct vlm_pit, speaker);
	unsigned long flags;

	spin_lock_irqsave(&pit->lock, flags);
	vlm_pit_regs_speaker_write(&pit->regs, *(const u8 *)val, ktime_get_ns());
	spin_unlock_irqrestore(&pit->lock, flags);
	return 0;
}

static int connect(struct vlm_pit *pit)
{
	struct vlm_vm *vm = pit->chip->vm;
	int err;

	lockdep_assert_held(&vm->slots_lock);
	err = vlm_iobus_add(vm, &vm->pio, VLM_PIT_PORT, 4, &pit->dev);
	if (err || !pit->has_speaker)
		return err;
	err = vlm_iobus_add(vm, &vm->pio, VLM_PIT_PORT_SPEAKER, 1, &pit->speaker);
	if (err)
		vlm_iobus_remove(vm, &vm->pio, &pit->dev);
	return err;
}

int vlm_pit_create(struct vlm_vm *vm, const struct kvm_pit_config *config)
{
	struct vlm_irqchip *chip = vm->irqchip;
	struct vlm_pit *pit;
	int err;

	lockdep_assert_held(&vm->lock);
	if (!chip)
		return -ENOENT;
	if (chip->pit)
		return -EEXIST;
	pit = kzalloc(sizeof(*pit), GFP_KERNEL_ACCOUNT);
	if (!pit)
		return -ENOMEM;
	spin_lock_init(&pit->lock);
	pit->chip = chip;
	pit->reinject = true;
	pit->has_speaker = config->flags & KVM_PIT_SPEAKER_DUMMY;
	pit->dev.read = pit_read;
	pit->dev.write = pit_write;
	pit->speaker.read = speaker_read;
	pit->speaker.write = speaker_write;
	vlm_compat_hrtimer_setup(&pit->timer, timer_fn, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_SOFT);
	vlm_pit_regs_reset(&pit->regs, ktime_get_ns());

	mutex_lock(&vm->slots_lock);
	err = connect(pit);
	mutex_unlock(&vm->slots_lock);
	if (err) {
		hrtimer_cancel(&pit->timer);
		kfree(pit);
		return err;
	}
	smp_store_release(&chip->pit, pit);
	return 0;
}

void vlm_pit_destroy(struct vlm_irqchip *chip)
{
	struct vlm_pit *pit = chip->pit;
	unsigned long flags;

	if (!pit)
		return;
	/* Make the callback not restart the timer, then wait for it. */
	spin_lock_irqsave(&pit->lock, flags);
	pit->next = 0;
	spin_unlock_irqrestore(&pit->lock, flags);
	hrtimer_cancel(&pit->timer);
	chip->pit = NULL;
	kfree(pit);
}

int vlm_pit_get(struct vlm_vm *vm, struct kvm_pit_state2 *state)
{
	struct vlm_pit *pit = pit_of(vm);
	unsigned long flags;

	if (!pit)
		return -ENXIO;
	spin_lock_irqsave(&pit->lock, flags);
	vlm_pit_regs_save(&pit->regs, state);
	spin_unlock_irqrestore(&pit->lock, flags);
	return 0;
}

int vlm_pit_set(struct vlm_vm *vm, const struct kvm_pit_state2 *state)
{
	struct vlm_pit *pit = pit_of(vm);
	unsigned long flags;

	if (!pit)
		return -ENXIO;
	spin_lock_irqsave(&pit->lock, flags);
	vlm_pit_regs_load(&pit->regs, state, ktime_get_ns());
	setup_timer(pit);
	spin_unlock_irqrestore(&pit->lock, flags);
	return 0;
}

int vlm_pit_set_reinject(struct vlm_vm *vm, bool reinject)
{
	struct vlm_pit *pit = pit_of(vm);
	unsigned long flags;

	if (!pit)
		return -ENXIO;
	spin_lock_irqsave(&pit->lock, flags);
	pit->reinject = reinject;
	if (!reinject)
		pit->debt = 0;
	spin_unlock_irqrestore(&pit->lock, flags);
	return 0;
}
