# SPDX-License-Identifier: GPL-2.0-only
# Objects of emul/, for kmod/Kbuild.
# README.md says what each does.
vellum-y += emul/address.o emul/alu.o emul/arith.o emul/bits.o emul/branch.o
vellum-y += emul/decode.o emul/far.o emul/fetch.o emul/linear.o emul/move.o
vellum-y += emul/opcodes.o emul/operand.o emul/port.o emul/run.o emul/segment.o
vellum-y += emul/sse.o emul/stack.o emul/string.o emul/system.o
