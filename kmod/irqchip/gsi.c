// SPDX-License-Identifier: GPL-2.0-only
/* Global system interrupts: which chip inputs or messages each number stands for. */

#include <linux/nospec.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "chip.h"

#define MAX_ROUTES	4096u	/* entries, and GSI numbers */

/* MSI address and data; SDM "Message Signalled Interrupts". */
#define MSI_DEST(lo)	(((lo) >> 12) & 0xff)
#define MSI_LOGICAL	BIT(2)

struct route {
	u32 gsi;
	u32 type;		/* KVM_IRQ_ROUTING_IRQCHIP or KVM_IRQ_ROUTING_MSI */
	u32 chip;		/* KVM_IRQCHIP_*, for IRQCHIP */
	u32 pin;		/* in @chip, for IRQCHIP */
	struct vlm_apic_msg msg;	/* for MSI */
};

/**
 * struct vlm_routing - one immutable routing table
 * @nr_gsis:	length of @first, less one
 * @first:	index in @routes of each GSI's first entry, and the end
 * @routes:	sorted by GSI
 */
struct vlm_routing {
	u32 nr_gsis;
	u32 *first;
	struct route *routes;
};

void vlm_msi_decode(u32 address_lo, u32 address_hi, u32 data, struct vlm_apic_msg *msg)
{
	memset(msg, 0, sizeof(*msg));
	msg->dest = MSI_DEST(address_lo);
	msg->logical = !!(address_lo & MSI_LOGICAL);
	msg->vector = data & 0xff;
	msg->mode = (data >> 8) & 7;
	msg->trig = (data >> 15) & 1;
	msg->level = 1;
}

static void routing_free(struct vlm_routing *t)
{
	if (!t)
		return;
	kvfree(t->first);
	kvfree(t->routes);
	kfree(t);
}

static int check_entry(const struct kvm_irq_routing_entry *e)
{
	if (e->gsi >= MAX_ROUTES)
		return -EINVAL;
	switch (e->type) {
	case KVM_IRQ_ROUTING_IRQCHIP:
		if (e->flags)
			return -EINVAL;
		switch (e->u.irqchip.irqchip) {
		case KVM_IRQCHIP_PIC_MASTER:
		case KVM_IRQCHIP_PIC_SLAVE:
			return e->u.irqchip.pin < VLM_PIC_PINS / 2 ? 0 : -EINVAL;
		case KVM_IRQCHIP_IOAPIC:
			return e->u.irqchip.pin < VLM_IOAPIC_PINS ? 0 : -EINVAL;
		}
		return -EINVAL;
	case KVM_IRQ_ROUTING_MSI:
		return e->flags & ~KVM_MSI_VALID_DEVID ? -EINVAL : 0;
	}
	return -EINVAL;
}

static void set_route(struct route *r, const struct kvm_irq_routing_entry *e)
{
	r->gsi = e->gsi;
	r->type = e->type;
	if (e->type == KVM_IRQ_ROUTING_MSI) {
		vlm_msi_decode(e->u.msi.address_lo, e->u.msi.address_hi, e->u.msi.data, &r->msg);
		return;
	}
	r->chip = e->u.irqchip.irqchip;
	r->pin = e->u.irqchip.pin;
}

/* One GSI may be wired to one input of each chip, or to one message. */
static bool conflicts(const struct route *a, const struct route *b)
{
	return a->type != KVM_IRQ_ROUTING_IRQCHIP || b->type != KVM_IRQ_ROUTING_IRQCHIP ||
	       a->chip == b->chip;
}

static struct vlm_routing *routing_alloc(u32 nr_gsis, u32 nr)
{
	struct vlm_routing *t = kzalloc(sizeof(*t), GFP_KERNEL_ACCOUNT);

	if (!t)
		return NULL;
	t->nr_gsis = nr_gsis;
	t->first = kvcalloc(nr_gsis + 1, sizeof(*t->first), GFP_KERNEL_ACCOUNT);
	t->routes = kvcalloc(max(nr, 1u), sizeof(*t->routes), GFP_KERNEL_ACCOUNT);
	if (t->first && t->routes)
		return t;
	routing_free(t);
	return NULL;
}

/* Build a table by counting sort. ERR_PTR: -EINVAL, -ENOMEM. */
static struct vlm_routing *routing_build(const struct kvm_irq_routing_entry *entries, u32 nr)
{
	struct vlm_routing *t;
	u32 nr_gsis = 0;
	u32 i, j;

	for (i = 0; i < nr; i++) {
		int err = check_entry(&entries[i]);

		if (err)
			return ERR_PTR(err);
		nr_gsis = max(nr_gsis, entries[i].gsi + 1);
	}
	t = routing_alloc(nr_gsis, nr);
	if (!t)
		return ERR_PTR(-ENOMEM);

	for (i = 0; i < nr; i++)
		t->first[entries[i].gsi + 1]++;
	for (i = 0; i < nr_gsis; i++) {
		/* One entry for each chip at most. */
		if (t->first[i + 1] > KVM_NR_IRQCHIPS)
			goto invalid;
		t->first[i + 1] += t->first[i];
	}
	for (i = 0; i < nr; i++) {
		struct route r = { 0 };

		set_route(&r, &entries[i]);
		for (j = t->first[r.gsi]; t->routes[j].type; j++)
			if (conflicts(&t->routes[j], &r))
				goto invalid;
		t->routes[j] = r;
	}
	return t;
invalid:
	routing_free(t);
	return ERR_PTR(-EINVAL);
}

static int routing_replace(struct vlm_irqchip *chip, const struct kvm_irq_routing_entry *entries,
			   u32 nr)
{
	struct vlm_routing *new = routing_build(entries, nr);
	struct vlm_routing *old;

	if (IS_ERR(new))
		return PTR_ERR(new);
	old = rcu_replace_pointer(chip->routing, new, lockdep_is_held(&chip->vm->lock));
	/* On return no interrupt travels by the old table. */
	if (old)
		synchronize_rcu_expedited();
	routing_free(old);
	return 0;
}

int vlm_irqchip_set_routing(struct vlm_vm *vm, const struct kvm_irq_routing_entry *entries, u32 nr)
{
	struct vlm_irqchip *chip = vlm_vm_irqchip(vm);

	if (!chip || nr > MAX_ROUTES)
		return -EINVAL;
	return routing_replace(chip, entries, nr);
}

/* GSIs 0 to 15 reach the PIC and the I/O APIC, 16 to 23 the I/O APIC alone, pin by pin. */
int vlm_gsi_init(struct vlm_irqchip *chip)
{
	struct kvm_irq_routing_entry *entries;
	u32 nr = 0;
	u32 gsi;
	int err;

	entries = kcalloc(VLM_PIC_PINS + VLM_IOAPIC_PINS, sizeof(*entries), GFP_KERNEL);
	if (!entries)
		return -ENOMEM;
	for (gsi = 0; gsi < VLM_IOAPIC_PINS; gsi++) {
		entries[nr].gsi = gsi;
		entries[nr].type = KVM_IRQ_ROUTING_IRQCHIP;
		entries[nr].u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
		entries[nr++].u.irqchip.pin = gsi;
		if (gsi >= VLM_PIC_PINS)
			continue;
		entries[nr].gsi = gsi;
		entries[nr].type = KVM_IRQ_ROUTING_IRQCHIP;
		entries[nr].u.irqchip.irqchip = gsi < 8 ? KVM_IRQCHIP_PIC_MASTER :
							  KVM_IRQCHIP_PIC_SLAVE;
		entries[nr++].u.irqchip.pin = gsi % 8;
	}
	err = routing_replace(chip, entries, nr);
	kfree(entries);
	return err;
}

void vlm_gsi_destroy(struct vlm_irqchip *chip)
{
	routing_free(rcu_dereference_protected(chip->routing, true));
	RCU_INIT_POINTER(chip->routing, NULL);
}

static int route_set(struct vlm_irqchip *chip, const struct route *r, enum vlm_irq_source source,
		     int level)
{
	if (r->type == KVM_IRQ_ROUTING_MSI)
		return level ? vlm_apic_deliver(chip->vm, NULL, &r->msg, NULL) : -1;
	switch (r->chip) {
	case KVM_IRQCHIP_PIC_MASTER:
		return vlm_pic_set_line(&chip->pic, r->pin, source, level);
	case KVM_IRQCHIP_PIC_SLAVE:
		return vlm_pic_set_line(&chip->pic, r->pin + 8, source, level);
	default:
		return vlm_ioapic_set_line(&chip->ioapic, r->pin, source, level);
	}
}

int vlm_gsi_set(struct vlm_irqchip *chip, u32 gsi, enum vlm_irq_source source, int level)
{
	const struct vlm_routing *t;
	int result = -1;
	u32 i;

	rcu_read_lock();
	t = rcu_dereference(chip->routing);
	if (t && gsi < t->nr_gsis) {
		gsi = array_index_nospec(gsi, t->nr_gsis);
		for (i = t->first[gsi]; i < t->first[gsi + 1]; i++) {
			int one = route_set(chip, &t->routes[i], source, level);

			if (one >= 0)
				result = one + (result < 0 ? 0 : result);
		}
	}
	rcu_read_unlock();
	return result;
}

bool vlm_gsi_reaches(struct vlm_irqchip *chip, u32 gsi, u32 chip_id, u32 pins)
{
	const struct vlm_routing *t;
	bool found = false;
	u32 i;

	rcu_read_lock();
	t = rcu_dereference(chip->routing);
	if (t && gsi < t->nr_gsis) {
		gsi = array_index_nospec(gsi, t->nr_gsis);
		for (i = t->first[gsi]; i < t->first[gsi + 1]; i++) {
			const struct route *r = &t->routes[i];

			found |= r->type == KVM_IRQ_ROUTING_IRQCHIP && r->chip == chip_id &&
				 (pins & BIT(r->pin));
		}
	}
	rcu_read_unlock();
	return found;
}
