/* SPDX-License-Identifier: GPL-2.0-only */
/* Private to vm/: the dump of a machine's EPT, for debugfs. The inode's private data is the VM. */
#ifndef VLM_VM_EPT_FILE_H
#define VLM_VM_EPT_FILE_H

#include <linux/fs.h>

extern const struct file_operations vlm_ept_fops;

#endif
