# SPDX-License-Identifier: GPL-2.0-only
# Objects of irqchip/, for kmod/Kbuild.
vellum-y +=
