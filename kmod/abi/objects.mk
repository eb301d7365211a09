# SPDX-License-Identifier: GPL-2.0-only
# Objects of abi/, for kmod/Kbuild.
vellum-y +=
