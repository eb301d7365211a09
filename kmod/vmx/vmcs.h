/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Typed access to the fields of the current VMCS. The width of a field is part of
 * its encoding (SDM "Structure of VMCS Component Encoding"), so a constant field
 * that is accessed with the wrong width does not compile.
 */
#ifndef VLM_VMX_VMCS_H
#define VLM_VMX_VMCS_H

#include <linux/build_bug.h>
#include <linux/instrumentation.h>
#include <linux/types.h>

#include <asm/vmx.h>

#include "insn.h"

/* A VMCS region: SDM "Format of the VMCS Region". */
struct vmcs {
	u32 revision;
	u32 abort;
	u8 data[];
};

enum vlm_field_width {
	VLM_FIELD_16,
	VLM_FIELD_64,
	VLM_FIELD_32,
	VLM_FIELD_NATURAL,
};

#define VLM_FIELD_WIDTH(field)	(((field) >> 13) & 3)

/* Report, at a bounded rate, an access that the CPU refused. */
void vlm_vmcs_access_failed(unsigned long field, bool write);

static __always_inline unsigned long vlm_vmcs_read_any(unsigned long field)
{
	unsigned long value;

	if (unlikely(vlm_insn_vmread(field, &value))) {
		instrumentation_begin();
		vlm_vmcs_access_failed(field, false);
		instrumentation_end();
	}
	return value;
}

static __always_inline void vlm_vmcs_write_any(unsigned long field, unsigned long value)
{
	if (unlikely(vlm_insn_vmwrite(field, value))) {
		instrumentation_begin();
		vlm_vmcs_access_failed(field, true);
		instrumentation_end();
	}
}

#define VLM_VMCS_ACCESSORS(suffix, type, width)					\
static __always_inline type vlm_vmcs_read##suffix(unsigned long field)		\
{										\
	BUILD_BUG_ON_MSG(__builtin_constant_p(field) &&				\
			 VLM_FIELD_WIDTH(field) != (width),			\
			 "VMCS field read with the wrong width");		\
	return (type)vlm_vmcs_read_any(field);					\
}										\
static __always_inline void vlm_vmcs_write##suffix(unsigned long field, type value) \
{										\
	BUILD_BUG_ON_MSG(__builtin_constant_p(field) &&				\
			 VLM_FIELD_WIDTH(field) != (width),			\
			 "VMCS field written with the wrong width");		\
	vlm_vmcs_write_any(field, value);					\
}

VLM_VMCS_ACCESSORS(16, u16, VLM_FIELD_16)
VLM_VMCS_ACCESSORS(32, u32, VLM_FIELD_32)
VLM_VMCS_ACCESSORS(64, u64, VLM_FIELD_64)
VLM_VMCS_ACCESSORS(_natural, unsigned long, VLM_FIELD_NATURAL)

#endif
