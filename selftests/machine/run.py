#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs a command in a test machine whose kernel has vellum.ko loaded.

Boots a Debian kernel with the module built for it, loads the module, makes
/dev/kvm in the machine point at the node under test, runs CMD and exits with
its status (128+N if signal N ended it). What the kernel log says comes first:
a report in it decides the status whatever CMD returned.

Files of --add go to /add in the machine, which is the working folder and the
first entry of PATH; libraries they need come along. CMD may be the path of a
program on this host: it is added by itself. The shell is busybox.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

import bochs
import host
import qemu
from errors import MachineError
from kernels import find_kernel, running_kernel
from machine import Options, Outcome
from verdict import MEANING, Judgement, Status, judge, status_table


def build_parser() -> argparse.ArgumentParser:
    """The command line; its contract is public."""
    parser = argparse.ArgumentParser(
        prog="run.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="exit status: CMD's own (below 200), 2 for a wrong command line, or\n" + status_table())
    option = parser.add_argument
    option("--kernel", default="6.1", metavar="6.1|6.12|PATH", help="Debian kernel, or a kernel file (default: 6.1)")
    option("--on", choices=("bochs", "qemu", "host"),
           help="where to run; by itself qemu if this host has nested VMX, else bochs, never host")
    option("--cpus", type=int, default=1, metavar="N", help="processors of the machine (default: 1)")
    option("--mem", type=int, default=512, metavar="MIB", help="memory of the machine (default: 512)")
    option("--param", action="append", default=[], dest="params", metavar="K=V",
           help="module parameter; with --peer of kvm_intel, or kvm.K=V of kvm")
    option("--peer", action="store_true", help="load kvm_intel in place of vellum")
    option("--bare", action="store_true", help="load nothing; the modules lie in /machine/modules")
    option("--module", action="append", default=[], dest="modules", metavar="NAME",
           help="load this module of the kernel first, for example kvm or msr")
    option("--module-file", type=Path, metavar="KO", help="another vellum.ko than the one of make kmod")
    option("--keep-loaded", action="store_true", help="do not unload vellum after the command")
    option("--add", action="append", default=[], dest="adds", metavar="SRC[:DST]", help="copy a file or folder")
    option("--script", type=Path, metavar="FILE", help="run this shell script; CMD becomes its arguments")
    option("--timeout", type=float, default=600, metavar="S",
           help="limit in seconds (default: 600); in bochs of processor time, so that a busy host does not matter")
    option("--log", type=Path, metavar="FILE", help="save the kernel log")
    option("--append", default="", metavar="WORDS", help="more words for the kernel command line")
    option("--quantum", type=int, default=16, metavar="N", help="bochs: instructions per turn of a processor (default: 16)")
    option("--mitigations", action="store_true", help="leave the kernel's mitigations on")
    option("-v", "--verbose", action="store_true", help="print the machine's setup and instruction counts")
    option("command", nargs=argparse.REMAINDER, metavar="-- CMD [ARG...]")
    return parser


def parse(arguments: list[str]) -> Options:
    """The options of a run; exits with status 2 on a wrong command line."""
    parser = build_parser()
    given = vars(parser.parse_args(arguments))
    command = given.pop("command")
    if command[:1] == ["--"]:
        command = command[1:]
    script, peer, bare = given.pop("script"), given.pop("peer"), given.pop("bare")
    if script:
        command = ["sh", f"/add/{script.name}", *command]
        given["adds"].append(f"{script}")
    if not command:
        parser.error("no command: put it after --")
    if peer and bare:
        parser.error("--peer and --bare exclude each other")
    if given["cpus"] < 1 or given["cpus"] > 8 or given["mem"] < 128 or given["mem"] > 2048:
        parser.error("--cpus takes 1 to 8, --mem 128 to 2048")
    if given["timeout"] <= 0:
        parser.error("--timeout must be positive")
    return Options(command=command, mode="peer" if peer else "bare" if bare else "vellum", **given)


def choose_backend(options: Options) -> str:
    """--on, or QEMU where nested VMX is at hand, or Bochs. The host itself only on request."""
    return options.on or ("bochs" if qemu.host_refusal() else "qemu")


def final_status(outcome: Outcome, judgement: Judgement | None) -> int:
    """The kernel log first, then what became of the machine, then the command."""
    if judgement:
        return judgement.status
    if outcome.failure:
        return outcome.failure
    if outcome.verdict == "exit":
        return outcome.value
    if outcome.verdict == "signal":
        return 128 + outcome.value
    return {"insmod": Status.INSMOD, "rmmod": Status.RMMOD}.get(outcome.verdict or "", Status.SETUP)


def report(status: int, outcome: Outcome, judgement: Judgement | None) -> None:
    """Says on stderr why the machine's own status replaces the command's."""
    if status not in list(Status):
        return
    value = f": errno {outcome.value}" if outcome.verdict in ("insmod", "rmmod", "plan") else ""
    print(f"run.py: {MEANING[Status(status)]}{value} (status {status})", file=sys.stderr)
    lines = judgement.lines if judgement else outcome.log().splitlines()[-15:]
    for line in lines:
        print(f"  {line}", file=sys.stderr)


def execute(options: Options) -> int:
    """Runs the machine and returns the exit status."""
    backend = choose_backend(options)
    kernel = running_kernel() if backend == "host" else find_kernel(options.kernel)
    if options.verbose:
        print(f"machine: {backend}, kernel {kernel.release}, {options.cpus} cpu, {options.mem} MiB, {options.mode}",
              file=sys.stderr)
    outcome = {"bochs": bochs.run, "qemu": qemu.run, "host": host.run}[backend](options, kernel)
    if options.log:
        options.log.write_text(outcome.log(), encoding="utf-8")
    judgement = judge(outcome.judged())
    status = final_status(outcome, judgement)
    report(status, outcome, judgement)
    if options.verbose and outcome.counts:
        print(f"instructions: {outcome.counts}", file=sys.stderr)
    return status


def main() -> int:
    """Entry point."""
    # Unwind on a polite kill, so that no emulator and no folder outlives this process.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        return execute(parse(sys.argv[1:]))
    except MachineError as error:
        print(f"run.py: {error}", file=sys.stderr)
        return Status.SETUP
    except OSError as error:
        print(f"run.py: {error}", file=sys.stderr)
        return Status.SETUP
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
