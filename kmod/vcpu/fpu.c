// SPDX-License-Identifier: GPL-2.0-only
/*
 * Extended state. The kernel switches the FPU registers with the thread, as for any other
 * user of the FPU; what it does not switch (XCR0, IA32_XSS, PKRU) is exchanged with IRQs
 * off around each entry.
 */

#include <linux/kernel.h>
#include <linux/string.h>

#include <asm/fpu/api.h>
#include <asm/fpu/xcr.h>
#include <asm/fpu/xstate.h>
#include <asm/msr.h>
#include <asm/pkru.h>
#include <asm/processor-flags.h>

#include "private.h"

/* State components that a guest may enable. MPX is dead, AMX needs IA32_XFD. */
#define SUPPORTED_XCR0 (XFEATURE_MASK_FP | XFEATURE_MASK_SSE | XFEATURE_MASK_YMM | \
			XFEATURE_MASK_AVX512 | XFEATURE_MASK_PKRU)

static u64 host_xcr0;	/* constant after vlm_fpu_module_init(): the kernel never changes it */
static u64 host_xss;

void vlm_fpu_module_init(void)
{
	if (boot_cpu_has(X86_FEATURE_XSAVE))
		host_xcr0 = xgetbv(XCR_XFEATURE_ENABLED_MASK);
	if (boot_cpu_has(X86_FEATURE_XSAVES))
		rdmsrl(MSR_IA32_XSS, host_xss);
}

u64 vlm_supported_xcr0(void)
{
	u64 xcr0 = host_xcr0 & SUPPORTED_XCR0;

	if (!boot_cpu_has(X86_FEATURE_OSPKE))
		xcr0 &= ~(u64)XFEATURE_MASK_PKRU;
	return xcr0;
}

int vlm_fpu_init(struct vlm_vcpu *vcpu)
{
	return fpu_alloc_guest_fpstate(&vcpu->fpu.guest) ? 0 : -ENOMEM;
}

void vlm_fpu_destroy(struct vlm_vcpu *vcpu)
{
	fpu_free_guest_fpstate(&vcpu->fpu.guest);
}

void vlm_fpu_reset(struct vlm_vcpu *vcpu, bool init)
{
	/* INIT leaves extended state alone but for components that are not supported. */
	if (init)
		return;
	vcpu->fpu.xcr0 = XFEATURE_MASK_FP;
	vcpu->fpu.pkru = 0;
}

void vlm_fpu_load(struct vlm_vcpu *vcpu)
{
	vlm_vcpu_count(vcpu, VLM_VCPU_FPU_RELOAD);
	fpu_swap_kvm_fpstate(&vcpu->fpu.guest, true);
	vcpu->fpu.loaded = true;
}

void vlm_fpu_put(struct vlm_vcpu *vcpu)
{
	fpu_swap_kvm_fpstate(&vcpu->fpu.guest, false);
	vcpu->fpu.loaded = false;
}

/* Only a kernel that uses protection keys itself lets a guest have them. */
static bool uses_pkru(struct vlm_vcpu *vcpu)
{
	return boot_cpu_has(X86_FEATURE_OSPKE) &&
	       ((vcpu->fpu.xcr0 & XFEATURE_MASK_PKRU) ||
		(vlm_vmx_cr4_exiting(&vcpu->vmx) & X86_CR4_PKE));
}

/* A guest without CR4.OSXSAVE cannot tell what XCR0 holds. It changes by XSETBV only, which exits. */
static bool swaps_xcr0(struct vlm_vcpu *vcpu)
{
	return host_xcr0 && vcpu->fpu.xcr0 != host_xcr0 &&
	       (vlm_vmx_cr4_exiting(&vcpu->vmx) & X86_CR4_OSXSAVE);
}

void vlm_fpu_enter(struct vlm_vcpu *vcpu)
{
	if (test_thread_flag(TIF_NEED_FPU_LOAD))
		switch_fpu_return();
	vcpu->fpu.xcr0_swapped = swaps_xcr0(vcpu);
	if (vcpu->fpu.xcr0_swapped)
		xsetbv(XCR_XFEATURE_ENABLED_MASK, vcpu->fpu.xcr0);
	if (host_xss)
		wrmsrl(MSR_IA32_XSS, 0);
	if (uses_pkru(vcpu)) {
		vcpu->fpu.host_pkru = read_pkru();
		if (vcpu->fpu.host_pkru != vcpu->fpu.pkru)
			wrpkru(vcpu->fpu.pkru);
	}
}

void vlm_fpu_leave(struct vlm_vcpu *vcpu)
{
	/* CR4.PKE exits when it changes, so the answer is the one of the entry. */
	if (uses_pkru(vcpu)) {
		vcpu->fpu.pkru = rdpkru();
		if (vcpu->fpu.pkru != vcpu->fpu.host_pkru)
			wrpkru(vcpu->fpu.host_pkru);
	}
	if (host_xss)
		wrmsrl(MSR_IA32_XSS, host_xss);
	if (vcpu->fpu.xcr0_swapped)
		xsetbv(XCR_XFEATURE_ENABLED_MASK, host_xcr0);
}

/* SDM "XSETBV - Set Extended Control Register". */
int vlm_set_xcr(struct vlm_vcpu *vcpu, u32 index, u64 value)
{
	u64 avx512 = value & XFEATURE_MASK_AVX512;

	if (index || !(value & XFEATURE_MASK_FP) || (value & ~vcpu->cpuid.xcr0))
		return -EINVAL;
	if ((value & XFEATURE_MASK_YMM) && !(value & XFEATURE_MASK_SSE))
		return -EINVAL;
	if (avx512 && (avx512 != XFEATURE_MASK_AVX512 || !(value & XFEATURE_MASK_YMM)))
		return -EINVAL;
	vcpu->fpu.xcr0 = value;
	vlm_cpuid_update(vcpu);
	return 0;
}

int vlm_vcpu_get_fpu(struct vlm_vcpu *vcpu, struct kvm_fpu *fpu)
{
	const struct fxregs_state *fx = &vcpu->fpu.guest.fpstate->regs.fxsave;

	memset(fpu, 0, sizeof(*fpu));
	memcpy(fpu->fpr, fx->st_space, sizeof(fpu->fpr));
	fpu->fcw = fx->cwd;
	fpu->fsw = fx->swd;
	fpu->ftwx = fx->twd;
	fpu->last_opcode = fx->fop;
	fpu->last_ip = fx->rip;
	fpu->last_dp = fx->rdp;
	memcpy(fpu->xmm, fx->xmm_space, sizeof(fpu->xmm));
	fpu->mxcsr = fx->mxcsr;
	return 0;
}

/* MXCSR stays: KVM has always ignored it here, and callers leave it zero. */
int vlm_vcpu_set_fpu(struct vlm_vcpu *vcpu, struct kvm_fpu *fpu)
{
	struct fxregs_state *fx = &vcpu->fpu.guest.fpstate->regs.fxsave;

	memcpy(fx->st_space, fpu->fpr, sizeof(fpu->fpr));
	fx->cwd = fpu->fcw;
	fx->swd = fpu->fsw;
	fx->twd = fpu->ftwx;
	fx->fop = fpu->last_opcode;
	fx->rip = fpu->last_ip;
	fx->rdp = fpu->last_dp;
	memcpy(fx->xmm_space, fpu->xmm, sizeof(fpu->xmm));
	/* Components that are marked as in their initial state would not be loaded. */
	if (boot_cpu_has(X86_FEATURE_XSAVE))
		vcpu->fpu.guest.fpstate->regs.xsave.header.xfeatures |= XFEATURE_MASK_FPSSE;
	return 0;
}

int vlm_vcpu_get_xsave(struct vlm_vcpu *vcpu, struct kvm_xsave *xsave)
{
	fpu_copy_guest_fpstate_to_uabi(&vcpu->fpu.guest, xsave, sizeof(xsave->region),
				       vlm_supported_xcr0() | XFEATURE_MASK_FPSSE,
				       vcpu->fpu.pkru);
	return 0;
}

int vlm_vcpu_set_xsave(struct vlm_vcpu *vcpu, struct kvm_xsave *xsave)
{
	return fpu_copy_uabi_to_guest_fpstate(&vcpu->fpu.guest, xsave, vlm_supported_xcr0(),
					      &vcpu->fpu.pkru);
}

int vlm_vcpu_get_xcrs(struct vlm_vcpu *vcpu, struct kvm_xcrs *xcrs)
{
	memset(xcrs, 0, sizeof(*xcrs));
	if (!host_xcr0)
		return 0;
	xcrs->nr_xcrs = 1;
	xcrs->xcrs[0].xcr = XCR_XFEATURE_ENABLED_MASK;
	xcrs->xcrs[0].value = vcpu->fpu.xcr0;
	return 0;
}

int vlm_vcpu_set_xcrs(struct vlm_vcpu *vcpu, struct kvm_xcrs *xcrs)
{
	u32 i;

	if (!host_xcr0 || xcrs->nr_xcrs > KVM_MAX_XCRS || xcrs->flags)
		return -EINVAL;
	for (i = 0; i < xcrs->nr_xcrs; i++) {
		if (xcrs->xcrs[i].xcr == XCR_XFEATURE_ENABLED_MASK)
			return vlm_set_xcr(vcpu, XCR_XFEATURE_ENABLED_MASK, xcrs->xcrs[i].value);
	}
	return 0;
}

/* Have the guest's registers in the CPU; preemption is off until fpregs_unlock(). */
static void lock_registers(void)
{
	fpregs_lock();
	if (test_thread_flag(TIF_NEED_FPU_LOAD))
		switch_fpu_return();
}

#define FOR_EACH_XMM(X) \
	X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) \
	X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)

void vlm_fpu_xmm_read(struct vlm_vcpu *vcpu, u32 nr, void *buf)
{
	u8 (*out)[16] = buf;

	lock_registers();
	switch (nr) {
#define X(n) case n: asm volatile("movups %%xmm" #n ", %0" : "=m"(*out)); break;
	FOR_EACH_XMM(X)
#undef X
	}
	fpregs_unlock();
}

void vlm_fpu_xmm_write(struct vlm_vcpu *vcpu, u32 nr, const void *buf)
{
	const u8 (*in)[16] = buf;

	lock_registers();
	switch (nr) {
#define X(n) case n: asm volatile("movups %0, %%xmm" #n : : "m"(*in)); break;
	FOR_EACH_XMM(X)
#undef X
	}
	fpregs_unlock();
}
