/* SPDX-License-Identifier: GPL-2.0-only */
/* Private to vm/: the end of the ioeventfds of a machine. */
#ifndef VLM_VM_IOEVENTFD_H
#define VLM_VM_IOEVENTFD_H

struct vlm_vm;

void vlm_ioeventfd_destroy(struct vlm_vm *vm);

#endif
