// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the CPU can do, and whether the module may have it.
 *
 *	-EOPNOTSUPP	no VMX, or the firmware locked it off (as KVM answers)
 *	-EIO		VMX lacks something that the module needs (as KVM answers)
 *	-EBUSY		another hypervisor owns VMX
 *
 * SDM appendix "VMX Capability Reporting Facility".
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kernel.h>
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/printk.h>

#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/special_insns.h>
#include <asm/tlbflush.h>

#include "cpu.h"

#define CR4_FRED	BIT_ULL(32)	/* headers before 6.9 do not know it */

/* As kvm_intel's: reads as what is in use. */
static bool pml = true;
module_param(pml, bool, 0444);
MODULE_PARM_DESC(pml, "Have the CPU log writes for dirty logging (default on where it can)");

struct vlm_vmx_caps vlm_vmx_caps;
struct vlm_vmx_controls vlm_vmx_controls;

/**
 * struct vlm_ctl_set - one VMCS control word
 * @name:	for the log
 * @msr:	capability MSR: low half bits that must be 1, high half bits that may be 1
 * @required:	bits that are always set
 * @settable:	bits that are set at run time and must be available
 * @optional:	bits that are always set where available
 * @clear:	bits that must not be forced to 1
 * @ept:	bits that are set with EPT
 * @ept_optional: bits that are set with EPT where available
 * @shadow:	bits that are set without EPT, and must not be forced to 1 with it
 */
struct vlm_ctl_set {
	const char *name;
	u32 msr;
	u32 required;
	u32 settable;
	u32 optional;
	u32 clear;
	u32 ept;
	u32 ept_optional;
	u32 shadow;
};

#define VLM_SECONDARY_INVPCID	VMCS_CONTROL_BIT(INVPCID)
#define VLM_SECONDARY_XSAVES	VMCS_CONTROL_BIT(XSAVES)

static const struct vlm_ctl_set pin_set = {
	.name = "pin-based",
	.msr = MSR_IA32_VMX_TRUE_PINBASED_CTLS,
	.required = PIN_BASED_EXT_INTR_MASK | PIN_BASED_NMI_EXITING | PIN_BASED_VIRTUAL_NMIS,
};

static const struct vlm_ctl_set cpu_based_set = {
	.name = "primary processor-based",
	.msr = MSR_IA32_VMX_TRUE_PROCBASED_CTLS,
	.required = CPU_BASED_USE_TSC_OFFSETTING | CPU_BASED_HLT_EXITING |
		    CPU_BASED_MWAIT_EXITING | CPU_BASED_MONITOR_EXITING |
		    CPU_BASED_RDPMC_EXITING | CPU_BASED_CR8_LOAD_EXITING |
		    CPU_BASED_CR8_STORE_EXITING | CPU_BASED_MOV_DR_EXITING |
		    CPU_BASED_UNCOND_IO_EXITING | CPU_BASED_USE_MSR_BITMAPS |
		    CPU_BASED_ACTIVATE_SECONDARY_CONTROLS,
	.settable = CPU_BASED_INTR_WINDOW_EXITING | CPU_BASED_NMI_WINDOW_EXITING,
	.clear = CPU_BASED_RDTSC_EXITING,
	.shadow = CPU_BASED_CR3_LOAD_EXITING | CPU_BASED_CR3_STORE_EXITING |
		  CPU_BASED_INVLPG_EXITING,
};

/*
 * ENCLS exits so that a guest cannot build enclaves that no CPUID leaf offered. Without EPT
 * there is no PCID and so no INVPCID: the tag of the CPU's translations would have to be
 * the guest's choice.
 */
static const struct vlm_ctl_set secondary_set = {
	.name = "secondary processor-based",
	.msr = MSR_IA32_VMX_PROCBASED_CTLS2,
	.ept = SECONDARY_EXEC_ENABLE_EPT | SECONDARY_EXEC_UNRESTRICTED_GUEST,
	.ept_optional = VLM_SECONDARY_INVPCID,
	.optional = SECONDARY_EXEC_ENABLE_VPID | SECONDARY_EXEC_ENABLE_RDTSCP |
		    VLM_SECONDARY_XSAVES |
		    SECONDARY_EXEC_WBINVD_EXITING | SECONDARY_EXEC_PAUSE_LOOP_EXITING |
		    SECONDARY_EXEC_ENCLS_EXITING | SECONDARY_EXEC_PT_CONCEAL_VMX,
};

static const struct vlm_ctl_set exit_set = {
	.name = "VM-exit",
	.msr = MSR_IA32_VMX_TRUE_EXIT_CTLS,
	.required = VM_EXIT_HOST_ADDR_SPACE_SIZE | VM_EXIT_SAVE_DEBUG_CONTROLS |
		    VM_EXIT_SAVE_IA32_EFER | VM_EXIT_LOAD_IA32_EFER |
		    VM_EXIT_SAVE_IA32_PAT | VM_EXIT_LOAD_IA32_PAT,
	.optional = VM_EXIT_LOAD_IA32_PERF_GLOBAL_CTRL | VM_EXIT_PT_CONCEAL_PIP,
	.clear = VM_EXIT_ACK_INTR_ON_EXIT,
};

static const struct vlm_ctl_set entry_set = {
	.name = "VM-entry",
	.msr = MSR_IA32_VMX_TRUE_ENTRY_CTLS,
	.required = VM_ENTRY_LOAD_DEBUG_CONTROLS | VM_ENTRY_LOAD_IA32_EFER |
		    VM_ENTRY_LOAD_IA32_PAT,
	.settable = VM_ENTRY_IA32E_MODE,
	.optional = VM_ENTRY_LOAD_IA32_PERF_GLOBAL_CTRL | VM_ENTRY_PT_CONCEAL_PIP,
};

static int missing(const char *what)
{
	pr_err("this CPU's VMX lacks %s: use a CPU of Intel's Westmere generation or later, or have the outer hypervisor offer it\n",
	       what);
	return -EIO;
}

/* Choose the value of one control word; @all receives every bit that may be set. */
static int choose_controls(const struct vlm_ctl_set *set, u32 *value, u32 *all)
{
	bool ept = vlm_vmx_caps.ept;
	u32 required = set->required | (ept ? set->ept : set->shadow);
	u32 optional = set->optional | (ept ? set->ept_optional : 0);
	u32 clear = set->clear | (ept ? set->shadow : set->ept);
	u32 must, may, lacking;
	u64 cap;

	if (rdmsrl_safe(set->msr, &cap))
		return missing("capability MSRs");
	must = (u32)cap;
	may = (u32)(cap >> 32);
	lacking = (required | set->settable) & ~may;
	if (lacking || (must & clear)) {
		char what[96];

		scnprintf(what, sizeof(what), "%s controls: bits %#x to set, %#x to clear%s",
			  set->name, lacking, must & clear,
			  set == &secondary_set && lacking == SECONDARY_EXEC_UNRESTRICTED_GUEST ?
			  " (unrestricted guest)" : "");
		return missing(what);
	}
	*value = must | required | (optional & may);
	if (all)
		*all = may;
	return 0;
}

static int check_feature_control(void)
{
	u64 feat;

	if (!(cpuid_ecx(1) & BIT(5))) {
		pr_err("this CPU has no VMX: run on an Intel CPU with VT-x, or enable nested virtualization in the outer hypervisor\n");
		return -EOPNOTSUPP;
	}
	if (rdmsrl_safe(MSR_IA32_FEAT_CTL, &feat) ||
	    !(feat & FEAT_CTL_LOCKED) ||
	    !(feat & FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX) ||
	    !boot_cpu_has(X86_FEATURE_VMX)) {
		pr_err("the firmware disabled VMX (VT-x): enable it in the firmware setup and power-cycle\n");
		return -EOPNOTSUPP;
	}
	return 0;
}

static int check_host(void)
{
	struct kobject *kvm = kset_find_obj(THIS_MODULE->mkobj.kobj.kset, "kvm_intel");

	if (kvm) {
		kobject_put(kvm);
		pr_err("kvm_intel is loaded and owns VMX: stop its VMs and run \"modprobe -r kvm_intel\" first\n");
		return -EBUSY;
	}
	if (__read_cr4() & X86_CR4_VMXE) {
		pr_err("another hypervisor module holds VMX (CR4.VMXE is set): unload it first\n");
		return -EBUSY;
	}
	/* Host entry points are the IDT's, which a host that uses FRED does not have. */
	if (__read_cr4() & CR4_FRED) {
		pr_err("this kernel takes events by FRED, which the module cannot restore: boot with fred=off\n");
		return -EOPNOTSUPP;
	}
	return 0;
}

static int read_basic(void)
{
	struct vlm_vmx_caps *caps = &vlm_vmx_caps;
	u64 basic;

	if (rdmsrl_safe(MSR_IA32_VMX_BASIC, &basic))
		return missing("capability MSRs");
	caps->vmcs_revision = vmx_basic_vmcs_revision_id(basic);
	caps->vmcs_size = vmx_basic_vmcs_size(basic);
	if (caps->vmcs_size > PAGE_SIZE)
		return missing("VMCS regions of at most 4096 bytes");
	/* Bits 53:50: memory type for VMCS accesses; 6 is write-back. */
	if (((basic >> 50) & 15) != 6)
		return missing("write-back VMCS regions");
	/* Bit 55: the TRUE capability MSRs exist. */
	if (!(basic & BIT_ULL(55)))
		return missing("the TRUE capability MSRs");
	return 0;
}

static int read_ept(u64 cap)
{
	struct vlm_vmx_caps *caps = &vlm_vmx_caps;

	if (!(cap & VMX_EPT_PAGE_WALK_4_BIT) || !(cap & VMX_EPTP_WB_BIT))
		return missing("4-level EPT with write-back tables");
	caps->ept_exec_only = cap & VMX_EPT_EXECUTE_ONLY_BIT;
	caps->ept_5level = cap & VMX_EPT_PAGE_WALK_5_BIT;
	caps->ept_2m = cap & VMX_EPT_2MB_PAGE_BIT;
	caps->ept_1g = cap & VMX_EPT_1GB_PAGE_BIT;
	caps->ept_ad = cap & VMX_EPT_AD_BIT;
	if (cap & VMX_EPT_INVEPT_BIT) {
		caps->invept_single = cap & VMX_EPT_EXTENT_CONTEXT_BIT;
		caps->invept_global = cap & VMX_EPT_EXTENT_GLOBAL_BIT;
	}
	if (!caps->invept_single && !caps->invept_global)
		return missing("INVEPT");
	return 0;
}

static int read_ept_vpid(void)
{
	struct vlm_vmx_caps *caps = &vlm_vmx_caps;
	u64 cap;
	int ret;

	/* The register exists with EPT or VPIDs. */
	if (rdmsrl_safe(MSR_IA32_VMX_EPT_VPID_CAP, &cap)) {
		if (caps->ept)
			return missing("EPT");
		cap = 0;
	}
	if (caps->ept) {
		ret = read_ept(cap);
		if (ret)
			return ret;
	}
	cap >>= 32;
	if (cap & VMX_VPID_INVVPID_BIT) {
		caps->invvpid_addr = cap & VMX_VPID_EXTENT_INDIVIDUAL_ADDR_BIT;
		caps->invvpid_single = cap & VMX_VPID_EXTENT_SINGLE_CONTEXT_BIT;
		caps->invvpid_global = cap & VMX_VPID_EXTENT_GLOBAL_CONTEXT_BIT;
	}
	return 0;
}

static int read_controls(void)
{
	struct vlm_vmx_controls *c = &vlm_vmx_controls;
	struct vlm_vmx_caps *caps = &vlm_vmx_caps;
	u32 pin_all, exit_all, entry_all;
	u64 misc;
	int ret;

	ret = choose_controls(&pin_set, &c->pin, &pin_all);
	if (!ret)
		ret = choose_controls(&cpu_based_set, &c->cpu_based, &c->cpu_based_all);
	if (!ret)
		ret = choose_controls(&secondary_set, &c->secondary, &c->secondary_all);
	if (!ret)
		ret = choose_controls(&exit_set, &c->exit_ctls, &exit_all);
	if (!ret)
		ret = choose_controls(&entry_set, &c->entry_ctls, &entry_all);
	if (ret)
		return ret;

	caps->virtual_nmi = true;
	caps->preemption_timer = pin_all & PIN_BASED_VMX_PREEMPTION_TIMER;
	caps->posted_intr = (pin_all & PIN_BASED_POSTED_INTR) &&
			    (exit_all & VM_EXIT_ACK_INTR_ON_EXIT);
	caps->apicv_tpr_shadow = c->cpu_based_all & CPU_BASED_TPR_SHADOW;
	caps->apicv_access = c->secondary_all & SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES;
	caps->apicv_registers = c->secondary_all & SECONDARY_EXEC_APIC_REGISTER_VIRT;
	caps->apicv_vid = c->secondary_all & SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY;
	caps->apicv_x2apic = c->secondary_all & SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE;
	caps->ple = c->secondary & SECONDARY_EXEC_PAUSE_LOOP_EXITING;
	caps->rdtscp = c->secondary & SECONDARY_EXEC_ENABLE_RDTSCP;
	caps->invpcid = c->secondary & VLM_SECONDARY_INVPCID;
	caps->xsaves = c->secondary & VLM_SECONDARY_XSAVES;
	/* It logs what sets a dirty flag of EPT. */
	pml = pml && caps->ept_ad && (c->secondary_all & SECONDARY_EXEC_ENABLE_PML);
	caps->pml = pml;
	caps->tsc_scaling = c->secondary_all & SECONDARY_EXEC_TSC_SCALING;
	caps->mode_based_exec = c->secondary_all & SECONDARY_EXEC_MODE_BASED_EPT_EXEC;
	caps->umip = boot_cpu_has(X86_FEATURE_UMIP);

	/* A VPID that cannot be flushed alone or with all others is of no use. */
	if (!caps->invvpid_single && !caps->invvpid_global)
		c->secondary &= ~SECONDARY_EXEC_ENABLE_VPID;
	caps->vpid = c->secondary & SECONDARY_EXEC_ENABLE_VPID;

	if (rdmsrl_safe(MSR_IA32_VMX_MISC, &misc))
		return missing("capability MSRs");
	caps->preemption_timer_shift = misc & 0x1f;
	if (rdmsrl_safe(MSR_IA32_VMX_CR0_FIXED0, &caps->cr0_fixed0) ||
	    rdmsrl_safe(MSR_IA32_VMX_CR0_FIXED1, &caps->cr0_fixed1) ||
	    rdmsrl_safe(MSR_IA32_VMX_CR4_FIXED0, &caps->cr4_fixed0) ||
	    rdmsrl_safe(MSR_IA32_VMX_CR4_FIXED1, &caps->cr4_fixed1))
		return missing("capability MSRs");
	return 0;
}

/*
 * The host's counters stop in the guest if both controls exist and the MSR does:
 * PEBS in particular must not write records through the guest's page tables.
 */
static void choose_perf_control(void)
{
	struct vlm_vmx_controls *c = &vlm_vmx_controls;
	u64 value;

	vlm_vmx_caps.load_perf_global_ctrl =
		(c->exit_ctls & VM_EXIT_LOAD_IA32_PERF_GLOBAL_CTRL) &&
		(c->entry_ctls & VM_ENTRY_LOAD_IA32_PERF_GLOBAL_CTRL) &&
		boot_cpu_data.cpuid_level >= 10 && (cpuid_eax(10) & 0xff) > 1 &&
		!rdmsrl_safe(MSR_CORE_PERF_GLOBAL_CTRL, &value);
	if (!vlm_vmx_caps.load_perf_global_ctrl) {
		c->exit_ctls &= ~VM_EXIT_LOAD_IA32_PERF_GLOBAL_CTRL;
		c->entry_ctls &= ~VM_ENTRY_LOAD_IA32_PERF_GLOBAL_CTRL;
	}
}

int vlm_vmx_probe(enum vlm_translation translation)
{
	struct vlm_vmx_controls *c = &vlm_vmx_controls;
	u64 value;
	int ret;

	vlm_vmx_caps.ept = translation == VLM_TRANSLATE_EPT;
	ret = check_feature_control();
	if (!ret)
		ret = check_host();
	if (!ret)
		ret = read_basic();
	if (!ret)
		ret = read_ept_vpid();
	if (!ret)
		ret = read_controls();
	if (ret)
		return ret;

	choose_perf_control();
	c->debugctl = !rdmsrl_safe(MSR_IA32_DEBUGCTLMSR, &value);
	c->spec_ctrl = boot_cpu_has(X86_FEATURE_MSR_SPEC_CTRL);
	rdmsrl(MSR_EFER, c->host_efer);
	rdmsrl(MSR_IA32_CR_PAT, c->host_pat);
	return 0;
}
