/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stand-in for the kernel's <linux/bitmap.h>. */
#ifndef SHIM_LINUX_BITMAP_H
#define SHIM_LINUX_BITMAP_H

#include <linux/bitops.h>

static inline void bitmap_set(unsigned long *map, unsigned int start, unsigned int nbits)
{
	unsigned int i;

	for (i = start; i < start + nbits; i++)
		__set_bit(i, map);
}

#endif
