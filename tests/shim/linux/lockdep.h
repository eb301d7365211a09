/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stand-in for the kernel's <linux/lockdep.h>: the asserts are live. */
#ifndef SHIM_LINUX_LOCKDEP_H
#define SHIM_LINUX_LOCKDEP_H

#include <shim.h>

#define lockdep_assert_held(lock) shim_assert_held((lock), SHIM_HELD_ANY, __func__)
#define lockdep_assert_held_read(lock) shim_assert_held((lock), SHIM_HELD_READ, __func__)
#define lockdep_assert_held_write(lock) shim_assert_held((lock), SHIM_HELD_WRITE, __func__)

#endif
