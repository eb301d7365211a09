// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ladder: bring the rooms up in order, undo in reverse. The device comes last,
 * for with it user space comes in; its file operations hold the module while a VM
 * exists.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kernel.h>
#include <linux/module.h>

#include <asm/processor.h>
#include <asm/tsc.h>

#include "abi/abi.h"
#include "compat/compat.h"
#include "irqchip/irqchip.h"
#include "mmu/mmu.h"
#include "vcpu/vcpu.h"
#include "vm/vm.h"
#include "vmx/vmx.h"

static bool ept = true;
module_param(ept, bool, 0444);
MODULE_PARM_DESC(ept, "Translate guest memory by extended page tables (default on)");

static int mmu_init(void)
{
	const struct vlm_mmu_caps caps = {
		.ept_ad = vlm_vmx_caps.ept_ad,
		.ept_2m = vlm_vmx_caps.ept_2m,
		.ept_1g = vlm_vmx_caps.ept_1g,
		.ept_exec_only = vlm_vmx_caps.ept_exec_only,
		.ept_5level = vlm_vmx_caps.ept_5level,
		.gbpages = boot_cpu_has(X86_FEATURE_GBPAGES),
		.shadow = !ept,
		.pml = vlm_vmx_caps.pml,
		.maxphyaddr = boot_cpu_data.x86_phys_bits,
	};

	return vlm_mmu_module_init(&caps);
}

static int check_params(void)
{
	if (ept)
		return 0;
	pr_err("ept=0 is not supported: this version has no shadow paging; load without the parameter\n");
	return -EOPNOTSUPP;
}

static int probe(void)
{
	return vlm_vmx_probe(ept ? VLM_TRANSLATE_EPT : VLM_TRANSLATE_SHADOW);
}

/* Guest time is TSC ticks over this rate. */
static int check_clock(void)
{
	if (tsc_khz)
		return 0;
	pr_err("the kernel knows no TSC frequency: boot without tsc=unstable or clocksource overrides\n");
	return -ENODEV;
}

static const struct step {
	int (*up)(void);
	void (*down)(void);
} ladder[] = {
	{ check_params, NULL },
	{ check_clock, NULL },
	{ probe, NULL },
	{ mmu_init, vlm_mmu_module_exit },
	{ vlm_vm_module_init, vlm_vm_module_exit },
	{ vlm_irqchip_module_init, vlm_irqchip_module_exit },
	{ vlm_vcpu_module_init, vlm_vcpu_module_exit },
	{ vlm_vmx_enable, vlm_vmx_disable },
	{ vlm_abi_init, vlm_abi_exit },
};

static void climb_down(int from)
{
	while (from-- > 0)
		if (ladder[from].down)
			ladder[from].down();
}

static int __init vellum_init(void)
{
	int i, ret;

	for (i = 0; i < ARRAY_SIZE(ladder); i++) {
		ret = ladder[i].up();
		if (ret) {
			climb_down(i);
			return ret;
		}
	}
	return 0;
}

static void __exit vellum_exit(void)
{
	climb_down(ARRAY_SIZE(ladder));
}

module_init(vellum_init);
module_exit(vellum_exit);
MODULE_DESCRIPTION("Hypervisor for Intel VMX with KVM's ioctl interface");
MODULE_LICENSE("GPL v2");
