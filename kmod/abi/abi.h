/* SPDX-License-Identifier: GPL-2.0-only */
/* The front door: /dev/vellum and the ioctls of <linux/kvm.h> behind it. */
#ifndef VLM_ABI_ABI_H
#define VLM_ABI_ABI_H

/*
 * Register the device; last step of loading, for from here on user space gets in.
 * Return 0 or the errno of misc_register().
 */
int vlm_abi_init(void);
void vlm_abi_exit(void);

#endif
