/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The differences between the kernels that the module supports, one named inline
 * each. The only place that asks for the kernel's version.
 */
#ifndef VLM_COMPAT_COMPAT_H
#define VLM_COMPAT_COMPAT_H

#include <linux/version.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 2, 0)
#error "vellum cannot be built for Linux 7.2 and later: they export the symbols that a VMX hypervisor needs to modules named kvm only; use Debian's 6.1 or 6.12."
#elif LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "vellum needs Linux 6.1 or 6.12: older kernels lack interfaces that it uses."
#elif !defined(CONFIG_PREEMPT_NOTIFIERS) || !defined(CONFIG_USER_RETURN_NOTIFIER) || \
	!defined(CONFIG_MMU_NOTIFIER)
#error "vellum needs a kernel configured with CONFIG_KVM=m: it selects the preempt, user-return and mmu notifiers that a hypervisor hooks into."
#endif

#include <linux/context_tracking.h>
#include <linux/cpuhotplug.h>
#include <linux/eventfd.h>
#include <linux/hrtimer.h>
#include <linux/instruction_pointer.h>
#include <linux/instrumentation.h>
#include <linux/irqflags.h>
#include <linux/jiffies.h>
#include <linux/memcontrol.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/shrinker.h>
#include <linux/smp.h>
#include <linux/syscore_ops.h>
#include <linux/task_work.h>
#include <linux/vtime.h>

#include <asm/mce.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
#include <trace/events/ipi.h>	/* smp_send_reschedule() traces since 6.4 */
#endif

/* eventfd_signal() lost its count, which was always 1 here, in 6.8. */
static inline void vlm_compat_eventfd_signal(struct eventfd_ctx *ctx)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
	eventfd_signal(ctx);
#else
	eventfd_signal(ctx, 1);
#endif
}

/* hrtimer_init() plus an assignment became hrtimer_setup() in 6.13. */
static inline void vlm_compat_hrtimer_setup(struct hrtimer *timer,
					    enum hrtimer_restart (*fn)(struct hrtimer *),
					    clockid_t clock, enum hrtimer_mode mode)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
	hrtimer_setup(timer, fn, clock, mode);
#else
	hrtimer_init(timer, clock, mode);
	timer->function = fn;
#endif
}

/* Interrupt @cpu; since 6.4 the kernel's macro of this name needs a trace header. */
static inline void vlm_compat_send_reschedule(int cpu)
{
	smp_send_reschedule(cpu);
}

/*
 * The hotplug state that turns VMX on and off. A dying CPU still runs tasks until
 * CPUHP_AP_SCHED_WAIT_EMPTY, so it must lie below that one, which the dynamic states do
 * not. KVM's own does, and having it keeps kvm_intel away. Before 6.3 it runs with IRQs off
 * in the section whose callbacks must not fail.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
#define VLM_COMPAT_CPUHP_STATE		CPUHP_AP_KVM_ONLINE
#define VLM_COMPAT_CPUHP_MAY_FAIL	true
#else
#define VLM_COMPAT_CPUHP_STATE		CPUHP_AP_KVM_STARTING
#define VLM_COMPAT_CPUHP_MAY_FAIL	false
#endif

/*
 * register_syscore_ops() became register_syscore(), with an argument to each callback,
 * in the middle of the 6.12 series: Kbuild looks into the header and tells.
 */
#ifdef VLM_HAVE_REGISTER_SYSCORE
#define VLM_COMPAT_SYSCORE(name, suspend_fn, resume_fn, shutdown_fn)		\
static int name##_suspend(void *unused) { return suspend_fn(); }		\
static void name##_resume(void *unused) { resume_fn(); }			\
static void name##_shutdown(void *unused) { shutdown_fn(); }			\
static const struct syscore_ops name##_ops = {					\
	.suspend = name##_suspend,						\
	.resume = name##_resume,						\
	.shutdown = name##_shutdown,						\
};										\
static struct syscore name = { .ops = &name##_ops }
#define vlm_compat_syscore_register(s)		register_syscore(s)
#define vlm_compat_syscore_unregister(s)	unregister_syscore(s)
#else
#define VLM_COMPAT_SYSCORE(name, suspend_fn, resume_fn, shutdown_fn)		\
static struct syscore_ops name = {						\
	.suspend = suspend_fn,							\
	.resume = resume_fn,							\
	.shutdown = shutdown_fn,						\
}
#define vlm_compat_syscore_register(s)		register_syscore_ops(s)
#define vlm_compat_syscore_unregister(s)	unregister_syscore_ops(s)
#endif

/* __assign_str() takes the source from __string() itself since 6.10. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 10, 0)
#define vlm_compat_assign_str(dst, src)	__assign_str(dst)
#else
#define vlm_compat_assign_str(dst, src)	__assign_str(dst, src)
#endif

/*
 * Shrinkers are allocated by the kernel since 6.7, embedded by their owner
 * before. Return NULL when out of memory; the owner's pointer comes back from
 * vlm_compat_shrinker_private().
 */
struct vlm_compat_shrinker {
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	struct shrinker *shrinker;
#else
	struct shrinker shrinker;
#endif
};

static inline int
vlm_compat_shrinker_register(struct vlm_compat_shrinker *s, const char *name,
			     unsigned long (*count)(struct shrinker *, struct shrink_control *),
			     unsigned long (*scan)(struct shrinker *, struct shrink_control *),
			     int seeks)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	s->shrinker = shrinker_alloc(0, "%s", name);
	if (!s->shrinker)
		return -ENOMEM;
	s->shrinker->count_objects = count;
	s->shrinker->scan_objects = scan;
	s->shrinker->seeks = seeks;
	shrinker_register(s->shrinker);
	return 0;
#else
	s->shrinker.count_objects = count;
	s->shrinker.scan_objects = scan;
	s->shrinker.seeks = seeks;
	return register_shrinker(&s->shrinker, "%s", name);
#endif
}

static inline void vlm_compat_shrinker_unregister(struct vlm_compat_shrinker *s)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	shrinker_free(s->shrinker);
#else
	unregister_shrinker(&s->shrinker);
#endif
}

/* rcu_virt_note_context_switch() took the CPU number before 6.8. */
static __always_inline void vlm_compat_rcu_note_guest(void)
{
	instrumentation_begin();
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
	rcu_virt_note_context_switch();
#else
	rcu_virt_note_context_switch(smp_processor_id());
#endif
	instrumentation_end();
}

/*
 * Start and stop charging time to the guest. IRQs off. Between the VM exit and
 * the stop, open a window with IRQs on, so that the tick that caused the exit is
 * charged to the guest.
 */
static __always_inline void vlm_compat_guest_timing_enter(void)
{
	vtime_account_guest_enter();
}

static __always_inline void vlm_compat_guest_timing_exit(void)
{
	vtime_account_guest_exit();
}

/*
 * Tell lockdep, context tracking and RCU that the guest runs now, and that it
 * stopped. Between the two nothing may be instrumented. Called by vmx/ alone.
 * context_tracking_guest_exit() returns a value since 6.8 only.
 *
 * Where the tick does not stop, it ends the guest's turn, and one report per tick is
 * all that RCU needs of a CPU that never leaves KVM_RUN: @noted is the last one's time.
 */
static __always_inline void vlm_compat_guest_state_enter(unsigned long *noted)
{
	instrumentation_begin();
	trace_hardirqs_on_prepare();
	lockdep_hardirqs_on_prepare();
	instrumentation_end();
	if (!context_tracking_guest_enter() && *noted != jiffies) {
		*noted = jiffies;
		vlm_compat_rcu_note_guest();
	}
	lockdep_hardirqs_on(_RET_IP_);
}

static __always_inline void vlm_compat_guest_state_exit(void)
{
	lockdep_hardirqs_off(_RET_IP_);
	context_tracking_guest_exit();
	instrumentation_begin();
	trace_hardirqs_off_finish();
	instrumentation_end();
}

/*
 * Work that only the return to user space can do. xfer_to_guest_mode_handle_work()
 * dereferences KVM's own vCPU on these kernels, so it cannot be called. A pending
 * TIF_NOTIFY_RESUME alone does not count: restartable sequences set it at each
 * preemption, and theirs is a matter of user space only, which sees the update
 * whenever it is returned to.
 */
static inline bool vlm_compat_needs_user_return(void)
{
	if (!test_thread_flag(TIF_NOTIFY_RESUME))
		return false;
	if (task_work_pending(current))
		return true;
#ifdef CONFIG_MEMCG
	if (READ_ONCE(current->memcg_nr_pages_over_high))
		return true;
#endif
	return false;
}

/* True if vlm_compat_guest_work() has something to do. IRQs off: the last check before entry. */
static inline bool vlm_compat_guest_work_pending(void)
{
	if (likely(!(read_thread_flags() & (_TIF_NEED_RESCHED | _TIF_SIGPENDING |
					    _TIF_NOTIFY_SIGNAL | _TIF_NOTIFY_RESUME))))
		return false;
	return need_resched() || signal_pending(current) || vlm_compat_needs_user_return();
}

/*
 * Do what is pending before the guest is entered. IRQs on, preemption on. Return
 * 0 to go on, or what KVM_RUN must return at once, with KVM_EXIT_INTR in the run
 * page: -EINTR for a signal, -ERESTARTNOHAND to have KVM_RUN restarted behind the
 * caller's back once user-return work is done (a signal handler that gets in
 * between turns it into -EINTR). The latter is never seen by user space because
 * TIF_SIGPENDING is set.
 */
static inline int vlm_compat_guest_work(void)
{
	if (need_resched())
		schedule();
	if (signal_pending(current))
		return -EINTR;
	if (vlm_compat_needs_user_return()) {
		set_thread_flag(TIF_SIGPENDING);
		return -ERESTARTNOHAND;
	}
	return 0;
}

/*
 * Hand a machine check that hit the guest to the kernel, as if user space had run,
 * so that a recoverable error kills the task at most. Kernels without CONFIG_X86_MCE
 * (Debian's cloud flavour) have no handler to call but the one in the IDT.
 */
static inline void vlm_compat_guest_machine_check(void)
{
#ifdef CONFIG_X86_MCE
	struct pt_regs regs = {
		.cs = 3,
		.flags = X86_EFLAGS_IF,
	};

	do_machine_check(&regs);
#else
	asm volatile("int $18");
#endif
}

#endif
