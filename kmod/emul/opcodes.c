// SPDX-License-Identifier: GPL-2.0-only
/* The opcode maps. An empty entry is an instruction that is not emulated. */
#include "handlers.h"

#define OP(name, fl)		{ .exec = vlm_op_##name, .flags = (fl) }
#define GROUP(table, fl)	{ .group = (table), .flags = F_MODRM | (fl) }

/* The six forms of an ALU operation; l is F_LOCK, or F_READ_ONLY for CMP. */
#define ALU(base, l) \
	[(base) + 0] = OP(alu, F_MODRM | F_BYTE | OPS(S_E, S_G) | (l)), \
	[(base) + 1] = OP(alu, F_MODRM | OPS(S_E, S_G) | (l)), \
	[(base) + 2] = OP(alu, F_MODRM | F_BYTE | OPS(S_G, S_E) | ((l) & ~F_LOCK)), \
	[(base) + 3] = OP(alu, F_MODRM | OPS(S_G, S_E) | ((l) & ~F_LOCK)), \
	[(base) + 4] = OP(alu, F_BYTE | OPS(S_A, S_IB) | ((l) & ~F_LOCK)), \
	[(base) + 5] = OP(alu, OPS(S_A, S_IZ) | ((l) & ~F_LOCK))

static const struct vlm_emul_opcode group1[8] = {
	[0 ... 6] = OP(alu, F_LOCK),
	[7] = OP(alu, F_READ_ONLY),
};

static const struct vlm_emul_opcode group1a[8] = {
	[0] = OP(pop, F_RAW | F_DEF64 | OP_DST(S_E)),
};

static const struct vlm_emul_opcode group2[8] = {
	[0 ... 7] = OP(shift, 0),
};

static const struct vlm_emul_opcode group3_byte[8] = {
	[0 ... 1] = OP(test, F_READ_ONLY | OPS(S_E, S_IB)),
	[2] = OP(not, F_LOCK | OP_DST(S_E)),
	[3] = OP(neg, F_LOCK | OP_DST(S_E)),
	[4 ... 5] = OP(mul, F_READ_ONLY | OP_DST(S_E)),
	[6 ... 7] = OP(div, F_READ_ONLY | OP_DST(S_E)),
};

static const struct vlm_emul_opcode group3[8] = {
	[0 ... 1] = OP(test, F_READ_ONLY | OPS(S_E, S_IZ)),
	[2] = OP(not, F_LOCK | OP_DST(S_E)),
	[3] = OP(neg, F_LOCK | OP_DST(S_E)),
	[4 ... 5] = OP(mul, F_READ_ONLY | OP_DST(S_E)),
	[6 ... 7] = OP(div, F_READ_ONLY | OP_DST(S_E)),
};

static const struct vlm_emul_opcode group4[8] = {
	[0] = OP(inc, F_LOCK | OP_DST(S_E)),
	[1] = OP(dec, F_LOCK | OP_DST(S_E)),
};

static const struct vlm_emul_opcode group5[8] = {
	[0] = OP(inc, F_LOCK | OP_DST(S_E)),
	[1] = OP(dec, F_LOCK | OP_DST(S_E)),
	[2] = OP(call, F_NEAR64 | F_READ_ONLY | OP_DST(S_E)),
	[3] = OP(call_far, F_RAW | OP_DST(S_M)),
	[4] = OP(jmp, F_NEAR64 | F_READ_ONLY | OP_DST(S_E)),
	[5] = OP(jmp_far, F_RAW | OP_DST(S_M)),
	[6] = OP(push, F_RAW | F_DEF64 | OP_DST(S_E)),
};

static const struct vlm_emul_opcode group6[8] = {
	[0 ... 1] = OP(store_sysseg, F_RAW | F_PROT | OP_DST(S_E)),
	[2 ... 3] = OP(load_sysseg, F_READ_ONLY | F_PROT | F_CPL0 | OP_DST(S_EW)),
};

static const struct vlm_emul_opcode group7[8] = {
	[0 ... 1] = OP(store_table, F_RAW | OP_DST(S_M)),
	[2 ... 3] = OP(load_table, F_RAW | F_CPL0 | OP_DST(S_M)),
	[4] = OP(smsw, F_RAW | OP_DST(S_E)),
	[6] = OP(lmsw, F_READ_ONLY | F_CPL0 | OP_DST(S_EW)),
	[7] = OP(invlpg, F_RAW | F_CPL0 | OP_DST(S_M)),
};

static const struct vlm_emul_opcode group8[8] = {
	[4] = OP(bt, F_RAW | OPS(S_E, S_IUB)),
	[5 ... 7] = OP(bt, F_RAW | F_LOCK | OPS(S_E, S_IUB)),
};

static const struct vlm_emul_opcode group9[8] = {
	[1] = OP(cmpxchg_wide, F_RAW | F_LOCK | OP_DST(S_M)),
};

static const struct vlm_emul_opcode group11[8] = {
	[0] = OP(mov, F_WRITE_ONLY | OPS(S_E, S_IZ)),
};

static const struct vlm_emul_opcode group15[8] = {
	[5 ... 7] = OP(fence, F_RAW | OP_SRC(S_E)),
};

const struct vlm_emul_opcode vlm_emul_map0[256] = {
	ALU(0x00, F_LOCK),
	ALU(0x08, F_LOCK),
	ALU(0x10, F_LOCK),
	ALU(0x18, F_LOCK),
	ALU(0x20, F_LOCK),
	ALU(0x28, F_LOCK),
	ALU(0x30, F_LOCK),
	ALU(0x38, F_READ_ONLY),
	[0x06] = OP(push_seg, F_RAW | F_NO64),
	[0x07] = OP(pop_seg, F_RAW | F_NO64),
	[0x0e] = OP(push_seg, F_RAW | F_NO64),
	[0x16] = OP(push_seg, F_RAW | F_NO64),
	[0x17] = OP(pop_seg, F_RAW | F_NO64),
	[0x1e] = OP(push_seg, F_RAW | F_NO64),
	[0x1f] = OP(pop_seg, F_RAW | F_NO64),
	[0x40 ... 0x47] = OP(inc, F_NO64 | OP_DST(S_Z)),
	[0x48 ... 0x4f] = OP(dec, F_NO64 | OP_DST(S_Z)),
	[0x50 ... 0x57] = OP(push, F_RAW | F_DEF64 | OP_DST(S_Z)),
	[0x58 ... 0x5f] = OP(pop, F_RAW | F_DEF64 | OP_DST(S_Z)),
	[0x60] = OP(pusha, F_RAW | F_NO64),
	[0x61] = OP(popa, F_RAW | F_NO64),
	[0x63] = OP(movsx, F_MODRM | F_ONLY64 | F_NO_PREFIX | F_WRITE_ONLY | OPS(S_G, S_ED)),
	[0x68] = OP(push, F_RAW | F_DEF64 | OP_DST(S_IZ)),
	[0x69] = OP(imul, F_MODRM | F_WRITE_ONLY | OPS3(S_G, S_E, S_IZ)),
	[0x6a] = OP(push, F_RAW | F_DEF64 | OP_DST(S_IB)),
	[0x6b] = OP(imul, F_MODRM | F_WRITE_ONLY | OPS3(S_G, S_E, S_IB)),
	[0x6c] = OP(ins, F_RAW | F_STRING | F_BYTE),
	[0x6d] = OP(ins, F_RAW | F_STRING),
	[0x6e] = OP(outs, F_RAW | F_STRING | F_BYTE),
	[0x6f] = OP(outs, F_RAW | F_STRING),
	[0x70 ... 0x7f] = OP(jcc, F_BYTE | F_NEAR64 | F_READ_ONLY | OP_DST(S_J)),
	[0x80] = GROUP(group1, F_BYTE | OPS(S_E, S_IB)),
	[0x81] = GROUP(group1, OPS(S_E, S_IZ)),
	[0x82] = GROUP(group1, F_BYTE | F_NO64 | OPS(S_E, S_IB)),
	[0x83] = GROUP(group1, OPS(S_E, S_IB)),
	[0x84] = OP(test, F_MODRM | F_BYTE | F_READ_ONLY | OPS(S_E, S_G)),
	[0x85] = OP(test, F_MODRM | F_READ_ONLY | OPS(S_E, S_G)),
	[0x86] = OP(xchg, F_MODRM | F_BYTE | F_LOCK | OPS(S_E, S_G)),
	[0x87] = OP(xchg, F_MODRM | F_LOCK | OPS(S_E, S_G)),
	[0x88] = OP(mov, F_MODRM | F_BYTE | F_WRITE_ONLY | OPS(S_E, S_G)),
	[0x89] = OP(mov, F_MODRM | F_WRITE_ONLY | OPS(S_E, S_G)),
	[0x8a] = OP(mov, F_MODRM | F_BYTE | F_WRITE_ONLY | OPS(S_G, S_E)),
	[0x8b] = OP(mov, F_MODRM | F_WRITE_ONLY | OPS(S_G, S_E)),
	[0x8c] = OP(mov_from_seg, F_MODRM | F_RAW | OPS(S_E, S_S)),
	[0x8d] = OP(lea, F_MODRM | F_RAW | OPS(S_G, S_M)),
	[0x8e] = OP(mov_to_seg, F_MODRM | F_RAW | OPS(S_S, S_EW)),
	[0x8f] = GROUP(group1a, 0),
	[0x90] = OP(nop, F_RAW),
	[0x91 ... 0x97] = OP(xchg, OPS(S_Z, S_A)),
	[0x98] = OP(widen, F_RAW),
	[0x99] = OP(spread, F_RAW),
	[0x9a] = OP(call_far, F_RAW | F_NO64 | OP_DST(S_P)),
	[0x9c] = OP(pushf, F_RAW | F_DEF64),
	[0x9d] = OP(popf, F_RAW | F_DEF64),
	[0x9e] = OP(sahf, F_RAW),
	[0x9f] = OP(lahf, F_RAW),
	[0xa0] = OP(mov, F_BYTE | F_WRITE_ONLY | OPS(S_A, S_O)),
	[0xa1] = OP(mov, F_WRITE_ONLY | OPS(S_A, S_O)),
	[0xa2] = OP(mov, F_BYTE | F_WRITE_ONLY | OPS(S_O, S_A)),
	[0xa3] = OP(mov, F_WRITE_ONLY | OPS(S_O, S_A)),
	[0xa4] = OP(movs, F_RAW | F_STRING | F_BYTE),
	[0xa5] = OP(movs, F_RAW | F_STRING),
	[0xa6] = OP(cmps, F_RAW | F_STRING | F_BYTE),
	[0xa7] = OP(cmps, F_RAW | F_STRING),
	[0xa8] = OP(test, F_BYTE | F_READ_ONLY | OPS(S_A, S_IB)),
	[0xa9] = OP(test, F_READ_ONLY | OPS(S_A, S_IZ)),
	[0xaa] = OP(stos, F_RAW | F_STRING | F_BYTE),
	[0xab] = OP(stos, F_RAW | F_STRING),
	[0xac] = OP(lods, F_RAW | F_STRING | F_BYTE),
	[0xad] = OP(lods, F_RAW | F_STRING),
	[0xae] = OP(scas, F_RAW | F_STRING | F_BYTE),
	[0xaf] = OP(scas, F_RAW | F_STRING),
	[0xb0 ... 0xb7] = OP(mov, F_BYTE | F_WRITE_ONLY | OPS(S_Z, S_IV)),
	[0xb8 ... 0xbf] = OP(mov, F_WRITE_ONLY | OPS(S_Z, S_IV)),
	[0xc0] = GROUP(group2, F_BYTE | OPS(S_E, S_IUB)),
	[0xc1] = GROUP(group2, OPS(S_E, S_IUB)),
	[0xc2] = OP(ret, F_RAW | F_NEAR64 | OP_DST(S_IW)),
	[0xc3] = OP(ret, F_RAW | F_NEAR64),
	[0xc4 ... 0xc5] = OP(load_far_pointer, F_MODRM | F_RAW | F_NO64 | OPS(S_G, S_M)),
	[0xc6] = GROUP(group11, F_BYTE),
	[0xc7] = GROUP(group11, 0),
	[0xc8] = OP(enter, F_RAW | F_DEF64 | OPS(S_IW, S_IUB)),
	[0xc9] = OP(leave, F_RAW | F_DEF64),
	[0xca] = OP(ret_far, F_RAW | OP_DST(S_IW)),
	[0xcb] = OP(ret_far, F_RAW),
	[0xcc] = OP(int, F_RAW),
	[0xcd] = OP(int, F_RAW | OP_DST(S_IUB)),
	[0xce] = OP(int, F_RAW | F_NO64),
	[0xcf] = OP(iret, F_RAW),
	[0xd0] = GROUP(group2, F_BYTE | OPS(S_E, S_ONE)),
	[0xd1] = GROUP(group2, OPS(S_E, S_ONE)),
	[0xd2] = GROUP(group2, F_BYTE | OPS(S_E, S_CL)),
	[0xd3] = GROUP(group2, OPS(S_E, S_CL)),
	[0xd7] = OP(xlat, F_RAW),
	[0xe0 ... 0xe3] = OP(loop, F_BYTE | F_NEAR64 | F_READ_ONLY | OP_DST(S_J)),
	[0xe4] = OP(in, F_BYTE | F_WRITE_ONLY | OPS(S_A, S_IUB)),
	[0xe5] = OP(in, F_WRITE_ONLY | OPS(S_A, S_IUB)),
	[0xe6] = OP(out, F_BYTE | F_READ_ONLY | OPS(S_IUB, S_A)),
	[0xe7] = OP(out, F_READ_ONLY | OPS(S_IUB, S_A)),
	[0xe8] = OP(call, F_NEAR64 | F_READ_ONLY | OP_DST(S_J)),
	[0xe9] = OP(jmp, F_NEAR64 | F_READ_ONLY | OP_DST(S_J)),
	[0xea] = OP(jmp_far, F_RAW | F_NO64 | OP_DST(S_P)),
	[0xeb] = OP(jmp, F_BYTE | F_NEAR64 | F_READ_ONLY | OP_DST(S_J)),
	[0xec] = OP(in, F_BYTE | F_WRITE_ONLY | OPS(S_A, S_DX)),
	[0xed] = OP(in, F_WRITE_ONLY | OPS(S_A, S_DX)),
	[0xee] = OP(out, F_BYTE | F_READ_ONLY | OPS(S_DX, S_A)),
	[0xef] = OP(out, F_READ_ONLY | OPS(S_DX, S_A)),
	[0xf4] = OP(hlt, F_RAW | F_CPL0),
	[0xf5] = OP(flag, F_RAW),
	[0xf6] = GROUP(group3_byte, F_BYTE),
	[0xf7] = GROUP(group3, 0),
	[0xf8 ... 0xf9] = OP(flag, F_RAW),
	[0xfa ... 0xfb] = OP(sti, F_RAW),
	[0xfc ... 0xfd] = OP(flag, F_RAW),
	[0xfe] = GROUP(group4, F_BYTE),
	[0xff] = GROUP(group5, 0),
};

const struct vlm_emul_opcode vlm_emul_map1[256] = {
	[0x00] = GROUP(group6, 0),
	[0x01] = GROUP(group7, 0),
	[0x06] = OP(clts, F_RAW | F_CPL0),
	[0x08 ... 0x09] = OP(wbinvd, F_RAW | F_CPL0 | F_NO_REP),
	[0x0b] = OP(ud, F_RAW),
	[0x0d] = OP(prefetch, F_MODRM | F_RAW | OP_SRC(S_E)),
	[0x10] = OP(sse_load, F_MODRM | F_RAW | OPS(S_V, S_W)),
	[0x11] = OP(sse_store, F_MODRM | F_RAW | OPS(S_W, S_V)),
	[0x12] = OP(sse_load, F_MODRM | F_RAW | OPS(S_V, S_W)),
	[0x13] = OP(sse_store, F_MODRM | F_RAW | OPS(S_W, S_V)),
	[0x16] = OP(sse_load, F_MODRM | F_RAW | OPS(S_V, S_W)),
	[0x17] = OP(sse_store, F_MODRM | F_RAW | OPS(S_W, S_V)),
	[0x18 ... 0x1f] = OP(hint, F_MODRM | F_RAW | OP_SRC(S_E)),
	[0x20] = OP(mov_from_cr, F_MODRM | F_RAW | F_CPL0 | OPS(S_R, S_C)),
	[0x21] = OP(mov_from_dr, F_MODRM | F_RAW | F_CPL0 | OPS(S_R, S_D)),
	[0x22] = OP(mov_to_cr, F_MODRM | F_RAW | F_CPL0 | OPS(S_C, S_R)),
	[0x23] = OP(mov_to_dr, F_MODRM | F_RAW | F_CPL0 | OPS(S_D, S_R)),
	[0x28] = OP(sse_load, F_MODRM | F_RAW | OPS(S_V, S_W)),
	[0x29] = OP(sse_store, F_MODRM | F_RAW | OPS(S_W, S_V)),
	[0x2b] = OP(sse_store, F_MODRM | F_RAW | OPS(S_W, S_V)),
	[0x30] = OP(wrmsr, F_RAW | F_CPL0),
	[0x32] = OP(rdmsr, F_RAW | F_CPL0),
	[0x40 ... 0x4f] = OP(cmovcc, F_MODRM | OPS(S_G, S_E)),
	[0x6e] = OP(movd, F_MODRM | F_RAW | OPS(S_V, S_E)),
	[0x6f] = OP(sse_load, F_MODRM | F_RAW | OPS(S_V, S_W)),
	[0x7e] = OP(movd, F_MODRM | F_RAW | OPS(S_E, S_V)),
	[0x7f] = OP(sse_store, F_MODRM | F_RAW | OPS(S_W, S_V)),
	[0x80 ... 0x8f] = OP(jcc, F_NEAR64 | F_READ_ONLY | OP_DST(S_J)),
	[0x90 ... 0x9f] = OP(setcc, F_MODRM | F_WRITE_ONLY | OP_DST(S_EB)),
	[0xa0] = OP(push_seg, F_RAW | F_DEF64),
	[0xa1] = OP(pop_seg, F_RAW | F_DEF64),
	[0xa2] = OP(cpuid, F_RAW),
	[0xa3] = OP(bt, F_MODRM | F_RAW | OPS(S_E, S_G)),
	[0xa4] = OP(shld, F_MODRM | OPS3(S_E, S_G, S_IUB)),
	[0xa5] = OP(shld, F_MODRM | OPS3(S_E, S_G, S_CL)),
	[0xa8] = OP(push_seg, F_RAW | F_DEF64),
	[0xa9] = OP(pop_seg, F_RAW | F_DEF64),
	[0xab] = OP(bt, F_MODRM | F_RAW | F_LOCK | OPS(S_E, S_G)),
	[0xac] = OP(shld, F_MODRM | OPS3(S_E, S_G, S_IUB)),
	[0xad] = OP(shld, F_MODRM | OPS3(S_E, S_G, S_CL)),
	[0xae] = GROUP(group15, F_NO_PREFIX),
	[0xaf] = OP(imul, F_MODRM | OPS(S_G, S_E)),
	[0xb0] = OP(cmpxchg, F_MODRM | F_BYTE | F_LOCK | OPS(S_E, S_G)),
	[0xb1] = OP(cmpxchg, F_MODRM | F_LOCK | OPS(S_E, S_G)),
	[0xb2] = OP(load_far_pointer, F_MODRM | F_RAW | OPS(S_G, S_M)),
	[0xb3] = OP(bt, F_MODRM | F_RAW | F_LOCK | OPS(S_E, S_G)),
	[0xb4 ... 0xb5] = OP(load_far_pointer, F_MODRM | F_RAW | OPS(S_G, S_M)),
	[0xb6] = OP(mov, F_MODRM | F_WRITE_ONLY | OPS(S_G, S_EB)),
	[0xb7] = OP(mov, F_MODRM | F_WRITE_ONLY | OPS(S_G, S_EW)),
	[0xba] = GROUP(group8, 0),
	[0xbb] = OP(bt, F_MODRM | F_RAW | F_LOCK | OPS(S_E, S_G)),
	[0xbc ... 0xbd] = OP(bsf, F_MODRM | F_NO_REP | OPS(S_G, S_E)),
	[0xbe] = OP(movsx, F_MODRM | F_WRITE_ONLY | OPS(S_G, S_EB)),
	[0xbf] = OP(movsx, F_MODRM | F_WRITE_ONLY | OPS(S_G, S_EW)),
	[0xc0] = OP(xadd, F_MODRM | F_BYTE | F_LOCK | OPS(S_E, S_G)),
	[0xc1] = OP(xadd, F_MODRM | F_LOCK | OPS(S_E, S_G)),
	[0xc3] = OP(mov, F_MODRM | F_NO_PREFIX | F_WRITE_ONLY | OPS(S_M, S_G)),
	[0xc7] = GROUP(group9, F_NO_PREFIX),
	[0xc8 ... 0xcf] = OP(bswap, OP_DST(S_Z)),
	[0xd6] = OP(sse_store, F_MODRM | F_RAW | OPS(S_W, S_V)),
	[0xe7] = OP(sse_store, F_MODRM | F_RAW | OPS(S_W, S_V)),
	[0xf0] = OP(sse_load, F_MODRM | F_RAW | OPS(S_V, S_W)),
};
