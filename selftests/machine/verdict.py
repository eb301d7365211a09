# SPDX-License-Identifier: GPL-2.0-or-later
"""Exit statuses of the machine, and the judgement of a kernel log."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum


class Status(IntEnum):
    """Statuses that are the machine's own; a command's status stays below 200."""

    SETUP = 200       # the machine could not be put together
    BOOT = 201        # the kernel did not reach PID 1
    INSMOD = 202      # a module was refused
    TIMEOUT = 203     # --timeout elapsed
    STUCK = 204       # the emulator itself stopped making progress
    DIED = 205        # the machine went off without a verdict
    RMMOD = 206       # the module did not unload after the command
    PANIC = 210
    OOPS = 211        # oops, BUG(), general protection fault in the kernel
    WARN = 212        # WARN(), WARN_ONCE() and the like
    LOCKDEP = 213     # locking, RCU usage or sleep-in-atomic report
    LOCKUP = 214      # soft or hard lockup, hung task, RCU stall
    SANITIZER = 215   # KASAN, KCSAN, UBSAN, kmemleak, object debugging, list corruption


MEANING = {
    Status.SETUP: "the machine could not be put together",
    Status.BOOT: "the kernel did not reach user space",
    Status.INSMOD: "a module was refused",
    Status.TIMEOUT: "the time limit passed",
    Status.STUCK: "the emulator stopped making progress",
    Status.DIED: "the machine went off without a verdict",
    Status.RMMOD: "the module did not unload after the command",
    Status.PANIC: "kernel panic",
    Status.OOPS: "kernel oops or BUG",
    Status.WARN: "kernel WARN",
    Status.LOCKDEP: "lockdep or atomic-context report",
    Status.LOCKUP: "soft or hard lockup, hung task or RCU stall",
    Status.SANITIZER: "sanitizer or memory-debugging report",
}

# In order of judgement: the first rule with a match names the status. A panic that an oops or a lockup caused
# counts as its cause, so the plain panic comes last but for WARN.
RULES: tuple[tuple[Status, str], ...] = (
    (Status.SANITIZER, r"BUG: K[AC]SAN:|BUG: KFENCE:|UBSAN: |kmemleak: \d+ new suspected|ODEBUG: |"
                       r"list_(add|del) corruption|BUG: Bad page|BUG [\w-]+ \(.*\): "),
    (Status.LOCKUP, r"watchdog: BUG: soft lockup|Watchdog detected hard LOCKUP|blocked for more than \d+ seconds|"
                    r"rcu.*detected.*stall|rcu: INFO: .*stall|BUG: workqueue lockup|self-detected stall"),
    (Status.LOCKDEP, r"possible circular locking|possible recursive locking|inconsistent lock state|"
                     r"possible irq lock inversion|suspicious RCU usage|bad unlock balance|held lock freed|"
                     r"BUG: sleeping function called|BUG: scheduling while atomic|INFO: trying to register non-static key|"
                     r"lock held when returning to user space|BUG: Invalid wait context|irqs? .*-safe -> .*-unsafe lock"),
    (Status.OOPS, r"BUG: unable to handle|BUG: kernel NULL pointer|kernel BUG at|Oops: |general protection fault|"
                  r"invalid opcode: 0000|double fault: 0000|stack segment: 0000|traps: PANIC"),
    (Status.PANIC, r"Kernel panic - not syncing"),
    (Status.WARN, r"WARNING: CPU: \d+ PID: |WARNING: .* at .*:\d+ |refcount_t: |\bWARN_ON"),
)

# A fault that a user program took: logged by the kernel, not the kernel's own.
USER_FAULT = re.compile(r"traps: \S+\[\d+\] ")


@dataclass(frozen=True)
class Judgement:
    """The status that the kernel log calls for, and the lines that say so."""

    status: Status
    lines: list[str]


def judge(log: str, context: int = 30) -> Judgement | None:
    """Returns None for a clean log. Lines: the first match and up to `context` lines after it."""
    lines = log.splitlines()
    for status, pattern in RULES:
        rule = re.compile(pattern)
        for at, line in enumerate(lines):
            if rule.search(line) and not USER_FAULT.search(line):
                first = max(0, at - 2)
                return Judgement(status, lines[first:at + context])
    return None


def status_table() -> str:
    """The table that --help prints."""
    return "\n".join(f"  {int(status)}  {MEANING[status]}" for status in Status)
