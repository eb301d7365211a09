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
BUSY_HOST = 8.0        # wall-clock seconds that count as one, at least, however busy the host
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
    """Measures an emulator's time, and tells one that is stuck from one that is short of processor time."""

    def __init__(self, pid: int, by_cpu: bool) -> None:
        self.pid, self.by_cpu = pid, by_cpu
        self.start = self.progress = time.monotonic()
        self.used = 0.0

    def look(self) -> None:
        """Takes a reading."""
        used, runnable = cpu_seconds(self.pid)
        if runnable or used > self.used + STUCK_CPU:
            self.progress = time.monotonic()
        self.used = max(used, self.used)

    def stuck(self) -> bool:
        """True when nothing has run, or wanted to, for STUCK_AFTER seconds."""
        return self.by_cpu and time.monotonic() - self.progress > STUCK_AFTER

    def elapsed(self) -> float:
        """Seconds that count against the limit: where a machine is emulated, those that it could run in."""
        wall = time.monotonic() - self.start
        return max(self.used, wall / BUSY_HOST) if self.by_cpu else wall


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ends the emulator and what it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def pump(process: subprocess.Popen[bytes], options: Options, outcome: Outcome, by_cpu: bool) -> FrameReader:
    """Takes frames until the emulator ends, the time is up or nothing moves any more."""
    assert process.stdout is not None
    reader, watch = FrameReader(), Watch(process.pid, by_cpu)
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while outcome.verdict is None:
            ready = selector.select(timeout=min(1.0, options.timeout))
            watch.look()
            if watch.elapsed() > options.timeout:
                outcome.failure = Status.TIMEOUT
                break
            if watch.stuck():
                outcome.failure = Status.STUCK
                break
            data = os.read(process.stdout.fileno(), 1 << 16) if ready else None
            if data == b"":
                break
            for kind, content in reader.feed(data or b""):
                outcome.take(kind, content, sys.stdout.buffer, sys.stderr.buffer)
    return reader


def run(command: list[str], folder: Path, serial: Path, options: Options, by_cpu: bool = False) -> Outcome:
    """Runs the emulator to its end and returns what the machine left behind.

    `by_cpu`: the emulator is one that computes all the time, so its processor time measures its progress.
    """
    outcome = Outcome()
    with (folder / "stderr").open("wb") as errors, subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
            start_new_session=True) as process:
        try:
            reader = pump(process, options, outcome, by_cpu)
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
