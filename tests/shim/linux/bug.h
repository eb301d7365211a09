/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stand-in for the kernel's <linux/bug.h>: a WARN fails the test. */
#ifndef SHIM_LINUX_BUG_H
#define SHIM_LINUX_BUG_H

#include <shim.h>

#define WARN_ON_ONCE(cond)                                                           \
	({                                                                           \
		bool warn_ = !!(cond);                                               \
		if (warn_)                                                           \
			shim_violation("WARN", __FILE__ ": " #cond);                 \
		warn_;                                                               \
	})
#define WARN_ON(cond) WARN_ON_ONCE(cond)

#endif
