// SPDX-License-Identifier: GPL-2.0-only
/* The interrupt hardware of one machine as a whole: life, lines, state. */

#include <linux/slab.h>

#include "chip.h"

static void chip_free(struct vlm_irqchip *chip)
{
	vlm_ioapic_quiesce(&chip->ioapic);
	vlm_gsi_destroy(chip);
	kfree(chip);
}

static int connect(struct vlm_irqchip *chip)
{
	int err;

	lockdep_assert_held(&chip->vm->slots_lock);
	err = vlm_pic_connect(&chip->pic);
	if (err)
		return err;
	err = vlm_ioapic_connect(&chip->ioapic);
	if (err)
		vlm_pic_disconnect(&chip->pic);
	return err;
}

int vlm_irqchip_create(struct vlm_vm *vm)
{
	struct vlm_irqchip *chip;
	int err;

	lockdep_assert_held(&vm->lock);
	if (vm->irqchip || vm->split_irqchip)
		return -EEXIST;
	if (vm->nr_vcpus)
		return -EINVAL;

	chip = kzalloc(sizeof(*chip), GFP_KERNEL_ACCOUNT);
	if (!chip)
		return -ENOMEM;
	chip->vm = vm;
	vlm_irqfd_init(chip);
	vlm_pic_init(&chip->pic, vm);
	vlm_ioapic_init(&chip->ioapic, vm);
	err = vlm_gsi_init(chip);
	if (!err) {
		mutex_lock(&vm->slots_lock);
		err = connect(chip);
		mutex_unlock(&vm->slots_lock);
	}
	if (err) {
		chip_free(chip);
		return err;
	}
	/* Pairs with vlm_vm_irqchip(): who sees the chip sees it complete. */
	smp_store_release(&vm->irqchip, chip);
	return 0;
}

/* The last reference to the VM is gone: no ioctl and no vCPU runs, timers may. */
static void chip_destroy(struct vlm_vm *vm)
{
	struct vlm_irqchip *chip = vm->irqchip;

	if (!chip)
		return;
	vlm_irqfd_destroy(chip);
	vlm_pit_destroy(chip);
	vm->irqchip = NULL;
	chip_free(chip);
}

int vlm_irqchip_set_line(struct vlm_vm *vm, u32 gsi, int level, int *line_status)
{
	struct vlm_irqchip *chip = vlm_vm_irqchip(vm);
	int status;

	if (!chip)
		return -ENXIO;
	status = vlm_gsi_set(chip, gsi, VLM_IRQ_SOURCE_USER, level);
	if (line_status)
		*line_status = status;
	return 0;
}

int vlm_irqchip_signal_msi(struct vlm_vm *vm, const struct kvm_msi *msi)
{
	struct vlm_apic_msg msg;

	if (!vlm_vm_irqchip(vm) || (msi->flags & ~KVM_MSI_VALID_DEVID))
		return -EINVAL;
	vlm_msi_decode(msi->address_lo, msi->address_hi, msi->data, &msg);
	return vlm_apic_deliver(vm, NULL, &msg, NULL);
}

void vlm_irqchip_eoi(struct vlm_vm *vm, u8 vector)
{
	struct vlm_irqchip *chip = vlm_vm_irqchip(vm);

	if (chip)
		vlm_ioapic_eoi(&chip->ioapic, vector);
}

int vlm_irqchip_get(struct vlm_vm *vm, struct kvm_irqchip *state)
{
	struct vlm_irqchip *chip = vlm_vm_irqchip(vm);

	if (!chip)
		return -ENXIO;
	switch (state->chip_id) {
	case KVM_IRQCHIP_PIC_MASTER:
	case KVM_IRQCHIP_PIC_SLAVE:
		vlm_pic_get(&chip->pic, state->chip_id, &state->chip.pic);
		return 0;
	case KVM_IRQCHIP_IOAPIC:
		vlm_ioapic_get(&chip->ioapic, &state->chip.ioapic);
		return 0;
	}
	return -EINVAL;
}

int vlm_irqchip_set(struct vlm_vm *vm, const struct kvm_irqchip *state)
{
	struct vlm_irqchip *chip = vlm_vm_irqchip(vm);

	if (!chip)
		return -ENXIO;
	switch (state->chip_id) {
	case KVM_IRQCHIP_PIC_MASTER:
	case KVM_IRQCHIP_PIC_SLAVE:
		vlm_pic_set(&chip->pic, state->chip_id, &state->chip.pic);
		return 0;
	case KVM_IRQCHIP_IOAPIC:
		vlm_ioapic_set(&chip->ioapic, &state->chip.ioapic);
		return 0;
	}
	return -EINVAL;
}

static const struct vlm_irqchip_ops ops = {
	.destroy = chip_destroy,
};

int vlm_irqchip_module_init(void)
{
	int err = vlm_irqfd_module_init();

	if (!err)
		vlm_vm_set_irqchip_ops(&ops);
	return err;
}

void vlm_irqchip_module_exit(void)
{
	vlm_irqfd_module_exit();
}
