# SPDX-License-Identifier: GPL-2.0-only
# Objects of abi/, for kmod/Kbuild.
vellum-y += abi/capability.o
vellum-y += abi/device.o
vellum-y += abi/dispatch.o
vellum-y += abi/fds.o
vellum-y += abi/stats.o
vellum-y += abi/system_ioctl.o
vellum-y += abi/vcpu_ioctl.o
vellum-y += abi/vm_ioctl.o
