// SPDX-License-Identifier: GPL-2.0-only
/*
 * irqfd: an eventfd that raises a GSI when it is signalled, without a thread in
 * between. With a second eventfd, the line stays up until the guest ends the
 * interrupt, which is told there: the way of level-triggered devices.
 */

#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/poll.h>
#include <linux/rculist.h>
#include <linux/slab.h>
#include <linux/wait.h>

#include "../compat/compat.h"
#include "chip.h"

/**
 * struct irqfd - one binding
 * @link:	in irqfds.list; out of it once somebody claimed the binding to end it
 * @resample_link: in irqfds.resample, RCU
 * @chip:	the machine's interrupt hardware; outlives the binding
 * @gsi:	what to raise; constant
 * @trigger:	eventfd that raises
 * @resample:	eventfd that is told of the end, or NULL
 * @wait:	in the wait queue of @trigger
 * @pt:	how @wait gets there
 * @shutdown:	ends the binding after @trigger's last file went
 */
struct irqfd {
	struct list_head link;
	struct list_head resample_link;
	struct vlm_irqchip *chip;
	u32 gsi;
	struct eventfd_ctx *trigger;
	struct eventfd_ctx *resample;
	wait_queue_entry_t wait;
	poll_table pt;
	struct work_struct shutdown;
};

static struct workqueue_struct *shutdown_wq;

static void inject(struct irqfd *irqfd)
{
	struct vlm_irqchip *chip = irqfd->chip;

	if (irqfd->resample) {
		vlm_gsi_set(chip, irqfd->gsi, VLM_IRQ_SOURCE_RESAMPLE, 1);
		return;
	}
	vlm_gsi_set(chip, irqfd->gsi, VLM_IRQ_SOURCE_USER, 1);
	vlm_gsi_set(chip, irqfd->gsi, VLM_IRQ_SOURCE_USER, 0);
}

/* The caller that gets true ends the binding; nobody else may. */
static bool claim(struct irqfd *irqfd)
{
	lockdep_assert_held(&irqfd->chip->irqfds.lock);
	if (list_empty(&irqfd->link))
		return false;
	list_del_init(&irqfd->link);
	return true;
}

/* Under the lock of the eventfd's wait queue, IRQs off. */
static int wakeup(wait_queue_entry_t *wait, unsigned int mode, int sync, void *key)
{
	struct irqfd *irqfd = container_of(wait, struct irqfd, wait);
	__poll_t events = key_to_poll(key);
	unsigned long flags;
	int consumed = 0;

	if (events & EPOLLIN) {
		u64 count;

		eventfd_ctx_do_read(irqfd->trigger, &count);
		inject(irqfd);
		consumed = 1;
	}
	if (events & EPOLLHUP) {
		struct vlm_irqchip *chip = irqfd->chip;

		spin_lock_irqsave(&chip->irqfds.lock, flags);
		if (claim(irqfd))
			queue_work(shutdown_wq, &irqfd->shutdown);
		spin_unlock_irqrestore(&chip->irqfds.lock, flags);
	}
	return consumed;
}

static void queue_proc(struct file *file, wait_queue_head_t *head, poll_table *pt)
{
	struct irqfd *irqfd = container_of(pt, struct irqfd, pt);

	add_wait_queue_priority(head, &irqfd->wait);
}

static bool resamples(struct vlm_irqchip *chip, u32 gsi)
{
	struct irqfd *other;

	lockdep_assert_held(&chip->irqfds.lock);
	list_for_each_entry(other, &chip->irqfds.resample, resample_link) {
		if (other->gsi == gsi)
			return true;
	}
	return false;
}

static void stop_resampling(struct irqfd *irqfd)
{
	struct vlm_irqchip *chip = irqfd->chip;
	bool last;

	spin_lock_irq(&chip->irqfds.lock);
	list_del_rcu(&irqfd->resample_link);
	last = !resamples(chip, irqfd->gsi);
	spin_unlock_irq(&chip->irqfds.lock);
	synchronize_rcu_expedited();
	/* Nobody is left to lower the line when the guest ends the interrupt. */
	if (last)
		vlm_gsi_set(chip, irqfd->gsi, VLM_IRQ_SOURCE_RESAMPLE, 0);
	eventfd_ctx_put(irqfd->resample);
}

/* End a claimed binding. On return nothing is raised by it any more. */
static void shutdown(struct irqfd *irqfd)
{
	u64 count;

	eventfd_ctx_remove_wait_queue(irqfd->trigger, &irqfd->wait, &count);
	if (irqfd->resample)
		stop_resampling(irqfd);
	eventfd_ctx_put(irqfd->trigger);
	kfree(irqfd);
}

static void shutdown_fn(struct work_struct *work)
{
	shutdown(container_of(work, struct irqfd, shutdown));
}

/* -EBUSY if the eventfd is bound already. */
static int enlist(struct irqfd *irqfd)
{
	struct vlm_irqchip *chip = irqfd->chip;
	struct irqfd *other;
	int err = 0;

	spin_lock_irq(&chip->irqfds.lock);
	list_for_each_entry(other, &chip->irqfds.list, link) {
		if (other->trigger == irqfd->trigger)
			err = -EBUSY;
	}
	if (!err) {
		list_add_tail(&irqfd->link, &chip->irqfds.list);
		if (irqfd->resample)
			list_add_tail_rcu(&irqfd->resample_link, &chip->irqfds.resample);
	}
	spin_unlock_irq(&chip->irqfds.lock);
	return err;
}

/* @file holds the eventfd open, so nothing hangs up before the end. */
static int bind(struct irqfd *irqfd, struct file *file)
{
	struct vlm_irqchip *chip = irqfd->chip;
	int err;

	/* An unbind must not see the binding before it is in the wait queue. */
	mutex_lock(&chip->irqfds.mutex);
	err = enlist(irqfd);
	/* A signal that came earlier counts. */
	if (!err && (vfs_poll(file, &irqfd->pt) & EPOLLIN))
		inject(irqfd);
	mutex_unlock(&chip->irqfds.mutex);
	return err;
}

static struct irqfd *irqfd_alloc(struct vlm_irqchip *chip, const struct kvm_irqfd *args,
				 struct file *file)
{
	struct irqfd *irqfd = kzalloc(sizeof(*irqfd), GFP_KERNEL_ACCOUNT);
	int err;

	if (!irqfd)
		return ERR_PTR(-ENOMEM);
	irqfd->chip = chip;
	irqfd->gsi = args->gsi;
	INIT_WORK(&irqfd->shutdown, shutdown_fn);
	init_waitqueue_func_entry(&irqfd->wait, wakeup);
	init_poll_funcptr(&irqfd->pt, queue_proc);
	irqfd->trigger = eventfd_ctx_fileget(file);
	if (IS_ERR(irqfd->trigger)) {
		err = PTR_ERR(irqfd->trigger);
		goto err_free;
	}
	if (args->flags & KVM_IRQFD_FLAG_RESAMPLE) {
		irqfd->resample = eventfd_ctx_fdget(args->resamplefd);
		if (IS_ERR(irqfd->resample)) {
			err = PTR_ERR(irqfd->resample);
			goto err_trigger;
		}
	}
	return irqfd;

err_trigger:
	eventfd_ctx_put(irqfd->trigger);
err_free:
	kfree(irqfd);
	return ERR_PTR(err);
}

static int assign(struct vlm_irqchip *chip, const struct kvm_irqfd *args)
{
	struct irqfd *irqfd;
	struct file *file;
	int err;

	file = fget(args->fd);
	if (!file)
		return -EBADF;
	irqfd = irqfd_alloc(chip, args, file);
	if (IS_ERR(irqfd)) {
		err = PTR_ERR(irqfd);
		goto out;
	}
	err = bind(irqfd, file);
	if (err) {
		if (irqfd->resample)
			eventfd_ctx_put(irqfd->resample);
		eventfd_ctx_put(irqfd->trigger);
		kfree(irqfd);
	}
out:
	fput(file);
	return err;
}

/* Claim one binding of @trigger, if not NULL, to @gsi; or any at all. NULL when none is left. */
static struct irqfd *claim_next(struct vlm_irqchip *chip, struct eventfd_ctx *trigger, u32 gsi)
{
	struct irqfd *irqfd, *found = NULL;

	spin_lock_irq(&chip->irqfds.lock);
	list_for_each_entry(irqfd, &chip->irqfds.list, link) {
		if (trigger && (irqfd->trigger != trigger || irqfd->gsi != gsi))
			continue;
		found = irqfd;
		break;
	}
	if (found)
		claim(found);
	spin_unlock_irq(&chip->irqfds.lock);
	return found;
}

static int deassign(struct vlm_irqchip *chip, const struct kvm_irqfd *args)
{
	struct eventfd_ctx *trigger = eventfd_ctx_fdget(args->fd);
	struct irqfd *irqfd;

	if (IS_ERR(trigger))
		return PTR_ERR(trigger);
	mutex_lock(&chip->irqfds.mutex);
	while ((irqfd = claim_next(chip, trigger, args->gsi)))
		shutdown(irqfd);
	mutex_unlock(&chip->irqfds.mutex);
	eventfd_ctx_put(trigger);
	return 0;
}

int vlm_irqchip_irqfd(struct vlm_vm *vm, const struct kvm_irqfd *args)
{
	struct vlm_irqchip *chip = vlm_vm_irqchip(vm);

	if (args->flags & ~(KVM_IRQFD_FLAG_DEASSIGN | KVM_IRQFD_FLAG_RESAMPLE))
		return -EINVAL;
	if (!chip)
		return -EINVAL;
	if (args->flags & KVM_IRQFD_FLAG_DEASSIGN)
		return deassign(chip, args);
	return assign(chip, args);
}

void vlm_irqfd_resample(struct vlm_irqchip *chip, u32 chip_id, u32 pins)
{
	struct irqfd *irqfd;

	if (!pins || list_empty(&chip->irqfds.resample))
		return;
	rcu_read_lock();
	/* Lower all lines before telling anybody: who is told may raise one again at once. */
	list_for_each_entry_rcu(irqfd, &chip->irqfds.resample, resample_link) {
		if (vlm_gsi_reaches(chip, irqfd->gsi, chip_id, pins))
			vlm_gsi_set(chip, irqfd->gsi, VLM_IRQ_SOURCE_RESAMPLE, 0);
	}
	list_for_each_entry_rcu(irqfd, &chip->irqfds.resample, resample_link) {
		if (vlm_gsi_reaches(chip, irqfd->gsi, chip_id, pins))
			vlm_compat_eventfd_signal(irqfd->resample);
	}
	rcu_read_unlock();
}

void vlm_irqfd_init(struct vlm_irqchip *chip)
{
	spin_lock_init(&chip->irqfds.lock);
	mutex_init(&chip->irqfds.mutex);
	INIT_LIST_HEAD(&chip->irqfds.list);
	INIT_LIST_HEAD(&chip->irqfds.resample);
}

void vlm_irqfd_destroy(struct vlm_irqchip *chip)
{
	struct irqfd *irqfd;

	while ((irqfd = claim_next(chip, NULL, 0)))
		shutdown(irqfd);
	/* Those that were claimed by a hang-up. */
	flush_workqueue(shutdown_wq);
}

int vlm_irqfd_module_init(void)
{
	shutdown_wq = alloc_workqueue("vellum-irqfd", WQ_UNBOUND, 0);
	return shutdown_wq ? 0 : -ENOMEM;
}

void vlm_irqfd_module_exit(void)
{
	destroy_workqueue(shutdown_wq);
}
