// SPDX-License-Identifier: GPL-2.0-only
/* Requests to all vCPUs of a machine, with or without waiting for the guest to be left. */

#include <linux/cpumask.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/rcuwait.h>
#include <linux/smp.h>

#include "requests.h"
#include "vm.h"

/* Scratch of vlm_vm_request_all(), used in task context with preemption off. */
static DEFINE_PER_CPU(cpumask_var_t, kick_mask);

/* Follows the thread that loaded it: written again whenever that thread changes CPUs. */
static DEFINE_PER_CPU(struct vlm_vcpu_head *, loaded_vcpu);

void vlm_vcpu_set_loaded(struct vlm_vcpu_head *v)
{
	this_cpu_write(loaded_vcpu, v);
}

struct vlm_vcpu_head *vlm_vcpu_loaded(void)
{
	return this_cpu_read(loaded_vcpu);
}

int vlm_requests_init(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		if (!zalloc_cpumask_var_node(&per_cpu(kick_mask, cpu), GFP_KERNEL,
					     cpu_to_node(cpu))) {
			vlm_requests_exit();
			return -ENOMEM;
		}
	}
	return 0;
}

void vlm_requests_exit(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		free_cpumask_var(per_cpu(kick_mask, cpu));
#ifdef CONFIG_CPUMASK_OFFSTACK
		per_cpu(kick_mask, cpu) = NULL;
#endif
	}
}

/* The interrupt itself makes the CPU leave the guest; there is nothing more to do. */
static void leave_guest(void *unused)
{
}

/*
 * Decide whether the CPU that runs @v needs an interrupt. The request bit was
 * set before, with a full barrier; the vCPU thread sets its mode first and then
 * looks at the request bits. So either the thread sees the request, or its mode
 * reads as in the guest here.
 *
 * A waiter needs the interrupt also when somebody else's is on its way already
 * (EXITING), and when the vCPU walks page tables without a lock: that walk runs
 * with IRQs off, so the interrupt is answered only when the walk is over.
 */
static bool needs_interrupt(struct vlm_vcpu_head *v, bool wait)
{
	int mode = cmpxchg(&v->mode, VLM_IN_GUEST, VLM_EXITING);

	if (wait)
		return mode != VLM_OUTSIDE_GUEST;
	return mode == VLM_IN_GUEST;
}

/* Interrupt context must not use the scratch mask that it may have interrupted the use of. */
static bool request_each(struct vlm_vm *vm, enum vlm_request req)
{
	struct vlm_vcpu_head *v;
	u32 i;

	vlm_vm_for_each_vcpu(vm, v, i) {
		vlm_request_set(v, req);
		vlm_vcpu_kick(v);
	}
	return false;
}

bool vlm_vm_request_all(struct vlm_vm *vm, enum vlm_request req, unsigned int flags)
{
	bool wait = flags & VLM_REQUEST_WAIT;
	struct vlm_vcpu_head *v;
	struct cpumask *mask;
	bool sent;
	int me;
	u32 i;

	if (in_interrupt() || irqs_disabled()) {
		WARN_ON_ONCE(wait);
		return request_each(vm, req);
	}

	me = get_cpu();
	mask = this_cpu_cpumask_var_ptr(kick_mask);
	cpumask_clear(mask);
	vlm_vm_for_each_vcpu(vm, v, i) {
		int cpu;

		vlm_request_set(v, req);
		if (!(flags & VLM_REQUEST_NO_WAKE))
			rcuwait_wake_up(&v->wait);
		if (!needs_interrupt(v, wait))
			continue;
		/*
		 * Read the CPU after the mode: a vCPU in the guest cannot
		 * migrate before it left, and once it left it sees the request.
		 */
		cpu = READ_ONCE(v->cpu);
		if (cpu >= 0 && cpu != me)
			__cpumask_set_cpu(cpu, mask);
	}
	sent = !cpumask_empty(mask);
	if (sent)
		smp_call_function_many(mask, leave_guest, NULL, wait);
	put_cpu();
	return sent;
}
