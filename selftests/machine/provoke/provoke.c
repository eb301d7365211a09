// SPDX-License-Identifier: GPL-2.0-only
/*
 * Misbehaves once, at load, as the parameter "how" says; the load itself
 * then succeeds. Serves the tests of the machine: nobody else loads it.
 */
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>

static char *how = "warn";
module_param(how, charp, 0444);
MODULE_PARM_DESC(how, "warn, oops, bug, panic, soft_lockup, rcu_stall, hung_task or atomic_sleep");

static int sleep_for_good(void *unused)
{
	set_current_state(TASK_UNINTERRUPTIBLE);
	schedule();
	return 0;
}

static void spin_for_good(void)
{
	while (READ_ONCE(how))
		cpu_relax();
}

static int __init provoke_init(void)
{
	static int *volatile nowhere;

	if (!strcmp(how, "warn")) {
		WARN(1, "provoked\n");
	} else if (!strcmp(how, "oops")) {
		*nowhere = 1;
	} else if (!strcmp(how, "bug")) {
		BUG();
	} else if (!strcmp(how, "panic")) {
		panic("provoked");
	} else if (!strcmp(how, "soft_lockup")) {
		preempt_disable();
		spin_for_good();
		preempt_enable();
	} else if (!strcmp(how, "rcu_stall")) {
		rcu_read_lock();
		spin_for_good();
		rcu_read_unlock();
	} else if (!strcmp(how, "hung_task")) {
		kthread_run(sleep_for_good, NULL, "provoke");
	} else if (!strcmp(how, "atomic_sleep")) {
		preempt_disable();
		msleep(20);
		preempt_enable();
	} else {
		return -EINVAL;
	}
	return 0;
}

static void __exit provoke_exit(void)
{
}

module_init(provoke_init);
module_exit(provoke_exit);
MODULE_DESCRIPTION("Misbehaves on request");
MODULE_LICENSE("GPL");
