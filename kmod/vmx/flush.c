// SPDX-License-Identifier: GPL-2.0-only
/*
 * VPIDs and the invalidation of cached translations. SDM "VMX Support for Address
 * Translation", "Invalidating Cached Translation Information".
 *
 * Combined and guest-physical translations are tagged by the EPT pointer's table
 * address; with EPT in use INVVPID drops the combined ones of a VPID, whatever
 * their EPT. All act on this CPU only.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bitmap.h>
#include <linux/printk.h>
#include <linux/spinlock.h>

#include "cpu.h"

static DEFINE_SPINLOCK(vpid_lock);	/* guards vpid_map */
static DECLARE_BITMAP(vpid_map, VMX_NR_VPIDS);

/* 0, the host's own tag, means none. */
u16 vlm_vpid_alloc(void)
{
	unsigned long vpid;

	if (!vlm_vmx_caps.vpid)
		return 0;
	spin_lock(&vpid_lock);
	vpid = find_next_zero_bit(vpid_map, VMX_NR_VPIDS, 1);
	if (vpid < VMX_NR_VPIDS)
		__set_bit(vpid, vpid_map);
	else
		vpid = 0;
	spin_unlock(&vpid_lock);
	return vpid;
}

void vlm_vpid_free(u16 vpid)
{
	if (!vpid)
		return;
	spin_lock(&vpid_lock);
	__clear_bit(vpid, vpid_map);
	spin_unlock(&vpid_lock);
}

static void check(int ret, const char *what)
{
	if (unlikely(ret) && !READ_ONCE(vlm_vmx_vanishing))
		pr_err_ratelimited("%s failed (%d)\n", what, ret);
}

void vlm_vmx_flush_ept(struct vlm_vmx *vmx, u64 eptp)
{
	if (vlm_vmx_caps.invept_single)
		check(vlm_insn_invept(VMX_EPT_EXTENT_CONTEXT, eptp, 0), "INVEPT");
	else
		check(vlm_insn_invept(VMX_EPT_EXTENT_GLOBAL, 0, 0), "INVEPT");
}

void vlm_vmx_flush_vpid(struct vlm_vmx *vmx)
{
	/* Without a VPID each VM entry flushes. */
	if (!vmx->vpid)
		return;
	if (vlm_vmx_caps.invvpid_single)
		check(vlm_insn_invvpid(VMX_VPID_EXTENT_SINGLE_CONTEXT, vmx->vpid, 0), "INVVPID");
	else
		check(vlm_insn_invvpid(VMX_VPID_EXTENT_ALL_CONTEXT, 0, 0), "INVVPID");
}

/*
 * One address of this vCPU. INVVPID of an individual address faults on a
 * non-canonical one, so those and CPUs without that type drop all.
 */
void vlm_vmx_flush_gva(struct vlm_vmx *vmx, u64 gva)
{
	if (vmx->vpid && vlm_vmx_caps.invvpid_addr &&
	    !vlm_insn_invvpid(VMX_VPID_EXTENT_INDIVIDUAL_ADDR, vmx->vpid, gva))
		return;
	vlm_vmx_flush_vpid(vmx);
}

/* After VMXON: what an earlier owner's tags left behind. */
void vlm_flush_all_on_cpu(void)
{
	if (vlm_vmx_caps.invept_global)
		check(vlm_insn_invept(VMX_EPT_EXTENT_GLOBAL, 0, 0), "INVEPT");
	if (vlm_vmx_caps.invvpid_global)
		check(vlm_insn_invvpid(VMX_VPID_EXTENT_ALL_CONTEXT, 0, 0), "INVVPID");
}

/* Before the first entry after the vCPU came to this CPU. */
void vlm_flush_pending(struct vlm_vmx *vmx)
{
	if (!vmx->flush)
		return;
	vmx->flush = false;
	if (vmx->eptp)
		vlm_vmx_flush_ept(vmx, vmx->eptp);
	vlm_vmx_flush_vpid(vmx);
}

void vlm_vmx_set_eptp(struct vlm_vmx *vmx, u64 eptp)
{
	vmx->eptp = eptp;
	vlm_vmcs_write64(EPT_POINTER, eptp);
}
