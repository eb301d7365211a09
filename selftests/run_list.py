#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the tests of list.toml in the test machine.

Tests with the same kernel, processors and module parameters share one boot. The last line is
"N passed, N failed"; the exit status is 1 if any failed. What the kernel log says fails the test
that ran at that moment.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import mutants
import upstream
from errors import MachineError

HERE = Path(__file__).resolve().parent
TOP = HERE.parent
PROGRAMS = TOP / "build/host/selftests"
VMM = TOP / "build/host/vmm/vmm"
KERNELS = ("6.1", "6.12")
INTERRUPTIBLE = "interruptible.so"
# Wall-clock limit of one boot: the machine's own time limits act long before.
BOOT_LIMIT = 900

# Of one hold of the mmu lock, in the emulator: some 120,000 are seen.
HOLD_TICKS = 500_000

# In the machine. A test's output is shown only if it failed.
RUNNER = r"""
one() {
	name=$1; limit=$2; expect=$3; says=$4; shift 4
	echo "selftest $name begins" >/dev/kmsg
	echo "BEGIN $name"
	timeout -s KILL "$limit" "$@" >/tmp/out 2>&1 </dev/null
	status=$?
	if [ -n "$says" ] && ! grep -qF -- "$says" /tmp/out; then status=250; fi
	if [ $status != $expect ]; then tail -n 40 /tmp/out; fi
	echo "TEST $name $status"
}
mutant() {
	module=$1; shift
	insmod /add/$module || return
	(export VELLUM_DEV=/dev/vellum; "$@")
	rmmod vellum
}
as_kvm() {
	[ -e /sys/module/vellum ] && [ ! -e /sys/module/kvm_intel ] || return
	mkdir -p /modules && mount --bind /sys/module /modules && mount -t tmpfs none /sys/module
	ln -s /modules/* /sys/module
	for name in kvm kvm_intel; do rm -f /sys/module/$name; ln -s vellum /sys/module/$name; done
}
mkdir -p /tmp
"""

# After the tests: what the module saw as the longest hold of the mmu lock, of all machines.
LAST_WORDS = r"""
hold=/sys/kernel/debug/vellum/max_hold
if [ -e $hold ]; then echo "HOLD" $(cat $hold); fi
"""


@dataclass(frozen=True)
class Test:
    """One run of one program."""
    name: str
    program: str
    kernel: str
    args: tuple[str, ...] = ()
    cpus: int = 1
    params: tuple[str, ...] = ()
    timeout: int = 60
    expect: int = 0
    fast: bool = False
    slow: bool = False
    peer: bool = True
    bare: bool = False
    says: str = ""
    mutant: str = ""
    setup: str = ""
    interruptible: bool = False
    mem: int = 512
    adds: tuple[str, ...] = ()

    @property
    def boot(self) -> tuple[str, int, int, tuple[str, ...], bool]:
        """What tests must have in common to share a boot."""
        return self.kernel, self.cpus, self.mem, self.params, self.bare


@dataclass
class Result:
    """What came of a test."""
    test: Test
    status: str = "not run"
    passed: bool = False
    output: list[str] = field(default_factory=list)
    # Of the whole boot, with its last test.
    hold: dict[str, int] = field(default_factory=dict)


def read_list(path: Path) -> list[Test]:
    """The tests, one per kernel; a mistake in the list ends the program."""
    with path.open("rb") as file:
        entries = tomllib.load(file)["test"]
    tests = []
    for entry in entries:
        kernels = entry.pop("kernels", KERNELS)
        for key in ("args", "params", "adds"):
            entry[key] = tuple(entry.get(key, ()))
        if "mutant" in entry:
            entry |= {"bare": True, "peer": False}
        for kernel in kernels:
            try:
                tests.append(Test(kernel=kernel, **entry))
            except TypeError as error:
                sys.exit(f"run_list.py: {path.name}: {entry.get('name')}: {error}")
    return tests


def locate(tests: list[Test], folder: Path) -> dict[str, Path]:
    """Program -> file on this host; builds the kernel's own tests."""
    own = {t.program for t in tests if not t.program.startswith("upstream/")}
    foreign = sorted({t.program for t in tests} - own)
    paths = {name: folder / name for name in own}
    if foreign:
        built = upstream.build([name.removeprefix("upstream/") for name in foreign])
        paths |= {f"upstream/{name}": path for name, path in built.items()}
    for name, path in paths.items():
        if not path.exists():
            raise MachineError(f"{name} is not built", f"{path} does not exist", "make vmm")
    return paths


def guest_kernel() -> str:
    """An unpacked Debian kernel: unpacking it in the emulator takes a minute."""
    command = [sys.executable, str(HERE / "machine/kernels.py"), "elf", KERNELS[0], "cloud-amd64"]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def run_boot(tests: list[Test], paths: dict[str, Path], options: argparse.Namespace) -> list[Result]:
    """One boot of the machine for tests that share it."""
    kernel, cpus, mem, params, bare = tests[0].boot
    results = {t.name: Result(t) for t in tests}
    with tempfile.TemporaryDirectory(prefix="vellum-list-") as scratch:
        script = Path(scratch) / "tests.sh"
        lines = [RUNNER]
        for t in tests:
            if t.setup:
                lines.append(t.setup)
            call = ["mutant", f"{t.mutant}.ko"] if t.mutant else []
            preload = ["env", f"LD_PRELOAD=/add/{INTERRUPTIBLE}"] if t.interruptible else []
            lines.append(shlex.join([*call, "one", t.name, str(t.timeout), str(t.expect), t.says,
                                     *preload, f"./{Path(t.program).name}", *t.args]))
        lines.append(LAST_WORDS)
        script.write_text("\n".join(lines) + "\n", encoding="utf-8")
        command = [sys.executable, str(HERE / "machine/run.py"), "-v", "--kernel", kernel, "--cpus", str(cpus),
                   "--mem", str(mem), "--timeout", str(options.boot_limit), "--script", str(script)]
        for program in sorted({t.program for t in tests}):
            command += ["--add", str(paths[program])]
        if any(t.interruptible for t in tests):
            command += ["--add", str(options.programs / INTERRUPTIBLE)]
        for name in sorted({t.mutant for t in tests if t.mutant}):
            command += ["--add", f"{mutants.build_for(name, kernel)}:/add/{name}.ko"]
        for extra in sorted({extra for t in tests for extra in t.adds}):
            command += ["--add", extra.format(vmm=VMM, guest=guest_kernel() if "{guest}" in extra else "")]
        if bare:
            command.append("--bare")
        elif options.peer:
            command.append("--peer")
        else:
            for param in params:
                command += ["--param", param]
        if options.on:
            command += ["--on", options.on]
        if options.logs:
            mode = "bare" if bare else "peer" if options.peer else "vellum"
            options.logs.mkdir(parents=True, exist_ok=True)
            command += ["--log", str(options.logs / f"{kernel}-{cpus}cpu-{mode}.log")]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                              check=False)
    judge(done.stdout.splitlines(), done.returncode, results)
    return list(results.values())


def judge(lines: list[str], machine_status: int, results: dict[str, Result]) -> None:
    """Fills in the results from what the machine printed."""
    current = None
    trailer: list[str] = []
    for line in lines:
        if m := re.fullmatch(r"BEGIN (\S+)", line):
            current = results[m.group(1)]
            current.status = "did not end"
        elif (m := re.fullmatch(r"TEST (\S+) (\d+)", line)) and current:
            status = int(m.group(2))
            current.status = {137: "timeout or killed", 4: "status 4 (skipped)",
                              250: "did not say what it should"}.get(status, f"status {status}")
            current.passed = status == current.test.expect
            if current.passed:
                current.status, current.output = "ok", []
            current = None
        elif line.startswith("HOLD "):
            judge_hold(line, results)
        elif current:
            current.output.append(line)
        else:
            trailer.append(line)
    if any(line.startswith("machine: bochs") for line in trailer):
        judge_ticks(results)
    if machine_status == 0:
        return
    # The machine itself failed: the kernel log complained, it hung, or the module would not go.
    broken = [r for r in results.values() if not r.passed]
    if not broken:
        broken = list(results.values())[-1:]
    for result in broken[:1]:
        result.passed = False
        result.status = f"{result.status}; machine status {machine_status}"
        result.output += trailer[-40:]


def judge_hold(line: str, results: dict[str, Result]) -> None:
    """The longest hold of the mmu lock in this boot; past the budget, the boot's last test fails for it."""
    words = line.split()[1:]
    hold = {name: int(value) for name, value in zip(words[::2], words[1::2])}
    last = list(results.values())[-1]
    last.hold = hold
    if hold["entries"] > hold["budget"]:
        last.passed = False
        last.status = f"{last.status}; mmu lock held over {hold['entries']} entries, the budget is {hold['budget']}"


def judge_ticks(results: dict[str, Result]) -> None:
    """Where a tick is an instruction and nobody else has the processor, a hold has a limit in ticks, too."""
    last = list(results.values())[-1]
    ticks = max((n for name, n in last.hold.items() if name.endswith("_cycles")), default=0)
    if ticks > HOLD_TICKS:
        last.passed = False
        last.status = f"{last.status}; mmu lock held for {ticks} instructions, the limit is {HOLD_TICKS}"


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="run_list.py", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only tests whose name contains one of these")
    parser.add_argument("--fast", action="store_true", help="the short list, on the first kernel")
    parser.add_argument("--slow", action="store_true", help="also what takes minutes")
    parser.add_argument("--peer", action="store_true", help="on the kernel's own kvm_intel")
    parser.add_argument("--kernel", choices=KERNELS, action="append", help="only on this kernel")
    parser.add_argument("--on", choices=("bochs", "qemu", "host"), help="as for run.py")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), metavar="N",
                        help="machines at a time (default: 2)")
    parser.add_argument("--logs", type=Path, metavar="DIR", help="save the kernel logs")
    parser.add_argument("--boot-limit", type=int, default=BOOT_LIMIT, metavar="S",
                        help=f"wall-clock limit of one boot (default: {BOOT_LIMIT})")
    parser.add_argument("--programs", type=Path, default=PROGRAMS, metavar="DIR", help="where the programs lie")
    parser.add_argument("--list", type=Path, default=HERE / "list.toml", metavar="FILE", help="another list")
    return parser.parse_args()


def select(tests: list[Test], options: argparse.Namespace) -> list[Test]:
    """The tests that the options ask for."""
    kernels = options.kernel or (KERNELS[:1] if options.fast else KERNELS)
    return [t for t in tests
            if t.kernel in kernels and (t.fast or not options.fast) and (options.slow or not t.slow)
            and (t.peer or not options.peer)
            and (not options.names or any(name in t.name for name in options.names))]


def main() -> int:
    """Runs the boots, prints the table."""
    options = parse()
    tests = select(read_list(options.list), options)
    if not tests:
        print("run_list.py: no test has such a name", file=sys.stderr)
        return 2
    try:
        paths = locate(tests, options.programs)
    except MachineError as error:
        print(f"run_list.py: {error}", file=sys.stderr)
        return 2
    boots: dict[tuple, list[Test]] = {}
    for t in tests:
        # The peer has parameters of its own.
        boot = (t.kernel, t.cpus, t.mem) if options.peer else t.boot
        boots.setdefault(boot, []).append(t)

    failed = passed = 0
    holds: list[dict[str, int]] = []
    start = time.monotonic()
    print(f"{len(tests)} tests in {len(boots)} boots of the machine", flush=True)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        running = [pool.submit(run_boot, group, paths, options) for group in boots.values()]
        for done in concurrent.futures.as_completed(running):
            for r in done.result():
                where = " ".join([r.test.kernel, f"{r.test.cpus}cpu", *r.test.params])
                print(f"{'ok    ' if r.passed else 'FAILED'} {r.test.name:<28} {where:<12} "
                      f"{'' if r.passed else r.status}".rstrip(), flush=True)
                for line in r.output:
                    print(f"       | {line}")
                holds += [r.hold] if r.hold else []
                passed += r.passed
                failed += not r.passed
    if holds:
        print("longest hold of the mmu lock: {entries} of {budget} entries, {read_cycles} cycles for read, "
              "{write_cycles} for write".format(**{k: max(h[k] for h in holds) for k in holds[0]}))
    print(f"took {time.monotonic() - start:.0f} s")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
