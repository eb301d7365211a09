// SPDX-License-Identifier: GPL-2.0-only
/* All fields of a VMCS that exist here, for a VM entry that failed. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kernel.h>
#include <linux/moduleparam.h>
#include <linux/printk.h>

#include "cpu.h"

/* Off by default: whoever holds a vCPU can make entries fail, and fill the log. */
static bool dump_failed_entries;
module_param(dump_failed_entries, bool, 0644);
MODULE_PARM_DESC(dump_failed_entries, "Log the VMCS when a VM entry fails (default off)");

struct dump_field {
	const char *name;
	u32 field;
};

#define FIELD(f) { #f, f }

static const struct dump_field guest_fields[] = {
	FIELD(GUEST_CR0), FIELD(CR0_READ_SHADOW), FIELD(CR0_GUEST_HOST_MASK),
	FIELD(GUEST_CR3),
	FIELD(GUEST_CR4), FIELD(CR4_READ_SHADOW), FIELD(CR4_GUEST_HOST_MASK),
	FIELD(GUEST_PDPTR0), FIELD(GUEST_PDPTR1), FIELD(GUEST_PDPTR2), FIELD(GUEST_PDPTR3),
	FIELD(GUEST_RIP), FIELD(GUEST_RSP), FIELD(GUEST_RFLAGS), FIELD(GUEST_DR7),
	FIELD(GUEST_GDTR_BASE), FIELD(GUEST_GDTR_LIMIT),
	FIELD(GUEST_IDTR_BASE), FIELD(GUEST_IDTR_LIMIT),
	FIELD(GUEST_IA32_EFER), FIELD(GUEST_IA32_PAT), FIELD(GUEST_IA32_DEBUGCTL),
	FIELD(GUEST_SYSENTER_CS), FIELD(GUEST_SYSENTER_ESP), FIELD(GUEST_SYSENTER_EIP),
	FIELD(GUEST_INTERRUPTIBILITY_INFO), FIELD(GUEST_ACTIVITY_STATE),
	FIELD(GUEST_PENDING_DBG_EXCEPTIONS), FIELD(VMCS_LINK_POINTER),
};

static const struct dump_field host_fields[] = {
	FIELD(HOST_CR0), FIELD(HOST_CR3), FIELD(HOST_CR4),
	FIELD(HOST_RIP), FIELD(HOST_RSP),
	FIELD(HOST_CS_SELECTOR), FIELD(HOST_SS_SELECTOR), FIELD(HOST_DS_SELECTOR),
	FIELD(HOST_ES_SELECTOR), FIELD(HOST_FS_SELECTOR), FIELD(HOST_GS_SELECTOR),
	FIELD(HOST_TR_SELECTOR),
	FIELD(HOST_FS_BASE), FIELD(HOST_GS_BASE), FIELD(HOST_TR_BASE),
	FIELD(HOST_GDTR_BASE), FIELD(HOST_IDTR_BASE),
	FIELD(HOST_IA32_SYSENTER_CS), FIELD(HOST_IA32_SYSENTER_ESP),
	FIELD(HOST_IA32_SYSENTER_EIP), FIELD(HOST_IA32_EFER), FIELD(HOST_IA32_PAT),
};

static const struct dump_field control_fields[] = {
	FIELD(PIN_BASED_VM_EXEC_CONTROL), FIELD(CPU_BASED_VM_EXEC_CONTROL),
	FIELD(SECONDARY_VM_EXEC_CONTROL), FIELD(VM_ENTRY_CONTROLS), FIELD(VM_EXIT_CONTROLS),
	FIELD(EXCEPTION_BITMAP), FIELD(EPT_POINTER), FIELD(MSR_BITMAP),
	FIELD(TSC_OFFSET), FIELD(PML_ADDRESS), FIELD(GUEST_PML_INDEX),
	FIELD(VM_ENTRY_INTR_INFO_FIELD), FIELD(VM_ENTRY_EXCEPTION_ERROR_CODE),
	FIELD(VM_ENTRY_INSTRUCTION_LEN),
	FIELD(VM_INSTRUCTION_ERROR), FIELD(VM_EXIT_REASON), FIELD(EXIT_QUALIFICATION),
	FIELD(VM_EXIT_INTR_INFO), FIELD(VM_EXIT_INTR_ERROR_CODE),
	FIELD(IDT_VECTORING_INFO_FIELD), FIELD(IDT_VECTORING_ERROR_CODE),
	FIELD(GUEST_PHYSICAL_ADDRESS), FIELD(GUEST_LINEAR_ADDRESS),
};

static void dump(const char *title, const struct dump_field *fields, size_t n)
{
	size_t i;

	pr_err("%s:\n", title);
	for (i = 0; i < n; i++)
		pr_err("  %-32s %016lx\n", fields[i].name, vlm_vmcs_read_any(fields[i].field));
}

void vlm_vmx_dump(struct vlm_vmx *vmx)
{
	static const char * const names[VLM_NR_SEGS] = {
		"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"
	};
	int seg;

	if (!READ_ONCE(dump_failed_entries))
		return;
	dump("guest state", guest_fields, ARRAY_SIZE(guest_fields));
	for (seg = 0; seg < VLM_NR_SEGS; seg++)
		pr_err("  %-4s selector %04x base %016lx limit %08x access rights %05x\n",
		       names[seg], vlm_vmcs_read16(GUEST_ES_SELECTOR + 2 * seg),
		       vlm_vmcs_read_natural(GUEST_ES_BASE + 2 * seg),
		       vlm_vmcs_read32(GUEST_ES_LIMIT + 2 * seg),
		       vlm_vmcs_read32(GUEST_ES_AR_BYTES + 2 * seg));
	dump("host state", host_fields, ARRAY_SIZE(host_fields));
	dump("controls and exit information", control_fields, ARRAY_SIZE(control_fields));
}
