# SPDX-License-Identifier: GPL-2.0-only
# Objects of mmu/, for kmod/Kbuild.
vellum-y +=
