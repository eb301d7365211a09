// SPDX-License-Identifier: GPL-2.0-only
/* The kernel's side of mmu/platform.h, apart from host_page.c. */
#include <linux/ktime.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/uaccess.h>
#include <linux/vmstat.h>

#include <asm/msr.h>

#include "counters.h"
#include "memory.h"
#include "slots.h"
#include "vm.h"

static struct vlm_vm *vm_of(struct vlm_mmu *mmu)
{
	return container_of(mmu, struct vlm_vm, mmu);
}

u64 *vlm_platform_table_alloc(struct vlm_mmu *mmu)
{
	struct page *page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);

	if (!page)
		return NULL;
	mod_lruvec_page_state(page, NR_SECONDARY_PAGETABLE, 1);
	vlm_count(VLM_COUNT_TABLES, 1);
	return page_address(page);
}

void vlm_platform_table_free(u64 *table)
{
	struct page *page = virt_to_page(table);

	set_page_private(page, 0);
	mod_lruvec_page_state(page, NR_SECONDARY_PAGETABLE, -1);
	__free_page(page);
	vlm_count(VLM_COUNT_TABLES, -1);
}

u64 vlm_platform_table_pa(const u64 *table)
{
	return __pa(table);
}

u64 *vlm_platform_table_va(u64 pa)
{
	return __va(pa);
}

void vlm_platform_table_set_owner(u64 *table, void *owner)
{
	set_page_private(virt_to_page(table), (unsigned long)owner);
}

void *vlm_platform_table_owner(const u64 *table)
{
	return (void *)page_private(virt_to_page(table));
}

bool vlm_platform_flush_tlbs(struct vlm_mmu *mmu)
{
	return vlm_vm_request_all(vm_of(mmu), VLM_REQ_TLB_FLUSH, VLM_REQUEST_WAIT | VLM_REQUEST_NO_WAKE);
}

void vlm_platform_reload_all(struct vlm_mmu *mmu)
{
	vlm_vm_request_all(vm_of(mmu), VLM_REQ_MMU_RELOAD, VLM_REQUEST_WAIT | VLM_REQUEST_NO_WAKE);
}

void vlm_platform_drain_logs(struct vlm_mmu *mmu)
{
	vlm_vm_request_all(vm_of(mmu), VLM_REQ_KICK, VLM_REQUEST_WAIT | VLM_REQUEST_NO_WAKE);
}

bool vlm_platform_reclaim_later(struct vlm_mmu *mmu)
{
	return vlm_reclaimer_wake(vm_of(mmu));
}

struct vlm_dirty_ring *vlm_platform_dirty_ring(struct vlm_mmu *mmu)
{
	struct vlm_vcpu_head *v = vlm_vcpu_loaded();

	return v && v->vm == vm_of(mmu) ? &v->ring : NULL;
}

void vlm_platform_kill(struct vlm_mmu *mmu, const char *why)
{
	WRITE_ONCE(mmu->dead, true);
	vlm_vm_kill(vm_of(mmu), why);
}

bool vlm_platform_break_wanted(struct vlm_mmu *mmu)
{
	/*
	 * Not rwlock_needbreak(): on a kernel with voluntary preemption it denies that anybody waits.
	 */
	return need_resched() || rwlock_is_contended(&mmu->lock);
}

void vlm_platform_resched(void)
{
	cond_resched();
}

u64 vlm_platform_now_ns(void)
{
	return ktime_get_ns();
}

u64 vlm_platform_ticks(void)
{
	return rdtsc();
}

void vlm_platform_slots_sync(struct vlm_mmu *mmu)
{
	synchronize_srcu_expedited(&vm_of(mmu)->srcu);
}

int vlm_platform_guest_read(struct vlm_mmu *mmu, unsigned int as_id, u64 gpa, void *data,
			    unsigned int len)
{
	struct vlm_memslot *slot = vlm_slot_at(mmu, as_id, gpa);
	const void __user *src;

	if (!slot)
		return -EFAULT;
	src = (const void __user *)vlm_slot_hva(slot, gpa);
	/* Entries of page tables, mostly: read them in one go. */
	if (len == 8)
		return get_user(*(u64 *)data, (const u64 __user *)src);
	if (len == 4)
		return get_user(*(u32 *)data, (const u32 __user *)src);
	return copy_from_user(data, src, len) ? -EFAULT : 0;
}

int vlm_platform_guest_peek(struct vlm_mmu *mmu, unsigned int as_id, u64 gpa, void *data,
			    unsigned int len)
{
	struct vlm_memslot *slot = vlm_slot_at(mmu, as_id, gpa);
	const void __user *src;
	unsigned long left;

	if (!slot)
		return -EFAULT;
	src = (const void __user *)vlm_slot_hva(slot, gpa);
	if (!access_ok(src, len))
		return -EFAULT;
	pagefault_disable();
	/* Single entries in one go, as the guest writes them. */
	if (len == 8)
		left = __get_user(*(u64 *)data, (const u64 __user *)src);
	else if (len == 4)
		left = __get_user(*(u32 *)data, (const u32 __user *)src);
	else
		left = __copy_from_user_inatomic(data, src, len);
	pagefault_enable();
	return left ? -EFAULT : 0;
}

int vlm_platform_guest_cmpxchg(struct vlm_mmu *mmu, unsigned int as_id, u64 gpa, u64 *old,
			       u64 val, unsigned int size)
{
	struct vlm_memslot *slot = vlm_slot_at(mmu, as_id, gpa);
	unsigned long hva;
	int res;

	if (!slot || (slot->flags & VLM_MEMSLOT_READONLY))
		return -EFAULT;
	hva = vlm_slot_hva(slot, gpa);
	if (!access_ok((void __user *)hva, size))
		return -EFAULT;

	if (size == 8) {
		res = __try_cmpxchg_user((u64 __user *)hva, old, val, fault8);
	} else {
		u32 old32 = *old;

		res = __try_cmpxchg_user((u32 __user *)hva, &old32, (u32)val, fault4);
		*old = old32;
	}
	if (res < 0)
		return -EFAULT;
	vlm_memslot_mark_dirty(mmu, slot, gpa >> PAGE_SHIFT);
	return res ? -EAGAIN : 0;
}
