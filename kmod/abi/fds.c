// SPDX-License-Identifier: GPL-2.0-only
/*
 * The files of a machine and of its vCPUs. Each open file holds one reference of
 * the VM and, as its operations name the module as owner, one of the module.
 */

#include <linux/anon_inodes.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kvm.h>
#include <linux/mm.h>
#include <linux/module.h>

#include "../vcpu/vcpu.h"
#include "../vm/counters.h"
#include "../vm/vm.h"
#include "call.h"

/* Only the creator's address space may use a machine, and only while it is sane. */
static bool usable(struct vlm_vm *vm)
{
	return vm->mm == current->mm && !READ_ONCE(vm->dead);
}

static long vm_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct vlm_call call = { .vm = file->private_data, .cmd = cmd, .arg = arg };

	if (!usable(call.vm))
		return -EIO;
	return vlm_dispatch(vlm_vm_ioctls, &call);
}

static int vm_release(struct inode *inode, struct file *file)
{
	vlm_vm_put(file->private_data);
	return 0;
}

static const struct file_operations vm_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = vm_ioctl,
	.compat_ioctl = vm_ioctl,
	.release = vm_release,
	.llseek = noop_llseek,
};

static long vcpu_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct vlm_call call = { .vcpu = file->private_data, .cmd = cmd, .arg = arg };

	call.vm = vlm_vcpu_vm(call.vcpu);
	if (!usable(call.vm))
		return -EIO;
	return vlm_dispatch(vlm_vcpu_ioctls, &call);
}

static vm_fault_t vcpu_fault(struct vm_fault *vmf)
{
	struct vlm_vcpu *vcpu = vmf->vma->vm_file->private_data;
	struct page *page = vlm_vcpu_mmap_page(vcpu, vmf->pgoff);

	if (!page)
		return VM_FAULT_SIGBUS;
	get_page(page);
	vmf->page = page;
	return 0;
}

static const struct vm_operations_struct vcpu_vm_ops = {
	.fault = vcpu_fault,
};

static int vcpu_mmap(struct file *file, struct vm_area_struct *vma)
{
	/* A private copy of a ring would never be collected. */
	if (vlm_vcpu_mmap_has_ring(file->private_data, vma->vm_pgoff, vma_pages(vma)) &&
	    ((vma->vm_flags & VM_EXEC) || !(vma->vm_flags & VM_SHARED)))
		return -EINVAL;
	vma->vm_ops = &vcpu_vm_ops;
	return 0;
}

static int vcpu_release(struct inode *inode, struct file *file)
{
	struct vlm_vcpu *vcpu = file->private_data;

	/* NULL when KVM_CREATE_VCPU failed halfway. */
	if (vcpu)
		vlm_vm_put(vlm_vcpu_vm(vcpu));
	return 0;
}

static const struct file_operations vcpu_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = vcpu_ioctl,
	.compat_ioctl = vcpu_ioctl,
	.mmap = vcpu_mmap,
	.release = vcpu_release,
	.llseek = noop_llseek,
};

long vlm_open_vm(unsigned long type)
{
	struct vlm_vm *vm;
	struct file *file;
	int fd;

	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	vm = vlm_vm_create(type);
	if (IS_ERR(vm)) {
		put_unused_fd(fd);
		return PTR_ERR(vm);
	}
	file = anon_inode_getfile("kvm-vm", &vm_fops, vm, O_RDWR);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		vlm_vm_put(vm);
		return PTR_ERR(file);
	}
	fd_install(fd, file);
	return fd;
}

long vlm_open_vcpu(struct vlm_vm *vm, unsigned long id)
{
	struct vlm_vcpu *vcpu;
	struct file *file;
	char name[32];
	int fd;

	if (id >= VLM_MAX_VCPU_IDS)
		return -EINVAL;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	/* The file comes first: a vCPU cannot be taken back once other threads see it. */
	snprintf(name, sizeof(name), "kvm-vcpu:%lu", id);
	file = anon_inode_getfile(name, &vcpu_fops, NULL, O_RDWR);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		return PTR_ERR(file);
	}
	vcpu = vlm_vcpu_create(vm, id);
	if (IS_ERR(vcpu)) {
		fput(file);
		put_unused_fd(fd);
		return PTR_ERR(vcpu);
	}
	vlm_count(VLM_COUNT_VCPUS, 1);
	vlm_vm_get(vm);
	file->private_data = vcpu;
	fd_install(fd, file);
	return fd;
}
