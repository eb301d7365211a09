// SPDX-License-Identifier: GPL-2.0-only
/*
 * debugfs: the EPT of a machine, one line per run of frames that are mapped alike. A read
 * continues where the last one stopped; nothing is held in between, so what comes and goes
 * meanwhile may be missed.
 */

#include <linux/err.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>

#include "../mmu/dump.h"
#include "ept_file.h"
#include "vm.h"

/**
 * struct ept_seq - one open file
 * @vm:		its owner closes the file to readers before it goes
 * @nr:		number of the line at @here
 * @here:	where it begins
 * @after:	where the next one does
 * @run:	the line
 */
struct ept_seq {
	struct vlm_vm *vm;
	loff_t nr;
	struct vlm_dump_cursor here;
	struct vlm_dump_cursor after;
	struct vlm_dump_run run;
};

/* The line at @here. A line is bounded work; in between there is room for others. */
static struct vlm_dump_run *fetch(struct ept_seq *seq)
{
	cond_resched();
	if (fatal_signal_pending(current))
		return ERR_PTR(-EINTR);
	seq->after = seq->here;
	return vlm_dump_next(&seq->vm->mmu, &seq->after, &seq->run) ? &seq->run : NULL;
}

static void *ept_next(struct seq_file *m, void *v, loff_t *pos)
{
	struct ept_seq *seq = m->private;

	seq->nr = ++*pos;
	seq->here = seq->after;
	return fetch(seq);
}

static void *ept_start(struct seq_file *m, loff_t *pos)
{
	struct ept_seq *seq = m->private;
	struct vlm_dump_run *run;

	/* The line that did not fit last time, or, after a seek, from the beginning. */
	if (*pos == seq->nr)
		return fetch(seq);
	memset(&seq->here, 0, sizeof(seq->here));
	for (seq->nr = 0; seq->nr < *pos; seq->nr++) {
		run = fetch(seq);
		if (IS_ERR_OR_NULL(run))
			return run;
		seq->here = seq->after;
	}
	return fetch(seq);
}

static void ept_stop(struct seq_file *m, void *v)
{
}

static char flag(u32 attrs, u32 bit, char c)
{
	return attrs & bit ? c : '-';
}

static int ept_show(struct seq_file *m, void *v)
{
	static const char *const sizes[] = { "?", "4K", "2M", "1G" };
	const struct vlm_dump_run *run = v;

	seq_printf(m, "root %u as %u levels %u %s 0x%llx-0x%llx ", run->root, run->as_id,
		   run->role_level, run->invalid ? "invalid" : "valid", run->start, run->end - 1);
	if (run->attrs & VLM_DUMP_MMIO) {
		seq_printf(m, "mmio generation %llu\n", run->generation);
		return 0;
	}
	seq_printf(m, "%s %c%c%c %c%c %s pfn 0x%llx %s\n",
		   run->level < ARRAY_SIZE(sizes) ? sizes[run->level] : "?",
		   flag(run->attrs, VLM_DUMP_R, 'r'), flag(run->attrs, VLM_DUMP_W, 'w'),
		   flag(run->attrs, VLM_DUMP_X, 'x'), flag(run->attrs, VLM_DUMP_ACCESSED, 'a'),
		   flag(run->attrs, VLM_DUMP_DIRTY, 'd'),
		   run->attrs & VLM_DUMP_DEVICE ? "uc" : "wb", run->pfn,
		   run->contiguous ? "contiguous" : "scattered");
	return 0;
}

static const struct seq_operations ept_ops = {
	.start = ept_start,
	.next = ept_next,
	.stop = ept_stop,
	.show = ept_show,
};

static int ept_open(struct inode *inode, struct file *file)
{
	struct ept_seq *seq = __seq_open_private(file, &ept_ops, sizeof(*seq));

	if (!seq)
		return -ENOMEM;
	seq->vm = inode->i_private;
	return 0;
}

const struct file_operations vlm_ept_fops = {
	.owner = THIS_MODULE,
	.open = ept_open,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = seq_release_private,
};
