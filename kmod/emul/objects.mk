# SPDX-License-Identifier: GPL-2.0-only
# Objects of emul/, for kmod/Kbuild.
vellum-y +=
