// SPDX-License-Identifier: GPL-2.0-only
/* Integer arithmetic with x86 flags. */
#include "alu.h"
#include "decode.h"

static u64 sign_bit(u32 size)
{
	return 1ull << (size * 8 - 1);
}

static u64 flag_if(bool cond, u64 flag)
{
	return cond ? flag : 0;
}

static u64 parity(u64 val)
{
	u32 v = val & 0xff;

	v ^= v >> 4;
	v ^= v >> 2;
	v ^= v >> 1;
	return v & 1 ? 0 : FL_PF;
}

/* SF, ZF, PF of a result that is already truncated. */
static u64 result_flags(u64 val, u32 size)
{
	return parity(val) | flag_if(!val, FL_ZF) | flag_if(val & sign_bit(size), FL_SF);
}

static u64 add(u64 a, u64 b, u64 carry, u32 size, u64 *flags)
{
	u64 r = (a + b + carry) & vlm_emul_mask(size);
	u64 sign = sign_bit(size);

	*flags = (*flags & ~FL_STATUS) | result_flags(r, size) |
		 flag_if(r < a || (carry && r == a), FL_CF) |
		 flag_if((a ^ b ^ r) & 0x10, FL_AF) |
		 flag_if((a ^ r) & (b ^ r) & sign, FL_OF);
	return r;
}

static u64 sub(u64 a, u64 b, u64 borrow, u32 size, u64 *flags)
{
	u64 r = (a - b - borrow) & vlm_emul_mask(size);
	u64 sign = sign_bit(size);

	*flags = (*flags & ~FL_STATUS) | result_flags(r, size) |
		 flag_if(a < b || (borrow && a == b), FL_CF) |
		 flag_if((a ^ b ^ r) & 0x10, FL_AF) |
		 flag_if((a ^ b) & (a ^ r) & sign, FL_OF);
	return r;
}

static u64 logic(u64 r, u32 size, u64 *flags)
{
	*flags = (*flags & ~FL_STATUS) | result_flags(r, size);
	return r;
}

u64 vlm_alu_binary(enum vlm_alu_op op, u64 a, u64 b, u32 size, u64 *flags)
{
	u64 carry = *flags & FL_CF;

	a &= vlm_emul_mask(size);
	b &= vlm_emul_mask(size);
	switch (op) {
	case VLM_ALU_ADD:
		return add(a, b, 0, size, flags);
	case VLM_ALU_OR:
		return logic(a | b, size, flags);
	case VLM_ALU_ADC:
		return add(a, b, carry, size, flags);
	case VLM_ALU_SBB:
		return sub(a, b, carry, size, flags);
	case VLM_ALU_AND:
		return logic(a & b, size, flags);
	case VLM_ALU_XOR:
		return logic(a ^ b, size, flags);
	case VLM_ALU_SUB:
	case VLM_ALU_CMP:
		break;
	}
	return sub(a, b, 0, size, flags);
}

u64 vlm_alu_inc(u64 a, int delta, u32 size, u64 *flags)
{
	u64 carry = *flags & FL_CF;
	u64 r;

	a &= vlm_emul_mask(size);
	r = delta > 0 ? add(a, 1, 0, size, flags) : sub(a, 1, 0, size, flags);
	*flags = (*flags & ~FL_CF) | carry;
	return r;
}

/* ROL, ROR: only CF and OF change; OF is defined for single-bit rotates. */
static u64 rotate(bool right, u64 a, u32 count, u32 size, u64 *flags)
{
	u32 bits = size * 8;
	u32 n = count % bits;
	u64 r = a;
	bool cf, of;

	if (n && right)
		r = (a >> n | a << (bits - n)) & vlm_emul_mask(size);
	else if (n)
		r = (a << n | a >> (bits - n)) & vlm_emul_mask(size);
	if (right) {
		cf = r & sign_bit(size);
		of = cf != !!(r & sign_bit(size) >> 1);
	} else {
		cf = r & 1;
		of = cf != !!(r & sign_bit(size));
	}
	*flags = (*flags & ~(FL_CF | FL_OF)) | flag_if(cf, FL_CF) | flag_if(of, FL_OF);
	return r;
}

/* RCL, RCR: a bit at a time; count is below 64. */
static u64 rotate_carry(bool right, u64 a, u32 count, u32 size, u64 *flags)
{
	u64 sign = sign_bit(size);
	u64 cf = *flags & FL_CF;
	u32 n = count % (size * 8 + 1);
	bool of;

	while (n--) {
		u64 out = right ? a & 1 : !!(a & sign);

		if (right)
			a = a >> 1 | (cf ? sign : 0);
		else
			a = (a << 1 | cf) & vlm_emul_mask(size);
		cf = out;
	}
	if (right)
		of = !!(a & sign) != !!(a & sign >> 1);
	else
		of = cf != !!(a & sign);
	*flags = (*flags & ~(FL_CF | FL_OF)) | flag_if(cf, FL_CF) | flag_if(of, FL_OF);
	return a;
}

static u64 shl(u64 a, u32 count, u32 size, u64 *flags)
{
	u32 bits = size * 8;
	u64 r = (a << count) & vlm_emul_mask(size);
	bool cf = count <= bits && (a >> (bits - count) & 1);

	*flags = (*flags & ~FL_STATUS) | result_flags(r, size) | flag_if(cf, FL_CF) |
		 flag_if(cf != !!(r & sign_bit(size)), FL_OF);
	return r;
}

static u64 shr(u64 a, u32 count, u32 size, u64 *flags)
{
	u64 r = a >> count;
	bool cf = a >> (count - 1) & 1;

	*flags = (*flags & ~FL_STATUS) | result_flags(r, size) | flag_if(cf, FL_CF) |
		 flag_if(a & sign_bit(size), FL_OF);
	return r;
}

static u64 sar(u64 a, u32 count, u32 size, u64 *flags)
{
	s64 wide = (s64)vlm_emul_sext(a, size);
	u64 r = (u64)(wide >> count) & vlm_emul_mask(size);
	bool cf = wide >> (count - 1) & 1;

	*flags = (*flags & ~FL_STATUS) | result_flags(r, size) | flag_if(cf, FL_CF);
	return r;
}

u64 vlm_alu_shift(enum vlm_alu_shift op, u64 a, u32 count, u32 size, u64 *flags)
{
	a &= vlm_emul_mask(size);
	count &= size == 8 ? 63 : 31;
	if (!count)
		return a;
	switch (op) {
	case VLM_ALU_ROL:
	case VLM_ALU_ROR:
		return rotate(op == VLM_ALU_ROR, a, count, size, flags);
	case VLM_ALU_RCL:
	case VLM_ALU_RCR:
		return rotate_carry(op == VLM_ALU_RCR, a, count, size, flags);
	case VLM_ALU_SHR:
		return shr(a, count, size, flags);
	case VLM_ALU_SAR:
		return sar(a, count, size, flags);
	case VLM_ALU_SHL:
	case VLM_ALU_SAL:
		break;
	}
	return shl(a, count, size, flags);
}

bool vlm_alu_shift_double(bool right, u64 *a, u64 fill, u32 count, u32 size, u64 *flags)
{
	u32 bits = size * 8;
	u64 old = *a & vlm_emul_mask(size);
	bool cf;
	u64 r;

	count &= size == 8 ? 63 : 31;
	fill &= vlm_emul_mask(size);
	if (!count)
		return true;
	if (count > bits)
		return false;
	/* count == bits happens for 16 bits only, where no shift is too wide */
	if (right) {
		r = (old >> count | fill << (bits - count)) & vlm_emul_mask(size);
		cf = old >> (count - 1) & 1;
	} else {
		r = (old << count | fill >> (bits - count)) & vlm_emul_mask(size);
		cf = old >> (bits - count) & 1;
	}
	*flags = (*flags & ~FL_STATUS) | result_flags(r, size) | flag_if(cf, FL_CF) |
		 flag_if((r ^ old) & sign_bit(size), FL_OF);
	*a = r;
	return true;
}

/* 64 x 64 -> 128 bits, by halves. */
static void mul128(u64 a, u64 b, u64 *lo, u64 *hi)
{
	u64 al = (u32)a, ah = a >> 32, bl = (u32)b, bh = b >> 32;
	u64 mid = ah * bl + (al * bl >> 32);
	u64 mid2 = al * bh + (u32)mid;

	*lo = a * b;
	*hi = ah * bh + (mid >> 32) + (mid2 >> 32);
}

void vlm_alu_mul(bool is_signed, u64 a, u64 b, u32 size, u64 *lo, u64 *hi, u64 *flags)
{
	u64 mask = vlm_emul_mask(size);
	bool wide;

	a = is_signed ? vlm_emul_sext(a, size) : a & mask;
	b = is_signed ? vlm_emul_sext(b, size) : b & mask;
	if (size == 8) {
		mul128(a, b, lo, hi);
		if (is_signed)
			*hi -= ((s64)a < 0 ? b : 0) + ((s64)b < 0 ? a : 0);
	} else {
		u64 product = a * b;

		*lo = product & mask;
		*hi = product >> (size * 8) & mask;
	}
	wide = is_signed ? *hi != (*lo & sign_bit(size) ? mask : 0) : *hi != 0;
	*flags = (*flags & ~(FL_CF | FL_OF)) | flag_if(wide, FL_CF | FL_OF);
}

/* Unsigned hi:lo / d with hi < d, a bit at a time. */
static void div128(u64 hi, u64 lo, u64 d, u32 bits, u64 *quot, u64 *rem)
{
	u64 top = 1ull << (bits - 1);
	u64 q = 0;
	u32 i;

	for (i = 0; i < bits; i++) {
		bool carry = hi & top;

		hi = hi << 1 | (lo & top ? 1 : 0);
		if (bits < 64)
			hi &= (top << 1 << 1) - 1;
		lo <<= 1;
		q <<= 1;
		if ((carry && bits == 64) || hi >= d) {
			hi -= d;
			q |= 1;
		}
	}
	*quot = q;
	*rem = hi;
}

bool vlm_alu_div(bool is_signed, u64 hi, u64 lo, u64 d, u32 size, u64 *quot, u64 *rem)
{
	u64 mask = vlm_emul_mask(size);
	u64 sign = sign_bit(size);
	bool neg_n = is_signed && (hi & sign);
	bool neg_d = is_signed && (d & sign);

	hi &= mask;
	lo &= mask;
	d &= mask;
	if (neg_n) {		/* negate hi:lo */
		lo = -lo & mask;
		hi = (~hi + !lo) & mask;
	}
	if (neg_d)
		d = -d & mask;
	if (hi >= d)		/* also d == 0 */
		return false;
	div128(hi, lo, d, size * 8, quot, rem);
	if (is_signed) {
		if (*quot > sign || (*quot == sign && neg_n == neg_d))
			return false;
		if (neg_n != neg_d)
			*quot = -*quot & mask;
		if (neg_n)
			*rem = -*rem & mask;
	}
	return true;
}

bool vlm_alu_condition(u32 cc, u64 flags)
{
	bool lt = !!(flags & FL_SF) != !!(flags & FL_OF);
	bool r = false;

	switch (cc >> 1 & 7) {
	case 0:
		r = flags & FL_OF;
		break;
	case 1:
		r = flags & FL_CF;
		break;
	case 2:
		r = flags & FL_ZF;
		break;
	case 3:
		r = flags & (FL_CF | FL_ZF);
		break;
	case 4:
		r = flags & FL_SF;
		break;
	case 5:
		r = flags & FL_PF;
		break;
	case 6:
		r = lt;
		break;
	case 7:
		r = lt || (flags & FL_ZF);
		break;
	}
	return r != (cc & 1);
}
