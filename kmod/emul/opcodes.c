// SPDX-License-Identifier: GPL-2.0-only
/* The opcode maps. An empty entry is an instruction that is not emulated. */
#include "handlers.h"

#define OP(name, fl)		{ .exec = vlm_op_##name, .flags = (fl) }
#define GROUP(table, fl)	{ .group = (table), .flags = I_MODRM | (fl) }

/* The six forms of an ALU operation; l is I_LOCK, or I_READ_ONLY for CMP. */
#define ALU(base, l) \
	[(base) + 0] = OP(alu, I_MODRM | I_BYTE | OPS(S_E, S_G) | (l)), \
	[(base) + 1] = OP(alu, I_MODRM | OPS(S_E, S_G) | (l)), \
	[(base) + 2] = OP(alu, I_MODRM | I_BYTE | OPS(S_G, S_E) | ((l) & ~I_LOCK)), \
	[(base) + 3] = OP(alu, I_MODRM | OPS(S_G, S_E) | ((l) & ~I_LOCK)), \
	[(base) + 4] = OP(alu, I_BYTE | OPS(S_A, S_IB) | ((l) & ~I_LOCK)), \
	[(base) + 5] = OP(alu, OPS(S_A, S_IZ) | ((l) & ~I_LOCK))

static const struct vlm_emul_opcode group1[8] = {
	[0 ... 6] = OP(alu, I_LOCK),
	[7] = OP(alu, I_READ_ONLY),
};

static const struct vlm_emul_opcode group1a[8] = {
	[0] = OP(pop, I_RAW | I_DEF64 | OP_DST(S_E)),
};

static const struct vlm_emul_opcode group2[8] = {
	[0 ... 7] = OP(shift, 0),
};

static const struct vlm_emul_opcode group3_byte[8] = {
	[0 ... 1] = OP(test, I_READ_ONLY | OPS(S_E, S_IB)),
	[2] = OP(not, I_LOCK | OP_DST(S_E)),
	[3] = OP(neg, I_LOCK | OP_DST(S_E)),
	[4 ... 5] = OP(mul, I_READ_ONLY | OP_DST(S_E)),
	[6 ... 7] = OP(div, I_READ_ONLY | OP_DST(S_E)),
};

static const struct vlm_emul_opcode group3[8] = {
	[0 ... 1] = OP(test, I_READ_ONLY | OPS(S_E, S_IZ)),
	[2] = OP(not, I_LOCK | OP_DST(S_E)),
	[3] = OP(neg, I_LOCK | OP_DST(S_E)),
	[4 ... 5] = OP(mul, I_READ_ONLY | OP_DST(S_E)),
	[6 ... 7] = OP(div, I_READ_ONLY | OP_DST(S_E)),
};

static const struct vlm_emul_opcode group4[8] = {
	[0] = OP(inc, I_LOCK | OP_DST(S_E)),
	[1] = OP(dec, I_LOCK | OP_DST(S_E)),
};

static const struct vlm_emul_opcode group5[8] = {
	[0] = OP(inc, I_LOCK | OP_DST(S_E)),
	[1] = OP(dec, I_LOCK | OP_DST(S_E)),
	[2] = OP(call, I_NEAR64 | I_READ_ONLY | OP_DST(S_E)),
	[3] = OP(call_far, I_RAW | OP_DST(S_M)),
	[4] = OP(jmp, I_NEAR64 | I_READ_ONLY | OP_DST(S_E)),
	[5] = OP(jmp_far, I_RAW | OP_DST(S_M)),
	[6] = OP(push, I_RAW | I_DEF64 | OP_DST(S_E)),
};

static const struct vlm_emul_opcode group6[8] = {
	[0 ... 1] = OP(store_sysseg, I_RAW | I_PROT | OP_DST(S_E)),
	[2 ... 3] = OP(load_sysseg, I_READ_ONLY | I_PROT | I_CPL0 | OP_DST(S_EW)),
};

static const struct vlm_emul_opcode group7[8] = {
	[0 ... 1] = OP(store_table, I_RAW | OP_DST(S_M)),
	[2 ... 3] = OP(load_table, I_RAW | I_CPL0 | OP_DST(S_M)),
	[4] = OP(smsw, I_RAW | OP_DST(S_E)),
	[6] = OP(lmsw, I_READ_ONLY | I_CPL0 | OP_DST(S_EW)),
	[7] = OP(invlpg, I_RAW | I_CPL0 | OP_DST(S_M)),
};

static const struct vlm_emul_opcode group8[8] = {
	[4] = OP(bt, I_RAW | OPS(S_E, S_IUB)),
	[5 ... 7] = OP(bt, I_RAW | I_LOCK | OPS(S_E, S_IUB)),
};

static const struct vlm_emul_opcode group9[8] = {
	[1] = OP(cmpxchg_wide, I_RAW | I_LOCK | OP_DST(S_M)),
};

static const struct vlm_emul_opcode group11[8] = {
	[0] = OP(mov, I_WRITE_ONLY | OPS(S_E, S_IZ)),
};

static const struct vlm_emul_opcode group15[8] = {
	[5 ... 7] = OP(fence, I_RAW | OP_SRC(S_E)),
};

const struct vlm_emul_opcode vlm_emul_map0[256] = {
	ALU(0x00, I_LOCK),
	ALU(0x08, I_LOCK),
	ALU(0x10, I_LOCK),
	ALU(0x18, I_LOCK),
	ALU(0x20, I_LOCK),
	ALU(0x28, I_LOCK),
	ALU(0x30, I_LOCK),
	ALU(0x38, I_READ_ONLY),
	[0x06] = OP(push_seg, I_RAW | I_NO64),
	[0x07] = OP(pop_seg, I_RAW | I_NO64),
	[0x0e] = OP(push_seg, I_RAW | I_NO64),
	[0x16] = OP(push_seg, I_RAW | I_NO64),
	[0x17] = OP(pop_seg, I_RAW | I_NO64),
	[0x1e] = OP(push_seg, I_RAW | I_NO64),
	[0x1f] = OP(pop_seg, I_RAW | I_NO64),
	[0x40 ... 0x47] = OP(inc, I_NO64 | OP_DST(S_Z)),
	[0x48 ... 0x4f] = OP(dec, I_NO64 | OP_DST(S_Z)),
	[0x50 ... 0x57] = OP(push, I_RAW | I_DEF64 | OP_DST(S_Z)),
	[0x58 ... 0x5f] = OP(pop, I_RAW | I_DEF64 | OP_DST(S_Z)),
	[0x60] = OP(pusha, I_RAW | I_NO64),
	[0x61] = OP(popa, I_RAW | I_NO64),
	[0x63] = OP(movsx, I_MODRM | I_ONLY64 | I_NO_PREFIX | I_WRITE_ONLY | OPS(S_G, S_ED)),
	[0x68] = OP(push, I_RAW | I_DEF64 | OP_DST(S_IZ)),
	[0x69] = OP(imul, I_MODRM | I_WRITE_ONLY | OPS3(S_G, S_E, S_IZ)),
	[0x6a] = OP(push, I_RAW | I_DEF64 | OP_DST(S_IB)),
	[0x6b] = OP(imul, I_MODRM | I_WRITE_ONLY | OPS3(S_G, S_E, S_IB)),
	[0x6c] = OP(ins, I_RAW | I_STRING | I_BYTE),
	[0x6d] = OP(ins, I_RAW | I_STRING),
	[0x6e] = OP(outs, I_RAW | I_STRING | I_BYTE),
	[0x6f] = OP(outs, I_RAW | I_STRING),
	[0x70 ... 0x7f] = OP(jcc, I_BYTE | I_NEAR64 | I_READ_ONLY | OP_DST(S_J)),
	[0x80] = GROUP(group1, I_BYTE | OPS(S_E, S_IB)),
	[0x81] = GROUP(group1, OPS(S_E, S_IZ)),
	[0x82] = GROUP(group1, I_BYTE | I_NO64 | OPS(S_E, S_IB)),
	[0x83] = GROUP(group1, OPS(S_E, S_IB)),
	[0x84] = OP(test, I_MODRM | I_BYTE | I_READ_ONLY | OPS(S_E, S_G)),
	[0x85] = OP(test, I_MODRM | I_READ_ONLY | OPS(S_E, S_G)),
	[0x86] = OP(xchg, I_MODRM | I_BYTE | I_LOCK | OPS(S_E, S_G)),
	[0x87] = OP(xchg, I_MODRM | I_LOCK | OPS(S_E, S_G)),
	[0x88] = OP(mov, I_MODRM | I_BYTE | I_WRITE_ONLY | OPS(S_E, S_G)),
	[0x89] = OP(mov, I_MODRM | I_WRITE_ONLY | OPS(S_E, S_G)),
	[0x8a] = OP(mov, I_MODRM | I_BYTE | I_WRITE_ONLY | OPS(S_G, S_E)),
	[0x8b] = OP(mov, I_MODRM | I_WRITE_ONLY | OPS(S_G, S_E)),
	[0x8c] = OP(mov_from_seg, I_MODRM | I_RAW | OPS(S_E, S_S)),
	[0x8d] = OP(lea, I_MODRM | I_RAW | OPS(S_G, S_M)),
	[0x8e] = OP(mov_to_seg, I_MODRM | I_RAW | OPS(S_S, S_EW)),
	[0x8f] = GROUP(group1a, 0),
	[0x90] = OP(nop, I_RAW),
	[0x91 ... 0x97] = OP(xchg, OPS(S_Z, S_A)),
	[0x98] = OP(widen, I_RAW),
	[0x99] = OP(spread, I_RAW),
	[0x9a] = OP(call_far, I_RAW | I_NO64 | OP_DST(S_P)),
	[0x9c] = OP(pushf, I_RAW | I_DEF64),
	[0x9d] = OP(popf, I_RAW | I_DEF64),
	[0x9e] = OP(sahf, I_RAW),
	[0x9f] = OP(lahf, I_RAW),
	[0xa0] = OP(mov, I_BYTE | I_WRITE_ONLY | OPS(S_A, S_O)),
	[0xa1] = OP(mov, I_WRITE_ONLY | OPS(S_A, S_O)),
	[0xa2] = OP(mov, I_BYTE | I_WRITE_ONLY | OPS(S_O, S_A)),
	[0xa3] = OP(mov, I_WRITE_ONLY | OPS(S_O, S_A)),
	[0xa4] = OP(movs, I_RAW | I_STRING | I_BYTE),
	[0xa5] = OP(movs, I_RAW | I_STRING),
	[0xa6] = OP(cmps, I_RAW | I_STRING | I_BYTE),
	[0xa7] = OP(cmps, I_RAW | I_STRING),
	[0xa8] = OP(test, I_BYTE | I_READ_ONLY | OPS(S_A, S_IB)),
	[0xa9] = OP(test, I_READ_ONLY | OPS(S_A, S_IZ)),
	[0xaa] = OP(stos, I_RAW | I_STRING | I_BYTE),
	[0xab] = OP(stos, I_RAW | I_STRING),
	[0xac] = OP(lods, I_RAW | I_STRING | I_BYTE),
	[0xad] = OP(lods, I_RAW | I_STRING),
	[0xae] = OP(scas, I_RAW | I_STRING | I_BYTE),
	[0xaf] = OP(scas, I_RAW | I_STRING),
	[0xb0 ... 0xb7] = OP(mov, I_BYTE | I_WRITE_ONLY | OPS(S_Z, S_IV)),
	[0xb8 ... 0xbf] = OP(mov, I_WRITE_ONLY | OPS(S_Z, S_IV)),
	[0xc0] = GROUP(group2, I_BYTE | OPS(S_E, S_IUB)),
	[0xc1] = GROUP(group2, OPS(S_E, S_IUB)),
	[0xc2] = OP(ret, I_RAW | I_NEAR64 | OP_DST(S_IW)),
	[0xc3] = OP(ret, I_RAW | I_NEAR64),
	[0xc4 ... 0xc5] = OP(load_far_pointer, I_MODRM | I_RAW | I_NO64 | OPS(S_G, S_M)),
	[0xc6] = GROUP(group11, I_BYTE),
	[0xc7] = GROUP(group11, 0),
	[0xc8] = OP(enter, I_RAW | I_DEF64 | OPS(S_IW, S_IUB)),
	[0xc9] = OP(leave, I_RAW | I_DEF64),
	[0xca] = OP(ret_far, I_RAW | OP_DST(S_IW)),
	[0xcb] = OP(ret_far, I_RAW),
	[0xcc] = OP(int, I_RAW),
	[0xcd] = OP(int, I_RAW | OP_DST(S_IUB)),
	[0xce] = OP(int, I_RAW | I_NO64),
	[0xcf] = OP(iret, I_RAW),
	[0xd0] = GROUP(group2, I_BYTE | OPS(S_E, S_ONE)),
	[0xd1] = GROUP(group2, OPS(S_E, S_ONE)),
	[0xd2] = GROUP(group2, I_BYTE | OPS(S_E, S_CL)),
	[0xd3] = GROUP(group2, OPS(S_E, S_CL)),
	[0xd7] = OP(xlat, I_RAW),
	[0xe0 ... 0xe3] = OP(loop, I_BYTE | I_NEAR64 | I_READ_ONLY | OP_DST(S_J)),
	[0xe4] = OP(in, I_BYTE | I_WRITE_ONLY | OPS(S_A, S_IUB)),
	[0xe5] = OP(in, I_WRITE_ONLY | OPS(S_A, S_IUB)),
	[0xe6] = OP(out, I_BYTE | I_READ_ONLY | OPS(S_IUB, S_A)),
	[0xe7] = OP(out, I_READ_ONLY | OPS(S_IUB, S_A)),
	[0xe8] = OP(call, I_NEAR64 | I_READ_ONLY | OP_DST(S_J)),
	[0xe9] = OP(jmp, I_NEAR64 | I_READ_ONLY | OP_DST(S_J)),
	[0xea] = OP(jmp_far, I_RAW | I_NO64 | OP_DST(S_P)),
	[0xeb] = OP(jmp, I_BYTE | I_NEAR64 | I_READ_ONLY | OP_DST(S_J)),
	[0xec] = OP(in, I_BYTE | I_WRITE_ONLY | OPS(S_A, S_DX)),
	[0xed] = OP(in, I_WRITE_ONLY | OPS(S_A, S_DX)),
	[0xee] = OP(out, I_BYTE | I_READ_ONLY | OPS(S_DX, S_A)),
	[0xef] = OP(out, I_READ_ONLY | OPS(S_DX, S_A)),
	[0xf4] = OP(hlt, I_RAW | I_CPL0),
	[0xf5] = OP(flag, I_RAW),
	[0xf6] = GROUP(group3_byte, I_BYTE),
	[0xf7] = GROUP(group3, 0),
	[0xf8 ... 0xf9] = OP(flag, I_RAW),
	[0xfa ... 0xfb] = OP(sti, I_RAW),
	[0xfc ... 0xfd] = OP(flag, I_RAW),
	[0xfe] = GROUP(group4, I_BYTE),
	[0xff] = GROUP(group5, 0),
};

const struct vlm_emul_opcode vlm_emul_map1[256] = {
	[0x00] = GROUP(group6, 0),
	[0x01] = GROUP(group7, 0),
	[0x06] = OP(clts, I_RAW | I_CPL0),
	[0x08 ... 0x09] = OP(wbinvd, I_RAW | I_CPL0 | I_NO_REP),
	[0x0b] = OP(ud, I_RAW),
	[0x0d] = OP(prefetch, I_MODRM | I_RAW | OP_SRC(S_E)),
	[0x10] = OP(sse_load, I_MODRM | I_RAW | I_SSE | OPS(S_V, S_W)),
	[0x11] = OP(sse_store, I_MODRM | I_RAW | I_SSE | OPS(S_W, S_V)),
	[0x12] = OP(sse_load, I_MODRM | I_RAW | I_SSE | OPS(S_V, S_W)),
	[0x13] = OP(sse_store, I_MODRM | I_RAW | I_SSE | OPS(S_W, S_V)),
	[0x16] = OP(sse_load, I_MODRM | I_RAW | I_SSE | OPS(S_V, S_W)),
	[0x17] = OP(sse_store, I_MODRM | I_RAW | I_SSE | OPS(S_W, S_V)),
	[0x18 ... 0x19] = OP(hint, I_MODRM | I_RAW | OP_SRC(S_E)),
	[0x1c ... 0x1f] = OP(hint, I_MODRM | I_RAW | OP_SRC(S_E)),
	[0x20] = OP(mov_from_cr, I_MODRM | I_RAW | I_CPL0 | OPS(S_R, S_C)),
	[0x21] = OP(mov_from_dr, I_MODRM | I_RAW | I_CPL0 | OPS(S_R, S_D)),
	[0x22] = OP(mov_to_cr, I_MODRM | I_RAW | I_CPL0 | OPS(S_C, S_R)),
	[0x23] = OP(mov_to_dr, I_MODRM | I_RAW | I_CPL0 | OPS(S_D, S_R)),
	[0x28] = OP(sse_load, I_MODRM | I_RAW | I_SSE | OPS(S_V, S_W)),
	[0x29] = OP(sse_store, I_MODRM | I_RAW | I_SSE | OPS(S_W, S_V)),
	[0x2b] = OP(sse_store, I_MODRM | I_RAW | I_SSE | OPS(S_W, S_V)),
	[0x30] = OP(wrmsr, I_RAW | I_CPL0),
	[0x32] = OP(rdmsr, I_RAW | I_CPL0),
	[0x40 ... 0x4f] = OP(cmovcc, I_MODRM | OPS(S_G, S_E)),
	[0x6e] = OP(movd, I_MODRM | I_RAW | I_SSE | OPS(S_V, S_E)),
	[0x6f] = OP(sse_load, I_MODRM | I_RAW | I_SSE | OPS(S_V, S_W)),
	[0x7e] = OP(movd, I_MODRM | I_RAW | I_SSE | OPS(S_E, S_V)),
	[0x7f] = OP(sse_store, I_MODRM | I_RAW | I_SSE | OPS(S_W, S_V)),
	[0x80 ... 0x8f] = OP(jcc, I_NEAR64 | I_READ_ONLY | OP_DST(S_J)),
	[0x90 ... 0x9f] = OP(setcc, I_MODRM | I_WRITE_ONLY | OP_DST(S_EB)),
	[0xa0] = OP(push_seg, I_RAW | I_DEF64),
	[0xa1] = OP(pop_seg, I_RAW | I_DEF64),
	[0xa2] = OP(cpuid, I_RAW),
	[0xa3] = OP(bt, I_MODRM | I_RAW | OPS(S_E, S_G)),
	[0xa4] = OP(shld, I_MODRM | OPS3(S_E, S_G, S_IUB)),
	[0xa5] = OP(shld, I_MODRM | OPS3(S_E, S_G, S_CL)),
	[0xa8] = OP(push_seg, I_RAW | I_DEF64),
	[0xa9] = OP(pop_seg, I_RAW | I_DEF64),
	[0xab] = OP(bt, I_MODRM | I_RAW | I_LOCK | OPS(S_E, S_G)),
	[0xac] = OP(shld, I_MODRM | OPS3(S_E, S_G, S_IUB)),
	[0xad] = OP(shld, I_MODRM | OPS3(S_E, S_G, S_CL)),
	[0xae] = GROUP(group15, I_NO_PREFIX),
	[0xaf] = OP(imul, I_MODRM | OPS(S_G, S_E)),
	[0xb0] = OP(cmpxchg, I_MODRM | I_BYTE | I_LOCK | OPS(S_E, S_G)),
	[0xb1] = OP(cmpxchg, I_MODRM | I_LOCK | OPS(S_E, S_G)),
	[0xb2] = OP(load_far_pointer, I_MODRM | I_RAW | OPS(S_G, S_M)),
	[0xb3] = OP(bt, I_MODRM | I_RAW | I_LOCK | OPS(S_E, S_G)),
	[0xb4 ... 0xb5] = OP(load_far_pointer, I_MODRM | I_RAW | OPS(S_G, S_M)),
	[0xb6] = OP(mov, I_MODRM | I_WRITE_ONLY | OPS(S_G, S_EB)),
	[0xb7] = OP(mov, I_MODRM | I_WRITE_ONLY | OPS(S_G, S_EW)),
	[0xba] = GROUP(group8, 0),
	[0xbb] = OP(bt, I_MODRM | I_RAW | I_LOCK | OPS(S_E, S_G)),
	[0xbc ... 0xbd] = OP(bsf, I_MODRM | I_NO_REP | OPS(S_G, S_E)),
	[0xbe] = OP(movsx, I_MODRM | I_WRITE_ONLY | OPS(S_G, S_EB)),
	[0xbf] = OP(movsx, I_MODRM | I_WRITE_ONLY | OPS(S_G, S_EW)),
	[0xc0] = OP(xadd, I_MODRM | I_BYTE | I_LOCK | OPS(S_E, S_G)),
	[0xc1] = OP(xadd, I_MODRM | I_LOCK | OPS(S_E, S_G)),
	[0xc3] = OP(mov, I_MODRM | I_NO_PREFIX | I_DWORD | I_WRITE_ONLY | OPS(S_M, S_G)),
	[0xc7] = GROUP(group9, I_NO_PREFIX),
	[0xc8 ... 0xcf] = OP(bswap, OP_DST(S_Z)),
	[0xd6] = OP(sse_store, I_MODRM | I_RAW | I_SSE | OPS(S_W, S_V)),
	[0xe7] = OP(sse_store, I_MODRM | I_RAW | I_SSE | OPS(S_W, S_V)),
	[0xf0] = OP(sse_load, I_MODRM | I_RAW | I_SSE | OPS(S_V, S_W)),
};

const struct vlm_emul_opcode vlm_emul_movq_load =
	OP(sse_load, I_MODRM | I_RAW | I_SSE | OPS(S_V, S_W));
