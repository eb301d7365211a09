#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Boots machines that end in every way there is, and checks run.py's exit status. Two at a time; minutes."""

from __future__ import annotations

import concurrent.futures
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from verdict import Status

RUN = str(Path(__file__).resolve().parent / "run.py")
PROVOKE = ["--bare", "--timeout", "150", "--", "sh", "-c"]
# An oops or a lockup ends the machine; after the others the command would return 0.
REPORTS = {"warn": Status.WARN, "oops": Status.OOPS, "bug": Status.OOPS, "panic": Status.PANIC,
           "soft_lockup": Status.LOCKUP, "hung_task": Status.LOCKUP, "atomic_sleep": Status.LOCKDEP}


def cases() -> list[tuple[list[str], int]]:
    """(arguments, expected status)."""
    insmod = "insmod /machine/modules/provoke.ko how={}; sleep 130; exit 0"
    ends = [(["--timeout", "100", "--", "sh", "-c", "test -c /dev/kvm && exit 7"], 7),
            (["--kernel", "6.12", "--timeout", "100", "--", "sh", "-c", "test -c /dev/kvm && exit 7"], 7),
            (["--peer", "--cpus", "2", "--timeout", "100", "--", "sh", "-c", "exit $(nproc)"], 2),
            (["--bare", "--timeout", "100", "--", "sh", "-c", "kill -9 $$"], 137),
            (["--bare", "--timeout", "15", "--", "sh", "-c", "while :; do :; done"], Status.TIMEOUT),
            (["--bare", "--timeout", "100", "--append", "rdinit=/absent", "--", "true"], Status.PANIC)]
    return ends + [([*PROVOKE, insmod.format(how)], status) for how, status in REPORTS.items()]


def check(arguments: list[str], expected: int) -> str:
    """Empty, or what went wrong."""
    done = subprocess.run([sys.executable, RUN, *arguments], capture_output=True, text=True, check=False)
    if done.returncode == expected:
        return ""
    return f"{' '.join(arguments)}: status {done.returncode}, not {int(expected)}\n{done.stdout}{done.stderr}"


def main() -> int:
    """Runs all cases."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        failures = [text for text in pool.map(lambda case: check(*case), cases()) if text]
    for text in failures:
        print(text, file=sys.stderr)
    print(f"machine: {len(cases()) - len(failures)} passed, {len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
