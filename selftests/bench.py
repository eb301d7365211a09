#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Measures vellum beside kvm_intel in one boot of the test machine and prints one table.

What is measured, and the ratio that each row is to reach, is in bench.toml. Exit status: 0, also
if rows miss their targets; 1 if something could not be measured.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROGRAMS = HERE.parent / "build/host/selftests"

# In the machine. VMX belongs to one module at a time, so one goes before the other comes. The mark
# separates what comes from whom.
SCRIPT = """
modules=/machine/modules
measure() {{
{calls}
}}
insmod $modules/irqbypass.ko && insmod $modules/kvm.ko && insmod $modules/kvm-intel.ko enable_apicv=0 || exit 1
export VELLUM_DEV=/dev/kvm
measure kvm_intel
rmmod kvm_intel && rmmod kvm && insmod $modules/vellum.ko || exit 1
export VELLUM_DEV=/dev/vellum
measure vellum
rmmod vellum
"""
CALL = '\techo "BENCH $1 {name}"; ./{command} --json - || exit 1'


def script(runs: list[dict]) -> str:
    """What the machine runs."""
    return SCRIPT.format(calls="\n".join(CALL.format(name=r["name"], command=" ".join(r["command"])) for r in runs))


def parse(output: str) -> tuple[str, dict[tuple[str, str, str], tuple[float, str]]]:
    """What ticks are, and (module, run, operation) -> (ticks per unit, unit)."""
    found: dict[tuple[str, str, str], tuple[float, str]] = {}
    module = run = ticks = ""
    for line in output.splitlines():
        if line.startswith("BENCH "):
            _, module, run = line.split()
        elif line.startswith("{"):
            result = json.loads(line)
            ticks = result["ticks"]
            for row in result["nodes"][0]["rows"]:
                found[module, run, row["operation"]] = (row["ticks"] / row["count"], row["unit"])
    return ticks, found


def number(value: float) -> str:
    """Few digits after the point, and only where they say something."""
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"


def table(rows: list[dict], ticks: str, found: dict[tuple[str, str, str], tuple[float, str]]) -> tuple[list[str], bool]:
    """The table in Markdown, and whether each row could be filled."""
    lines = [f"| {ticks} for | per | kvm_intel | vellum | ratio | target | |", "|---|---|---|---|---|---|---|"]
    complete = True
    for row in rows:
        cells = [found.get((module, row["run"], row["operation"])) for module in ("kvm_intel", "vellum")]
        if None in cells:
            complete = False
            lines.append(f"| {row['name']} | | not measured | | | | |")
            continue
        (peer, unit), (own, _) = cells
        ratio = own / peer
        target = row.get("target")
        verdict = "" if target is None else "ok" if ratio <= target else "MISS"
        lines.append(f"| {row['name']} | {unit} | {number(peer)} | {number(own)} | {ratio:.3f} | "
                     f"{'' if target is None else target} | {verdict} |")
    return lines, complete


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kernel", default="6.1", help="of the machine")
    parser.add_argument("--cpus", type=int, default=1, help="processors of the machine")
    parser.add_argument("--programs", type=Path, default=PROGRAMS, help="folder of the built programs")
    parser.add_argument("--module-file", type=Path, help="instead of build/<release>/vellum.ko")
    parser.add_argument("--run", action="append", help="only this one, and its rows")
    parser.add_argument("--json", type=Path, help="also write all results there")
    options = parser.parse_args()
    with (HERE / "bench.toml").open("rb") as file:
        plan = tomllib.load(file)
    runs = [r for r in plan["run"] if not options.run or r["name"] in options.run]
    rows = [r for r in plan["row"] if r["run"] in {run["name"] for run in runs}]
    with tempfile.TemporaryDirectory(prefix="vellum-bench-") as scratch:
        path = Path(scratch) / "bench.sh"
        path.write_text(script(runs), encoding="utf-8")
        command = [sys.executable, str(HERE / "machine/run.py"), "--bare", "--kernel", options.kernel, "--mem", "1280",
                   "--cpus", str(options.cpus), "--timeout", "900", "--script", str(path)]
        for program in sorted({r["command"][0] for r in runs}):
            command += ["--add", str(options.programs / program)]
        if options.module_file:
            command += ["--module-file", str(options.module_file)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    ticks, found = parse(done.stdout)
    lines, complete = table(rows, ticks, found)
    print("\n".join(lines))
    if options.json:
        options.json.write_text(json.dumps([{"module": m, "run": r, "operation": o, "per_unit": v[0], "unit": v[1]}
                                            for (m, r, o), v in found.items()], indent=1) + "\n", encoding="utf-8")
    if done.returncode or not complete:
        print(done.stdout[-2000:] + f"bench.py: the machine ended with status {done.returncode}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
