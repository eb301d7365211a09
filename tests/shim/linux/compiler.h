/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stand-in for the kernel's <linux/compiler.h>. Marked accesses are relaxed atomics for TSan. */
#ifndef SHIM_LINUX_COMPILER_H
#define SHIM_LINUX_COMPILER_H

#include <shim.h>

#define READ_ONCE(x) (shim_point(SHIM_READ, &(x)), __atomic_load_n(&(x), __ATOMIC_RELAXED))
#define WRITE_ONCE(x, val)                                                           \
	(shim_point(SHIM_WRITE, &(x)), __atomic_store_n(&(x), (val), __ATOMIC_RELAXED))

#ifndef likely
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#endif

#ifndef __always_inline
#define __always_inline inline __attribute__((__always_inline__))
#endif
#ifndef noinline
#define noinline __attribute__((__noinline__))
#endif
#ifndef __cplusplus
#define fallthrough __attribute__((__fallthrough__))
#endif
#ifndef __must_check
#define __must_check __attribute__((__warn_unused_result__))
#endif

#endif
