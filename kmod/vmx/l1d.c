// SPDX-License-Identifier: GPL-2.0-only
/*
 * L1 terminal fault: on affected CPUs the guest can read what the host left in the L1
 * data cache, so it is flushed before an entry. The kernel's l1tf= option decides, as
 * Documentation/admin-guide/hw-vuln/l1tf.rst describes it: full means at each entry,
 * flush means after the host did more than a trivial exit, off means never.
 */
#include <linux/gfp.h>
#include <linux/jump_label.h>

#include <asm/cpufeature.h>
#include <asm/hardirq.h>
#include <asm/msr.h>
#include <asm/processor.h>
#include <asm/vmx.h>

#include "cpu.h"

/* Twice the largest L1 data cache: reading all of it replaces every line. */
#define VLM_L1D_PAGES_ORDER	4
#define VLM_L1D_BYTES		(PAGE_SIZE << VLM_L1D_PAGES_ORDER)
#define VLM_CACHE_LINE		64

static DEFINE_STATIC_KEY_FALSE(l1d_needed);
static DEFINE_STATIC_KEY_FALSE(l1d_always);
static char *l1d_pages;		/* for CPUs without the flush command; constant after init */

static enum vmx_l1d_flush_state choose(void)
{
	u64 caps;

	if (!boot_cpu_has_bug(X86_BUG_L1TF))
		return VMENTER_L1D_FLUSH_NOT_REQUIRED;
	/* Bit 3: the flush is not needed, e.g. because an outer hypervisor does it. */
	if (boot_cpu_has(X86_FEATURE_ARCH_CAPABILITIES) &&
	    !rdmsrl_safe(MSR_IA32_ARCH_CAPABILITIES, &caps) && (caps & BIT(3)))
		return VMENTER_L1D_FLUSH_NOT_REQUIRED;
	switch (l1tf_mitigation) {
	case L1TF_MITIGATION_OFF:
		return VMENTER_L1D_FLUSH_NEVER;
	case L1TF_MITIGATION_FULL:
	case L1TF_MITIGATION_FULL_FORCE:
		return VMENTER_L1D_FLUSH_ALWAYS;
	default:
		return VMENTER_L1D_FLUSH_COND;
	}
}

int vlm_l1d_init(void)
{
	enum vmx_l1d_flush_state state = choose();
	bool needed = state == VMENTER_L1D_FLUSH_ALWAYS || state == VMENTER_L1D_FLUSH_COND;

	if (needed && !boot_cpu_has(X86_FEATURE_FLUSH_L1D)) {
		l1d_pages = (void *)__get_free_pages(GFP_KERNEL | __GFP_ZERO,
						     VLM_L1D_PAGES_ORDER);
		if (!l1d_pages)
			return -ENOMEM;
	}
	/* What sysfs reports as the state of the mitigation. */
	l1tf_vmx_mitigation = state;
	if (needed)
		static_branch_enable(&l1d_needed);
	if (state == VMENTER_L1D_FLUSH_ALWAYS)
		static_branch_enable(&l1d_always);
	return 0;
}

void vlm_l1d_exit(void)
{
	static_branch_disable(&l1d_needed);
	static_branch_disable(&l1d_always);
	l1tf_vmx_mitigation = VMENTER_L1D_FLUSH_AUTO;
	free_pages((unsigned long)l1d_pages, VLM_L1D_PAGES_ORDER);
	l1d_pages = NULL;
}

static noinstr void flush(void)
{
	unsigned long offset;

	if (!l1d_pages) {
		native_wrmsrl(MSR_IA32_FLUSH_CMD, L1D_FLUSH);
		return;
	}
	/* One pass brings the translations, the second the lines. */
	for (offset = 0; offset < VLM_L1D_BYTES; offset += PAGE_SIZE)
		(void)*(volatile char *)(l1d_pages + offset);
	asm volatile("lfence" : : : "memory");
	for (offset = 0; offset < VLM_L1D_BYTES; offset += VLM_CACHE_LINE)
		(void)*(volatile char *)(l1d_pages + offset);
	asm volatile("lfence" : : : "memory");
}

/* Last thing before an entry. An interrupt since the last flush counts as work, too. */
noinstr void vlm_l1d_flush(struct vlm_vmx *vmx)
{
	if (!static_branch_unlikely(&l1d_needed))
		return;
	if (!static_branch_unlikely(&l1d_always)) {
		bool dirty = vmx->l1d_dirty;

		vmx->l1d_dirty = false;
#if IS_ENABLED(CONFIG_KVM_INTEL)
		dirty |= kvm_get_cpu_l1tf_flush_l1d();
		kvm_clear_cpu_l1tf_flush_l1d();
#endif
		if (!dirty)
			return;
	}
	flush();
}
