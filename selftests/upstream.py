#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds the kernel's own KVM selftests, unmodified, from Debian's linux-source package.

    upstream.py TEST...     builds them (x86_64/cpuid_test, ...) and prints their paths

The sources and the programs are kept in the cache, by the contents of the package.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "machine"))

from errors import MachineError  # noqa: E402
from kernels import cache_dir, cache_lock, fetch_packages  # noqa: E402

PACKAGE = "linux-source-6.1"
# What make headers and the build of the selftests read; the whole tree has a hundred times as much.
SUBTREES = (
    "Makefile", "Kbuild", "scripts", "include/uapi", "include/asm-generic", "usr", "arch/x86/include",
    "arch/x86/entry/syscalls", "arch/x86/tools", "arch/x86/Makefile*", "tools/arch/x86", "tools/build",
    "tools/include", "tools/lib/*.c", "tools/lib/*.h", "tools/scripts", "tools/testing/selftests/kvm",
    "tools/testing/selftests/rseq", "tools/testing/selftests/*.mk", "tools/testing/selftests/*.h",
)


def tarball() -> Path:
    """The kernel source as the installed package has it, or as a downloaded one does."""
    installed = Path(f"/usr/src/{PACKAGE}.tar.xz")
    if installed.exists():
        return installed
    return fetch_packages(PACKAGE, [PACKAGE]) / installed.relative_to("/")


def run(command: list[str], log: Path, cwd: Path | None = None) -> None:
    """Runs a step of the build; its output is shown only if it fails."""
    with log.open("w", encoding="utf-8") as out:
        done = subprocess.run(command, cwd=cwd, stdout=out, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:]
        raise MachineError(f"{' '.join(command[:3])} failed", "\n".join(tail), f"read {log}")


def source_tree() -> Path:
    """The unpacked sources with the user-space headers installed."""
    archive = tarball()
    stat = archive.resolve().stat()
    key = hashlib.sha256(f"{stat.st_size} {SUBTREES}".encode()).hexdigest()[:12]
    tree = cache_dir() / f"kvm-selftests-6.1-{key}"
    if tree.is_dir():
        return tree
    with cache_lock():
        if tree.is_dir():
            return tree
        print("unpacking the kernel's selftests (a minute)", file=sys.stderr, flush=True)
        scratch = tree.with_name(f"{tree.name}.{os.getpid()}")
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        try:
            wanted = [f"{PACKAGE}/{pattern}" for pattern in SUBTREES]
            run(["tar", "-xJf", str(archive), "-C", str(scratch), "--strip-components=1", "--wildcards", *wanted],
                scratch / "unpack.log")
            run(["nice", "make", "-j2", "ARCH=x86", "headers"], scratch / "headers.log", scratch)
            scratch.rename(tree)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return tree


def build(tests: list[str]) -> dict[str, Path]:
    """Paths of the programs, built if they are not there yet."""
    tree = source_tree()
    out = tree / "built"
    paths = {test: out / test for test in tests}
    missing = [test for test, path in paths.items() if not path.exists()]
    if missing:
        print(f"building {len(missing)} of the kernel's selftests", file=sys.stderr, flush=True)
        with cache_lock():
            # Two tests of some point releases want a name that others have.
            compiler = "CC=gcc -DTEST_ASSERT_EQ=ASSERT_EQ -include linux/stddef.h"
            run(["nice", "make", "-j2", f"OUTPUT={out}", compiler, *(str(paths[test]) for test in missing)],
                tree / "build.log", tree / "tools/testing/selftests/kvm")
    return paths


if __name__ == "__main__":
    try:
        for path in build(sys.argv[1:]).values():
            print(path)
    except MachineError as error:
        print(f"upstream.py: {error}", file=sys.stderr)
        sys.exit(1)
