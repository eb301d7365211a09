# SPDX-License-Identifier: GPL-2.0-only
# Objects of vcpu/, for kmod/Kbuild.
vellum-y +=
