/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One inline per VMX instruction. Each survives #UD and #GP: a panic or a reboot on
 * another CPU may have taken this one out of VMX operation at any time.
 * Return 0, -EIO for VMfail (SDM "Conventions"), -EFAULT when the instruction faulted.
 */
#ifndef VLM_VMX_INSN_H
#define VLM_VMX_INSN_H

#include <linux/errno.h>
#include <linux/types.h>

#include <asm/asm.h>

#define VLM_INSN_WITH_OPERAND(name, text)					\
static __always_inline int vlm_insn_##name(u64 pa)				\
{										\
	asm goto("1: " text " %0\n\tjbe %l[fail]\n"				\
		 _ASM_EXTABLE(1b, %l[fault])					\
		 : : "m" (pa) : "cc", "memory" : fail, fault);			\
	return 0;								\
fail:										\
	return -EIO;								\
fault:										\
	return -EFAULT;								\
}

VLM_INSN_WITH_OPERAND(vmxon, "vmxon")
VLM_INSN_WITH_OPERAND(vmclear, "vmclear")
VLM_INSN_WITH_OPERAND(vmptrld, "vmptrld")

static __always_inline int vlm_insn_vmxoff(void)
{
	asm goto("1: vmxoff\n\tjbe %l[fail]\n"
		 _ASM_EXTABLE(1b, %l[fault])
		 : : : "cc", "memory" : fail, fault);
	return 0;
fail:
	return -EIO;
fault:
	return -EFAULT;
}

/* SDM "INVEPT Descriptor" and "INVVPID Descriptor". */
struct vlm_inv_descriptor {
	u64 tag;
	u64 address;
};

#define VLM_INSN_INVALIDATE(name)						\
static __always_inline int vlm_insn_##name(unsigned long type, u64 tag, u64 addr) \
{										\
	struct vlm_inv_descriptor desc = { .tag = tag, .address = addr };	\
										\
	asm goto("1: " #name " %1, %0\n\tjbe %l[fail]\n"			\
		 _ASM_EXTABLE(1b, %l[fault])					\
		 : : "r" (type), "m" (desc) : "cc", "memory" : fail, fault);	\
	return 0;								\
fail:										\
	return -EIO;								\
fault:										\
	return -EFAULT;								\
}

VLM_INSN_INVALIDATE(invept)
VLM_INSN_INVALIDATE(invvpid)

static __always_inline int vlm_insn_vmwrite(unsigned long field, unsigned long value)
{
	asm goto("1: vmwrite %1, %0\n\tjbe %l[fail]\n"
		 _ASM_EXTABLE(1b, %l[fault])
		 : : "r" (field), "rm" (value) : "cc" : fail, fault);
	return 0;
fail:
	return -EIO;
fault:
	return -EFAULT;
}

/* A fault leaves *value at 0 and is not told apart from success. */
static __always_inline int vlm_insn_vmread(unsigned long field, unsigned long *value)
{
	unsigned long v = 0;
	bool fail;

	asm volatile("1: vmread %[field], %[value]\n"
		     "2:\n"
		     _ASM_EXTABLE(1b, 2b)
		     : [value] "+r" (v), "=@ccbe" (fail)
		     : [field] "r" (field)
		     : "memory");
	*value = v;
	return fail ? -EIO : 0;
}

#endif
