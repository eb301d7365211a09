# SPDX-License-Identifier: GPL-2.0-only
# Objects of vmx/, for kmod/Kbuild.
vellum-y +=
