// SPDX-License-Identifier: GPL-2.0-only
/* What an administrator can see: /sys/kernel/debug/vellum and a folder per machine. */

#include <linux/atomic.h>
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/seq_file.h>

#include "counters.h"
#include "ept_file.h"
#include "requests.h"
#include "vm.h"

static struct dentry *root;

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

/* Of all machines since the module was loaded, and what README.md of mmu/ (G7) promises. */
static int max_hold_show(struct seq_file *m, void *unused)
{
	seq_printf(m, "entries %llu\n", vlm_stat_module_max(VLM_STAT_MAX_HOLD));
	seq_printf(m, "budget %d\n", VLM_HOLD_BUDGET);
	seq_printf(m, "read_cycles %llu\n", vlm_stat_module_max(VLM_STAT_MAX_TICKS_READ));
	seq_printf(m, "write_cycles %llu\n", vlm_stat_module_max(VLM_STAT_MAX_TICKS_WRITE));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(max_hold);

static void show_values(struct seq_file *m, const struct vlm_stat_desc *desc, const u64 *values)
{
	u32 i;

	seq_puts(m, desc->name);
	for (i = 0; i < desc->nr; i++)
		seq_printf(m, " %llu", values[i]);
	seq_putc(m, '\n');
}

static void show_machine(struct vlm_vm *vm, struct seq_file *m)
{
	struct vlm_stat_block block;
	u32 i;

	vlm_mmu_stat_block(&vm->mmu.stats, &block);
	for (i = 0; i < block.nr_descs; i++)
		show_values(m, &block.descs[i], block.words + block.descs[i].word);
}

/* The sum over all vCPUs: none of their counters is a maximum. */
static void show_vcpus(struct vlm_vm *vm, struct seq_file *m, u32 nr_block)
{
	struct vlm_vcpu_head *v = vlm_vm_vcpu(vm, 0);
	const struct vlm_stat_block *block;
	u64 sum[VLM_HALT_WAIT_BUCKETS];
	u32 i, n, word;

	if (!v)
		return;
	block = &v->stats[nr_block];
	for (i = 0; i < block->nr_descs; i++) {
		const struct vlm_stat_desc *desc = &block->descs[i];

		if (WARN_ON_ONCE(desc->nr > ARRAY_SIZE(sum)))
			return;
		memset(sum, 0, sizeof(sum));
		vlm_vm_for_each_vcpu(vm, v, n) {
			for (word = 0; word < desc->nr; word++)
				sum[word] += READ_ONCE(v->stats[nr_block].words[desc->word + word]);
		}
		show_values(m, desc, sum);
	}
}

static void show_all(struct vlm_vm *vm, struct seq_file *m)
{
	u32 i;

	seq_printf(m, "users %u\n", refcount_read(&vm->users));
	seq_printf(m, "vcpus %u\n", smp_load_acquire(&vm->nr_vcpus));
	seq_printf(m, "dead %d\n", READ_ONCE(vm->dead));
	show_machine(vm, m);
	for (i = 0; i < VLM_VCPU_STAT_BLOCKS; i++)
		show_vcpus(vm, m, i);
}

static int stats_show(struct seq_file *m, void *unused)
{
	show_all(m->private, m);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(stats);

/*
 * Updates of the slots until the mmio generation wraps. Writing a smaller number lets generations
 * pass, so that a test need not make a quarter of a million updates.
 */
static int updates_left_get(void *data, u64 *val)
{
	struct vlm_vm *vm = data;

	mutex_lock(&vm->slots_lock);
	*val = vlm_memslots_updates_left(&vm->mmu);
	mutex_unlock(&vm->slots_lock);
	return 0;
}

static int updates_left_set(void *data, u64 val)
{
	struct vlm_vm *vm = data;
	int err;

	mutex_lock(&vm->slots_lock);
	err = vlm_memslots_skip_generations(&vm->mmu, val);
	mutex_unlock(&vm->slots_lock);
	return err;
}
DEFINE_DEBUGFS_ATTRIBUTE(updates_left_fops, updates_left_get, updates_left_set, "%llu\n");

void vlm_vm_debugfs_add(struct vlm_vm *vm)
{
	char name[32];

	snprintf(name, sizeof(name), "%d-%u", task_tgid_nr(current), vm->serial);
	vm->debugfs = debugfs_create_dir(name, root);
	debugfs_create_file("stats", 0444, vm->debugfs, vm, &stats_fops);
	debugfs_create_file("mmio_updates_left", 0600, vm->debugfs, vm, &updates_left_fops);
	debugfs_create_file("ept", 0400, vm->debugfs, vm, &vlm_ept_fops);
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
	debugfs_create_file("max_hold", 0444, root, NULL, &max_hold_fops);
	return 0;
}

void vlm_vm_module_exit(void)
{
	debugfs_remove(root);
	vlm_requests_exit();
}
