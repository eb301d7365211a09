# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs an emulator process: reads its frames, watches the clock and its progress."""

from __future__ import annotations

import os
import re
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path

from frames import FrameReader
from machine import Options, Outcome
from verdict import Status

STUCK_AFTER = 20.0     # seconds without processor time
STUCK_CPU = 0.02       # seconds of processor time that count as progress
PLUGIN_LINE = re.compile(r"^0\d+\w\[")    # what Bochs says while it starts
CLOCK_TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> tuple[float, bool]:
    """(processor time used, whether any thread wants a processor) of a process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        states = [Path(task, "stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
                  for task in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return 0.0, True
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICK, any(state in "RD" for state in states)


class Watch:
    """Tells an emulator that is stuck from one that is slow or short of processor time."""

    def __init__(self, pid: int) -> None:
        self.pid, self.used, self.since = pid, 0.0, time.monotonic()

    def stuck(self) -> bool:
        """True when nothing has run, or wanted to, for STUCK_AFTER seconds."""
        used, runnable = cpu_seconds(self.pid)
        if runnable or used > self.used + STUCK_CPU:
            self.used, self.since = used, time.monotonic()
        return time.monotonic() - self.since > STUCK_AFTER


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ends the emulator and what it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def pump(process: subprocess.Popen[bytes], options: Options, outcome: Outcome) -> FrameReader:
    """Takes frames until the emulator ends, the time is up or nothing moves any more."""
    assert process.stdout is not None
    reader, watch = FrameReader(), Watch(process.pid)
    deadline = time.monotonic() + options.timeout
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while outcome.verdict is None:
            if time.monotonic() > deadline:
                outcome.failure = Status.TIMEOUT
                break
            if not selector.select(timeout=min(1.0, max(0.0, deadline - time.monotonic()))):
                if watch.stuck():
                    outcome.failure = Status.STUCK
                    break
                continue
            data = os.read(process.stdout.fileno(), 1 << 16)
            if not data:
                break
            for kind, content in reader.feed(data):
                outcome.take(kind, content, sys.stdout.buffer, sys.stderr.buffer)
    return reader


def run(command: list[str], folder: Path, serial: Path, options: Options) -> Outcome:
    """Runs the emulator to its end and returns what the machine left behind."""
    outcome = Outcome()
    with (folder / "stderr").open("wb") as errors, subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
            start_new_session=True) as process:
        try:
            reader = pump(process, options, outcome)
        finally:
            stop(process)
    if serial.exists():
        outcome.console = serial.read_bytes().decode("utf-8", "replace").replace("\r", "")
    if outcome.verdict is None and outcome.failure is None:
        outcome.failure = Status.DIED if outcome.booted else Status.BOOT
    if outcome.failure in (Status.BOOT, Status.DIED, Status.STUCK):
        chatter = bytes(reader.chatter + reader.buffer) + (folder / "stderr").read_bytes()
        lines = [line for line in chatter.decode("utf-8", "replace").splitlines() if not PLUGIN_LINE.match(line)]
        outcome.console += "--- emulator ---\n" + "\n".join(lines[-40:]) + "\n"
    return outcome
