# SPDX-License-Identifier: GPL-2.0-only
# Objects of vcpu/, for kmod/Kbuild.
vellum-y += vcpu/apic.o vcpu/cap.o vcpu/cpuid.o vcpu/cpuid_table.o vcpu/cpuid_words.o vcpu/cr.o
vellum-y += vcpu/debug.o vcpu/dr.o vcpu/emul_memory.o vcpu/emul_services.o vcpu/emulate.o
vellum-y += vcpu/event.o vcpu/exception.o vcpu/exit.o vcpu/exit_memory.o vcpu/exit_trap.o
vellum-y += vcpu/fpu.o vcpu/gva.o vcpu/halt.o vcpu/insn.o vcpu/life.o vcpu/mce.o vcpu/mmio.o
vellum-y += vcpu/msr.o vcpu/msr_hardware.o vcpu/msr_list.o vcpu/msr_software.o vcpu/mtrr.o
vellum-y += vcpu/pio.o vcpu/real_mode.o vcpu/regs.o vcpu/request.o vcpu/run.o vcpu/shadow.o vcpu/sregs.o vcpu/stats.o vcpu/sync_regs.o
vellum-y += vcpu/tsc.o vcpu/user_event.o vcpu/user_io.o
