# SPDX-License-Identifier: GPL-2.0-only
# Objects of emul/, for kmod/Kbuild.
# README.md says what each does.
vellum-y += emul/alu.o emul/arith.o emul/bits.o emul/branch.o emul/decode.o
vellum-y += emul/far.o emul/linear.o emul/move.o emul/opcodes.o emul/operand.o
vellum-y += emul/port.o emul/run.o emul/segment.o emul/sse.o emul/stack.o
vellum-y += emul/string.o emul/system.o
