# SPDX-License-Identifier: GPL-2.0-only
# Objects of vmx/, for kmod/Kbuild.
vellum-y += vmx/probe.o
vellum-y += vmx/owner.o
vellum-y += vmx/vmcs.o
vellum-y += vmx/entry.o
vellum-y += vmx/enter.o
vellum-y += vmx/host.o
vellum-y += vmx/l1d.o
vellum-y += vmx/regs.o
vellum-y += vmx/runnable.o
vellum-y += vmx/event.o
vellum-y += vmx/msr.o
vellum-y += vmx/flush.o
vellum-y += vmx/pml.o
vellum-y += vmx/dump.o
