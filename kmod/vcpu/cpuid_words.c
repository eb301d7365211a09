// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which features a guest may have: those of the host that work in a guest, and emulated
 * ones. SDM volume 2, "CPUID - CPU Identification".
 */

#include <linux/align.h>
#include <linux/bitops.h>
#include <linux/kernel.h>

#include <asm/cpufeature.h>
#include <asm/processor.h>

#include "private.h"

#define BIT_RANGE(hi, lo) GENMASK(hi, lo)

/*
 * struct feature_word - one 32-bit word of features
 * @leaf, @index, @reg: where CPUID has it; @reg is 0 to 3 for EAX to EDX
 * @kernel:	index of the kernel's own word, whose absent bits are absent here too, or -1
 * @mask:	bits that work in a guest when the host has them
 * @emulated:	bits that need no host support
 */
static const struct feature_word {
	u32 leaf;
	u32 index;
	u8 reg;
	s8 kernel;
	u32 mask;
	u32 emulated;
} feature_words[VLM_CPUID_WORDS] = {
	[VLM_CPUID_1_ECX] = {
		.leaf = 1, .reg = 2, .kernel = CPUID_1_ECX,
		/* SSE3 PCLMULQDQ SSSE3 FMA CX16 PCID SSE4.1 SSE4.2 MOVBE POPCNT AES XSAVE AVX F16C RDRAND */
		.mask = BIT(0) | BIT(1) | BIT(9) | BIT(12) | BIT(13) | BIT(17) | BIT(19) |
			BIT(20) | BIT(22) | BIT(23) | BIT(25) | BIT(26) | BIT(28) | BIT(29) |
			BIT(30),
		/* x2APIC, hypervisor */
		.emulated = BIT(21) | BIT(31),
	},
	[VLM_CPUID_1_EDX] = {
		.leaf = 1, .reg = 3, .kernel = CPUID_1_EDX,
		/* FPU to APIC, SEP to PSE-36, CLFSH, MMX to SS */
		.mask = BIT_RANGE(9, 0) | BIT_RANGE(17, 11) | BIT(19) | BIT_RANGE(27, 23),
	},
	[VLM_CPUID_7_EBX] = {
		.leaf = 7, .reg = 1, .kernel = CPUID_7_0_EBX,
		/*
		 * FSGSBASE BMI1 HLE AVX2 FDP_EXCPTN_ONLY SMEP BMI2 ERMS INVPCID RTM ZERO_FCS_FDS
		 * AVX512F AVX512DQ RDSEED ADX SMAP AVX512IFMA CLFLUSHOPT CLWB AVX512PF AVX512ER
		 * AVX512CD SHA AVX512BW AVX512VL
		 */
		.mask = BIT(0) | BIT(3) | BIT(4) | BIT_RANGE(11, 5) | BIT(13) | BIT(16) |
			BIT(17) | BIT_RANGE(21, 18) | BIT(23) | BIT(24) | BIT_RANGE(31, 26),
		/* TSC_ADJUST */
		.emulated = BIT(1),
	},
	[VLM_CPUID_7_ECX] = {
		.leaf = 7, .reg = 2, .kernel = CPUID_7_ECX,
		/*
		 * AVX512VBMI UMIP PKU AVX512VBMI2 GFNI VAES VPCLMULQDQ AVX512VNNI AVX512BITALG
		 * VPOPCNTDQ LA57 RDPID CLDEMOTE MOVDIRI MOVDIR64B
		 */
		.mask = BIT(1) | BIT(2) | BIT(3) | BIT(6) | BIT(8) | BIT(9) | BIT(10) | BIT(11) |
			BIT(12) | BIT(14) | BIT(16) | BIT(22) | BIT(25) | BIT(27) | BIT(28),
	},
	[VLM_CPUID_7_EDX] = {
		.leaf = 7, .reg = 3, .kernel = CPUID_7_EDX,
		/*
		 * AVX512_4VNNIW AVX512_4FMAPS FSRM AVX512_VP2INTERSECT MD_CLEAR SERIALIZE TSXLDTRK
		 * AVX512_FP16 SPEC_CTRL STIBP FLUSH_L1D SSBD
		 */
		.mask = BIT(2) | BIT(3) | BIT(4) | BIT(8) | BIT(10) | BIT(14) | BIT(16) |
			BIT(23) | BIT(26) | BIT(27) | BIT(28) | BIT(31),
		/* ARCH_CAPABILITIES */
		.emulated = BIT(29),
	},
	[VLM_CPUID_D_1_EAX] = {
		.leaf = 0xd, .index = 1, .reg = 0, .kernel = CPUID_D_1_EAX,
		/* XSAVEOPT XSAVEC XGETBV1 XSAVES */
		.mask = BIT_RANGE(3, 0),
	},
	[VLM_CPUID_80000001_ECX] = {
		.leaf = 0x80000001, .reg = 2, .kernel = CPUID_8000_0001_ECX,
		/* LAHF LZCNT PREFETCHW */
		.mask = BIT(0) | BIT(5) | BIT(8),
	},
	[VLM_CPUID_80000001_EDX] = {
		.leaf = 0x80000001, .reg = 3, .kernel = CPUID_8000_0001_EDX,
		/* SYSCALL NX PDPE1GB RDTSCP LM */
		.mask = BIT(11) | BIT(20) | BIT(26) | BIT(27) | BIT(29),
	},
};

static u32 words[VLM_CPUID_WORDS];	/* constant after vlm_cpuid_module_init() */
static u8 maxphyaddr;

u32 vlm_cpuid_cap(enum vlm_cpuid_word word)
{
	return words[word];
}

u8 vlm_host_maxphyaddr(void)
{
	return maxphyaddr;
}

/* Features whose instructions need a VMX control to work in a guest. */
static void drop_without_control(void)
{
	if (!vlm_vmx_caps.rdtscp) {
		words[VLM_CPUID_80000001_EDX] &= ~BIT(27);
		words[VLM_CPUID_7_ECX] &= ~BIT(22);
	}
	if (!vlm_vmx_caps.invpcid)
		words[VLM_CPUID_7_EBX] &= ~BIT(10);
	/* Shadow tables know neither tags nor protection keys, and have four levels. */
	if (!vlm_vmx_caps.ept) {
		words[VLM_CPUID_1_ECX] &= ~BIT(17);
		words[VLM_CPUID_7_ECX] &= ~(BIT(3) | BIT(16));
	}
	if (!vlm_vmx_caps.xsaves)
		words[VLM_CPUID_D_1_EAX] &= ~BIT(3);
	/* Protection keys need the kernel to have them enabled. */
	if (!boot_cpu_has(X86_FEATURE_OSPKE))
		words[VLM_CPUID_7_ECX] &= ~BIT(3);
	if (!vlm_supported_xcr0())
		words[VLM_CPUID_1_ECX] &= ~(BIT(26) | BIT(28));
}

/* EPT tables have four levels: no more than 48 bits can be mapped. */
static u8 host_maxphyaddr(void)
{
	u32 bits = 36;

	if (cpuid_eax(0x80000000) >= 0x80000008)
		bits = cpuid_eax(0x80000008) & 0xff;
	return min(bits, 48u);
}

void vlm_cpuid_module_init(void)
{
	int i;

	for (i = 0; i < VLM_CPUID_WORDS; i++) {
		const struct feature_word *w = &feature_words[i];
		u32 regs[4], max = cpuid_eax(w->leaf & 0x80000000);
		u32 host = 0;

		if (w->leaf <= max) {
			cpuid_count(w->leaf, w->index, &regs[0], &regs[1], &regs[2], &regs[3]);
			host = regs[w->reg];
			if (w->kernel >= 0)
				host &= boot_cpu_data.x86_capability[w->kernel];
		}
		words[i] = (host & w->mask) | w->emulated;
	}
	drop_without_control();
	maxphyaddr = host_maxphyaddr();
}

/* Bytes of the XSAVE area for @xcr0, in the compacted format or the standard one. */
u32 vlm_xstate_bytes(u64 xcr0, bool compacted)
{
	u32 bytes = 512 + 64, i;

	for (i = 2; i < 63; i++) {
		u32 size, offset, flags, edx;

		if (!(xcr0 & BIT_ULL(i)))
			continue;
		cpuid_count(0xd, i, &size, &offset, &flags, &edx);
		if (compacted)
			bytes = ((flags & BIT(1)) ? ALIGN(bytes, 64) : bytes) + size;
		else
			bytes = max(bytes, offset + size);
	}
	return bytes;
}
