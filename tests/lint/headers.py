#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every header compiles alone, so that the order of includes never matters.

User-space headers by g++ as C++20, the pure headers of the module by gcc against the
stand-in kernel headers of tests/shim. What passed is remembered by the contents of all
files that it read, in build/lint/.
"""

import concurrent.futures
import hashlib
import os
import subprocess
import sys

import layering
import tree

JOBS = min(2, os.cpu_count() or 1)
CXX = ["g++", "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-x", "c++", "-"]
CC = ["gcc", "-std=gnu11", "-fsyntax-only", "-Wall", "-x", "c", "-"]


def user_headers(root):
    for folder in ("vmm", "selftests", "tests", "include"):
        for path in tree.files(root, folder, (".h",)):
            if not path.startswith(("selftests/machine/", "tests/shim/")):
                yield path


def pure_headers(root):
    if not os.path.isdir(os.path.join(root, "tests/shim")):
        return
    for path in tree.files(root, "kmod", (".h",)):
        inside = os.path.relpath(path, "kmod")
        if layering.is_pure(inside, tree.read(root, path)):
            yield path


def command(root, path):
    here = [f"-I{os.path.join(root, d)}" for d in ("vmm", "include", "selftests", ".")]
    shim = [f"-I{os.path.join(root, d)}" for d in ("tests/shim", "kmod", "tests")]
    if path.startswith("kmod/"):
        return CC[:-3] + shim + CC[-3:]
    if path.startswith("tests/"):
        here += shim + [f"-I{os.path.join(root, d)}" for d in ("tests/fakes", "tests/mmu", "vmm")]
    return CXX[:-3] + here + CXX[-3:]


def digest(names):
    total = hashlib.sha256()
    for name in names:
        with open(name, "rb") as f:
            total.update(f.read())
    return total.hexdigest()


def check_one(root, path, cache):
    note = os.path.join(cache, path.replace("/", "+")) if cache else None
    try:
        with open(note) as f:
            old, *names = f.read().split("\n")
        if digest(names) == old:
            return None
    except (OSError, TypeError):
        pass
    # Twice: a header without a guard fails here.
    source = f'#include "{os.path.join(root, path)}"\n' * 2
    cmd = command(root, path)
    done = subprocess.run(cmd + ["-H"], input=source, capture_output=True, text=True)
    lines = done.stderr.split("\n")
    names = [line.lstrip(".")[1:] for line in lines if line.startswith(".")]
    if done.returncode:
        first = next((line for line in lines if "error:" in line), done.stderr)
        return f"{path}: does not compile alone: {first}"
    if note:
        names = sorted(set(filter(os.path.exists, names)))
        os.makedirs(cache, exist_ok=True)
        with open(note, "w") as f:
            f.write("\n".join([digest(names)] + names))
    return None


def check(root):
    cache = os.path.join(root, "build/lint") if root == tree.TOP else None
    paths = list(user_headers(root)) + list(pure_headers(root))
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        results = pool.map(lambda path: check_one(root, path, cache), paths)
        return [problem for problem in results if problem]


if __name__ == "__main__":
    tree.main(check)
