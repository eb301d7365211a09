// SPDX-License-Identifier: GPL-2.0-only
/*
 * The device node. Mode and group are left to the udev rule next to this file, as
 * for KVM's node: 0660 root:kvm, and 0600 root where no udev runs.
 */

#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>

#include "abi.h"
#include "call.h"

static long system_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct vlm_call call = { .cmd = cmd, .arg = arg };

	return vlm_dispatch(vlm_system_ioctls, &call);
}

static const struct file_operations device_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = system_ioctl,
	.compat_ioctl = system_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "vellum",
	.fops = &device_fops,
};

int vlm_abi_init(void)
{
	return misc_register(&device);
}

void vlm_abi_exit(void)
{
	misc_deregister(&device);
}
