/* SPDX-License-Identifier: GPL-2.0-only */
/* Private to vm/: memory that vlm_vm_request_all() needs. */
#ifndef VLM_VM_REQUESTS_H
#define VLM_VM_REQUESTS_H

int vlm_requests_init(void);	/* 0 or -ENOMEM */
void vlm_requests_exit(void);

#endif
