// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_GET_STATS_FD: a file that describes itself. A header, the name of the object, a
 * descriptor for each counter, the values; see struct kvm_stats_header in <linux/kvm.h>.
 * Each open file holds one reference of the VM, and through it its vCPUs.
 */

#include <linux/anon_inodes.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kvm.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "../vcpu/vcpu.h"
#include "../vm/vm.h"
#include "call.h"

/* KVM's own limit on a name with its terminating zero. */
#define NAME_BYTES	48
/* Some kernels declare the name with its length, others without. */
#define DESC_FIXED	offsetof(struct kvm_stats_desc, name)
#define DESC_BYTES	(DESC_FIXED + NAME_BYTES)

/**
 * struct stats_file - one open file; constant
 * @vm:		one reference
 * @blocks:	where the values are; one after the other in the file
 * @nr_blocks:	how many
 * @head_bytes:	length of @head
 * @bytes:	length of the file
 * @head:	all that comes before the values
 */
struct stats_file {
	struct vlm_vm *vm;
	struct vlm_stat_block blocks[VLM_VCPU_STAT_BLOCKS];
	u32 nr_blocks;
	u32 head_bytes;
	u32 bytes;
	u8 head[] __aligned(8);
};

static const u32 kinds[] = {
	[VLM_STAT_CUMULATIVE] = KVM_STATS_TYPE_CUMULATIVE,
	[VLM_STAT_INSTANT] = KVM_STATS_TYPE_INSTANT,
	[VLM_STAT_PEAK] = KVM_STATS_TYPE_PEAK,
	[VLM_STAT_LOG_HIST] = KVM_STATS_TYPE_LOG_HIST,
};

static const struct {
	u32 flags;
	s16 exponent;
} units[] = {
	[VLM_UNIT_NONE] = { KVM_STATS_UNIT_NONE | KVM_STATS_BASE_POW10, 0 },
	[VLM_UNIT_NS] = { KVM_STATS_UNIT_SECONDS | KVM_STATS_BASE_POW10, -9 },
	[VLM_UNIT_TICKS] = { KVM_STATS_UNIT_CYCLES | KVM_STATS_BASE_POW10, 0 },
	[VLM_UNIT_BOOL] = { KVM_STATS_UNIT_BOOLEAN | KVM_STATS_BASE_POW10, 0 },
};

static void describe(void *to, const struct vlm_stat_desc *from, u32 first_word)
{
	struct kvm_stats_desc *desc = to;

	desc->flags = kinds[from->kind] | units[from->unit].flags;
	desc->exponent = units[from->unit].exponent;
	desc->size = from->nr;
	desc->offset = (first_word + from->word) * sizeof(u64);
	desc->bucket_size = 0;
	strscpy(to + DESC_FIXED, from->name, NAME_BYTES);
}

static void fill_head(struct stats_file *sf, const char *id, u32 nr_descs)
{
	struct kvm_stats_header *header = (struct kvm_stats_header *)sf->head;
	u32 i, n, word = 0;
	void *at;

	header->flags = 0;
	header->name_size = NAME_BYTES;
	header->num_desc = nr_descs;
	header->id_offset = sizeof(*header);
	header->desc_offset = header->id_offset + NAME_BYTES;
	header->data_offset = header->desc_offset + nr_descs * DESC_BYTES;
	strscpy(sf->head + header->id_offset, id, NAME_BYTES);

	at = sf->head + header->desc_offset;
	for (i = 0; i < sf->nr_blocks; i++) {
		const struct vlm_stat_block *block = &sf->blocks[i];

		for (n = 0; n < block->nr_descs; n++, at += DESC_BYTES)
			describe(at, &block->descs[n], word);
		word += vlm_stat_block_words(block);
	}
}

/* Takes a reference of @vm. */
static struct stats_file *stats_file_create(struct vlm_vm *vm, const char *id,
					    const struct vlm_stat_block *blocks, u32 nr_blocks)
{
	u32 i, descs = 0, words = 0, head;
	struct stats_file *sf;

	for (i = 0; i < nr_blocks; i++) {
		descs += blocks[i].nr_descs;
		words += vlm_stat_block_words(&blocks[i]);
	}
	head = sizeof(struct kvm_stats_header) + NAME_BYTES + descs * DESC_BYTES;
	sf = kvzalloc(struct_size(sf, head, head), GFP_KERNEL_ACCOUNT);
	if (!sf)
		return NULL;
	for (i = 0; i < nr_blocks; i++)
		sf->blocks[i] = blocks[i];
	sf->nr_blocks = nr_blocks;
	sf->head_bytes = head;
	sf->bytes = head + words * sizeof(u64);
	fill_head(sf, id, descs);
	vlm_vm_get(vm);
	sf->vm = vm;
	return sf;
}

static u64 value(const struct stats_file *sf, u32 word)
{
	const struct vlm_stat_block *block = sf->blocks;

	/* The caller is inside the file, so there is such a block. */
	while (word >= vlm_stat_block_words(block))
		word -= vlm_stat_block_words(block++);
	return READ_ONCE(block->words[word]);
}

/* Up to @len bytes of the values from byte @pos of them on; returns bytes left over by a fault. */
static size_t copy_values(const struct stats_file *sf, char __user *to, u32 pos, size_t len)
{
	while (len) {
		u64 word = value(sf, pos / sizeof(u64));
		u32 skip = pos % sizeof(u64);
		size_t n = min(len, sizeof(word) - skip);

		if (copy_to_user(to, (u8 *)&word + skip, n))
			break;
		to += n;
		pos += n;
		len -= n;
	}
	return len;
}

static ssize_t stats_read(struct file *file, char __user *to, size_t len, loff_t *pos)
{
	const struct stats_file *sf = file->private_data;
	size_t head, left;

	if (*pos < 0)
		return -EINVAL;
	if (*pos >= sf->bytes)
		return 0;
	len = min_t(size_t, len, sf->bytes - *pos);
	head = *pos < sf->head_bytes ? min_t(size_t, len, sf->head_bytes - *pos) : 0;
	if (head && copy_to_user(to, sf->head + *pos, head))
		return -EFAULT;
	left = copy_values(sf, to + head, *pos + head - sf->head_bytes, len - head);
	if (left)
		return -EFAULT;
	*pos += len;
	return len;
}

static loff_t stats_llseek(struct file *file, loff_t offset, int whence)
{
	const struct stats_file *sf = file->private_data;

	return fixed_size_llseek(file, offset, whence, sf->bytes);
}

static int stats_release(struct inode *inode, struct file *file)
{
	struct stats_file *sf = file->private_data;

	vlm_vm_put(sf->vm);
	kvfree(sf);
	return 0;
}

static const struct file_operations stats_fops = {
	.owner = THIS_MODULE,
	.read = stats_read,
	.llseek = stats_llseek,
	.release = stats_release,
};

static long open_stats(struct vlm_vm *vm, const char *name, const char *id,
		       const struct vlm_stat_block *blocks, u32 nr_blocks)
{
	struct stats_file *sf;
	struct file *file;
	int fd;

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	sf = stats_file_create(vm, id, blocks, nr_blocks);
	if (!sf) {
		put_unused_fd(fd);
		return -ENOMEM;
	}
	file = anon_inode_getfile(name, &stats_fops, sf, O_RDONLY);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		vlm_vm_put(vm);
		kvfree(sf);
		return PTR_ERR(file);
	}
	/* Files of this kind do not get these by themselves. */
	file->f_mode |= FMODE_LSEEK | FMODE_PREAD;
	fd_install(fd, file);
	return fd;
}

long vlm_open_vm_stats(struct vlm_vm *vm)
{
	struct vlm_stat_block block;
	char id[NAME_BYTES];

	vlm_mmu_stat_block(&vm->mmu.stats, &block);
	snprintf(id, sizeof(id), "kvm-%d", task_pid_nr(current));
	return open_stats(vm, "kvm-vm-stats", id, &block, 1);
}

long vlm_open_vcpu_stats(struct vlm_vcpu *vcpu)
{
	struct vlm_stat_block blocks[VLM_VCPU_STAT_BLOCKS];
	struct vlm_vm *vm = vlm_vcpu_vm(vcpu);
	char id[NAME_BYTES], name[32];
	u32 nr = vlm_vcpu_id(vcpu);

	vlm_vcpu_stat_blocks(vcpu, blocks);
	snprintf(id, sizeof(id), "kvm-%d/vcpu-%u", task_pid_nr(current), nr);
	snprintf(name, sizeof(name), "kvm-vcpu-stats:%u", nr);
	return open_stats(vm, name, id, blocks, ARRAY_SIZE(blocks));
}
