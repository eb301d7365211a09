/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Everything the register logic of irqchip/ (*_regs.c, lapic_timer.c, lapic_state.c)
 * needs from outside: a few kernel headers and the state layouts of the KVM ABI.
 * User-space tests build the same files against stand-in headers.
 *
 * The register logic takes the time as an argument (nanoseconds of the host's
 * monotonic clock) and never sleeps, locks or allocates.
 */
#ifndef VLM_IRQCHIP_PLATFORM_H
#define VLM_IRQCHIP_PLATFORM_H

#include <linux/types.h>
#include <linux/bitops.h>
#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/kvm.h>
#include <linux/string.h>

#define VLM_NSEC_PER_SEC	1000000000ull

/*
 * Shortest period of a timer that re-arms itself, in nanoseconds: bounds the
 * interrupt load that a guest can put on the host without exiting.
 */
#define VLM_TIMER_MIN_PERIOD_NS	200000ull

#endif
