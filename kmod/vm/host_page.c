// SPDX-License-Identifier: GPL-2.0-only
/* Host memory behind the guest's: the half of mmu/platform.h that deals with the mm. */
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/swap.h>

#include "counters.h"
#include "compat/mm.h"
#include "vm.h"

static struct mm_struct *mm_of(struct vlm_mmu *mmu)
{
	return container_of(mmu, struct vlm_vm, mmu)->mm;
}

/* RAM is mapped cached; a frame without a struct page, or kept from the allocator, is not RAM. */
static bool is_device(unsigned long pfn)
{
	return !pfn_valid(pfn) || (PageReserved(pfn_to_page(pfn)) && !is_zero_pfn(pfn));
}

/* Frames that the kernel has no reference counts for: the notifier alone guards them. */
static int get_pfnmap(struct mm_struct *mm, unsigned long hva, bool write,
		      struct vlm_host_page *out)
{
	struct vm_area_struct *vma;
	unsigned long pfn = 0;
	bool writable = false;
	int err = -EFAULT;

	mmap_read_lock(mm);
	vma = vma_lookup(mm, hva);
	if (!vma || !(vma->vm_flags & (VM_IO | VM_PFNMAP)) ||
	    !(vma->vm_flags & (write ? VM_WRITE : VM_READ)))
		goto unlock;

	err = vlm_compat_follow_pfn(vma, hva, &pfn, &writable);
	if (err || (write && !writable)) {
		bool unlocked = false;

		err = fixup_user_fault(mm, hva, write ? FAULT_FLAG_WRITE : 0, &unlocked);
		if (!err && unlocked)
			err = -EAGAIN;
		if (err)
			goto unlock;
		err = vlm_compat_follow_pfn(vma, hva, &pfn, &writable);
		if (err)
			err = -EAGAIN;
		else if (write && !writable)
			err = -EFAULT;
	}
unlock:
	mmap_read_unlock(mm);
	if (err)
		return err;
	*out = (struct vlm_host_page) {
		.pfn = pfn,
		.writable = writable,
		.device = is_device(pfn),
	};
	return 0;
}

static int report(struct vlm_host_page *out, struct page *page, bool writable)
{
	vlm_count(VLM_COUNT_HOST_PAGES, 1);
	*out = (struct vlm_host_page) {
		.pfn = page_to_pfn(page),
		.writable = writable,
		.ref = page,
	};
	return 0;
}

int vlm_platform_host_get(struct vlm_mmu *mmu, unsigned long hva, bool write,
			  struct vlm_host_page *out)
{
	unsigned int flags = FOLL_HWPOISON | VLM_FOLL_INTERRUPTIBLE;
	struct page *page;
	long n;

	/* Already there and writable, whatever is asked for: no lock, no fault. */
	if (get_user_page_fast_only(hva, FOLL_WRITE, &page))
		return report(out, page, true);

	n = get_user_pages_unlocked(hva, 1, &page, flags | (write ? FOLL_WRITE : 0));
	if (n == 1) {
		struct page *again;

		if (write)
			return report(out, page, true);
		/* The read may have brought it in writable. */
		if (get_user_page_fast_only(hva, FOLL_WRITE, &again)) {
			put_page(page);
			return report(out, again, true);
		}
		return report(out, page, false);
	}
	switch (n) {
	case -EHWPOISON:
	case -EINTR:
	case -ENOMEM:
	case -EAGAIN:
		return n;
	case -ERESTARTSYS:
		return -EINTR;
	}
	return get_pfnmap(mm_of(mmu), hva, write, out);
}

void vlm_platform_host_put(struct vlm_host_page *host, bool dirty)
{
	struct page *page = host->ref;

	if (!page)
		return;
	if (!PageReserved(page)) {
		if (dirty)
			SetPageDirty(page);
		mark_page_accessed(page);
	}
	put_page(page);
	vlm_count(VLM_COUNT_HOST_PAGES, -1);
}

/*
 * Page tables of the host are not freed while interrupts are off: whoever frees them sends
 * an IPI first, or waits for RCU, for which IRQs off count as a read section.
 */
int vlm_platform_host_level(struct vlm_mmu *mmu, unsigned long hva)
{
	unsigned long flags;
	int level = 1;
	pgd_t pgd;
	p4d_t p4d;
	pud_t pud;
	pmd_t pmd;

	local_irq_save(flags);
	pgd = READ_ONCE(*pgd_offset(mm_of(mmu), hva));
	if (pgd_none(pgd))
		goto out;
	p4d = READ_ONCE(*p4d_offset(&pgd, hva));
	if (p4d_none(p4d) || !p4d_present(p4d))
		goto out;
	pud = READ_ONCE(*pud_offset(&p4d, hva));
	if (pud_none(pud) || !pud_present(pud))
		goto out;
	if (pud_leaf(pud)) {
		level = 3;
		goto out;
	}
	pmd = READ_ONCE(*pmd_offset(&pud, hva));
	if (!pmd_none(pmd) && pmd_present(pmd) && pmd_leaf(pmd))
		level = 2;
out:
	local_irq_restore(flags);
	return level;
}
