// SPDX-License-Identifier: GPL-2.0-only
/* What an administrator can see: /sys/kernel/debug/vellum and a folder per machine. */

#include <linux/atomic.h>
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/seq_file.h>

#include "counters.h"
#include "requests.h"
#include "vm.h"

static struct dentry *root;
static atomic_t next_folder = ATOMIC_INIT(0);

atomic_long_t vlm_counters[VLM_NR_COUNTERS];

static const char *const counter_names[VLM_NR_COUNTERS] = {
	[VLM_COUNT_VMS] = "vms",
	[VLM_COUNT_VCPUS] = "vcpus",
	[VLM_COUNT_TABLES] = "tables",
	[VLM_COUNT_HOST_PAGES] = "host_pages",
};

static int counters_show(struct seq_file *m, void *unused)
{
	unsigned int i;

	for (i = 0; i < VLM_NR_COUNTERS; i++)
		seq_printf(m, "%s %ld\n", counter_names[i], atomic_long_read(&vlm_counters[i]));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(counters);

void vlm_vm_show_stats(struct vlm_vm *vm, struct seq_file *m)
{
	unsigned int i;

	seq_printf(m, "users %u\n", refcount_read(&vm->users));
	seq_printf(m, "vcpus %u\n", smp_load_acquire(&vm->nr_vcpus));
	seq_printf(m, "dead %d\n", READ_ONCE(vm->dead));
	for (i = 0; i < VLM_NR_MMU_STATS; i++)
		seq_printf(m, "%s %llu\n", vlm_mmu_stat_name(i), vlm_stat_read(&vm->mmu.stats, i));
}

static int stats_show(struct seq_file *m, void *unused)
{
	vlm_vm_show_stats(m->private, m);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(stats);

void vlm_vm_debugfs_add(struct vlm_vm *vm)
{
	char name[32];

	snprintf(name, sizeof(name), "%d-%u", task_tgid_nr(current),
		 (unsigned int)atomic_inc_return(&next_folder));
	vm->debugfs = debugfs_create_dir(name, root);
	debugfs_create_file("stats", 0444, vm->debugfs, vm, &stats_fops);
}

void vlm_vm_debugfs_remove(struct vlm_vm *vm)
{
	/* Waits for readers of the files inside. */
	debugfs_remove(vm->debugfs);
}

int vlm_vm_module_init(void)
{
	int err = vlm_requests_init();

	if (err)
		return err;
	root = debugfs_create_dir("vellum", NULL);
	debugfs_create_file("counters", 0444, root, NULL, &counters_fops);
	return 0;
}

void vlm_vm_module_exit(void)
{
	debugfs_remove(root);
	vlm_requests_exit();
}
