# SPDX-License-Identifier: GPL-2.0-only
# Objects of vcpu/, for kmod/Kbuild.
vellum-y += vcpu/apic.o vcpu/cap.o vcpu/cpuid.o vcpu/cpuid_table.o vcpu/cr.o vcpu/debug.o vcpu/dr.o
vellum-y += vcpu/emul_services.o vcpu/emulate.o vcpu/event.o vcpu/exit.o vcpu/exit_memory.o
vellum-y += vcpu/exit_trap.o vcpu/fpu.o vcpu/gva.o vcpu/halt.o vcpu/insn.o vcpu/life.o vcpu/mce.o
vellum-y += vcpu/mmio.o vcpu/msr.o vcpu/msr_list.o vcpu/mtrr.o vcpu/pio.o vcpu/regs.o vcpu/request.o
vellum-y += vcpu/run.o vcpu/sregs.o vcpu/sync_regs.o vcpu/tsc.o vcpu/user_event.o vcpu/user_io.o
