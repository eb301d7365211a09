# SPDX-License-Identifier: GPL-2.0-only
# Objects of vm/, for kmod/Kbuild.
vellum-y +=
