# SPDX-License-Identifier: GPL-2.0-only
# Objects of irqchip/, for kmod/Kbuild.
vellum-y += irqchip/lapic_regs.o irqchip/lapic_irq.o irqchip/lapic_timer.o irqchip/lapic_state.o
vellum-y += irqchip/ioapic_regs.o irqchip/pic_regs.o irqchip/pit_regs.o
vellum-y += irqchip/lapic.o irqchip/deliver.o irqchip/ioapic.o irqchip/pic.o irqchip/pit.o
vellum-y += irqchip/gsi.o irqchip/irqfd.o irqchip/chip.o
