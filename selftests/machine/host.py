# SPDX-License-Identifier: GPL-2.0-or-later
"""No machine at all: the module on this very host. Only on request; a bug takes the host down."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from errors import MachineError
from frames import kmsg_text
from kernels import Kernel
from machine import NODE, TOP, Options, Outcome
from verdict import Status

# Runs "$@" with NODE in the place of /dev/kvm, in a mount namespace of its own.
WRAPPER = 'touch /dev/kvm 2>/dev/null; mount --bind "$0" /dev/kvm && exec "$@"'


def checked(options: Options) -> Path | None:
    """The module to load, None for --bare; refuses what cannot work here."""
    if os.geteuid() != 0:
        raise MachineError("--on host needs root", "it loads a kernel module", "run it as root, or --on bochs")
    if options.mode == "peer":
        raise MachineError("--on host does not load kvm_intel", "this host's own choice is left alone",
                           "modprobe kvm_intel by hand and use --bare")
    if options.mode == "bare":
        return None
    path = options.module_file or TOP / "build" / os.uname().release / "vellum.ko"
    if not path.is_file():
        raise MachineError("no vellum.ko for this host's kernel", f"{path} does not exist", "make kmod")
    return path


def kernel_log(kmsg: int) -> list[str]:
    """What has been logged since the last call."""
    lines = []
    while True:
        try:
            lines.append(kmsg_text(os.read(kmsg, 8192)))
        except BlockingIOError:
            return lines
        except BrokenPipeError:
            continue


def run(options: Options, kernel: Kernel) -> Outcome:
    """Loads the module, runs the command, unloads the module."""
    del kernel
    module, outcome = checked(options), Outcome()
    kmsg = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    os.lseek(kmsg, 0, os.SEEK_END)
    command = options.command
    if module:
        loaded = subprocess.run(["insmod", str(module), *options.params], check=False)
        if loaded.returncode != 0:
            outcome.verdict, outcome.kmsg = "insmod", kernel_log(kmsg)
            return outcome
        command = ["unshare", "--mount", "sh", "-c", WRAPPER, NODE, *command]
    try:
        ended = subprocess.run(command, timeout=options.timeout, check=False)
        outcome.verdict = "signal" if ended.returncode < 0 else "exit"
        outcome.value = abs(ended.returncode)
    except subprocess.TimeoutExpired:
        outcome.failure = Status.TIMEOUT
    finally:
        time.sleep(0.1)
        if module and subprocess.run(["rmmod", "vellum"], check=False).returncode and outcome.verdict:
            outcome.verdict = "rmmod"
        outcome.kmsg = kernel_log(kmsg)
        os.close(kmsg)
    return outcome
