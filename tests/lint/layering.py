#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Who may include whom, as drawn in README.md.

 * kmod: a folder includes its own headers, and the faces of the folders below it.
 * Pure folders (mmu, emul) take kernel headers only through their platform.h. In
   irqchip the rule holds for every file that includes platform.h and for *_regs.*.
 * Tests of the kernel version stand in kmod/compat/ only.
 * User space never includes the module; unit tests may include its pure parts.
"""

import os
import re

import tree

# Folder of kmod -> folders whose faces it may include.
MAY_INCLUDE = {
    "compat": set(),
    "mmu": set(),
    "emul": set(),
    "vmx": {"compat"},
    "vm": {"mmu", "compat"},
    "irqchip": {"vm", "compat"},
    "vcpu": {"vmx", "mmu", "emul", "irqchip", "vm", "compat"},
    "abi": {"vm", "vcpu", "irqchip", "compat"},
    "": {"abi", "vm", "vcpu", "irqchip", "vmx", "mmu", "emul", "compat"},
}

# Headers that other folders may include. compat is open altogether.
FACES = {
    "mmu": {"mmu.h", "guest_walk.h", "platform.h", "memslot.h", "dirty_ring.h", "notifier.h", "stats.h",
            "state.h", "trace.h", "dump.h", "shadow_vcpu.h"},
    "emul": {"emul.h", "platform.h"},
    "vmx": {"vmx.h"},
    "vm": {"vm.h", "memory.h", "iobus.h", "counters.h"},
    "irqchip": {"irqchip.h", "platform.h"},
    "vcpu": {"vcpu.h", "request.h", "stats.h"},
    "abi": {"abi.h"},
}

# Single headers that may be included against the direction above.
EXTRA = {("vm", "vcpu/request.h"), ("irqchip", "vcpu/request.h")}

PURE = {"mmu", "emul"}

# Folders of vmm, lowest level first: a folder includes its own level and those below it.
# guest/ is the program that runs inside the guest; its protocol header stands on its own.
VMM_LEVELS = ({"base", "guest"}, {"hyp", "memory", "loop", "bus"}, {"devices", "boot"}, {"machine"}, {"cli"})
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)
VERSION = re.compile(r"\b(LINUX_VERSION_CODE|KERNEL_VERSION|LINUX_VERSION_MAJOR|RHEL_RELEASE_CODE)\b"
                     r"|linux/version\.h")
SOURCES = (".c", ".h", ".S", ".cc")


def includes(text):
    for m in INCLUDE.finditer(text):
        yield text.count("\n", 0, m.start()) + 1, m.group(1), m.group(2)


def folder_of(path):
    """Folder of kmod that a path relative to kmod stands in; "" for its top."""
    return path.split("/")[0] if "/" in path else ""


def is_pure(path, text):
    folder, name = folder_of(path), os.path.basename(path)
    if name == "platform.h":
        return False
    if folder in PURE:
        return True
    # The platform's own implementation is where purity ends.
    return folder == "irqchip" and (
        "_regs." in name or (name != "platform.c" and '#include "platform.h"' in text))


def check_kmod_include(path, kind, target):
    """What is wrong with an include in kmod, or None."""
    folder = folder_of(path)
    if kind == "<":
        return None
    # Includes are relative to kmod/ or to the file.
    if target.split("/")[0] not in MAY_INCLUDE:
        target = os.path.normpath(os.path.join(os.path.dirname(path), target))
    if target.startswith(".."):
        return "leaves kmod/"
    other = folder_of(target)
    if other == folder:
        return None
    if other == "":
        return "pure code must not trace" if folder in PURE else None
    if (folder, target) in EXTRA:
        return None
    if other not in MAY_INCLUDE.get(folder, set()):
        return f"{folder or 'kmod'}/ must not include {other}/"
    if other in FACES and os.path.basename(target) not in FACES[other]:
        return f"{target} is private to {other}/"
    return None


def check_kmod(root):
    problems = []
    for full in tree.files(root, "kmod", SOURCES):
        path = os.path.relpath(full, "kmod")
        text = tree.read(root, full)
        pure = is_pure(path, text)
        for line, kind, target in includes(text):
            wrong = check_kmod_include(path, kind, target)
            if not wrong and kind == "<" and pure:
                wrong = "kernel header outside platform.h of a pure folder"
            if wrong:
                problems.append(f"{full}:{line}: {target}: {wrong}")
        if folder_of(path) != "compat":
            code = tree.without_comments(text)
            for m in VERSION.finditer(code):
                line = code.count("\n", 0, m.start()) + 1
                problems.append(f"{full}:{line}: {m.group()}: version tests belong into kmod/compat/")
    return problems


def check_user(root):
    """vmm and selftests see include/ and the system, tests also the pure parts of kmod."""
    problems = []
    for folder in ("vmm", "selftests", "tests"):
        for full in tree.files(root, folder, SOURCES):
            if full.startswith("selftests/machine/"):
                continue
            for line, _, target in includes(tree.read(root, full)):
                parts = [p for p in target.split("/") if p not in ("..", ".")]
                if "kmod" not in parts:
                    continue
                room = parts[parts.index("kmod") + 1]
                if folder != "tests" or room not in PURE | {"irqchip"}:
                    problems.append(f"{full}:{line}: {target}: {folder}/ must not include the module")
    return problems


def check_vmm(root):
    level = {folder: n for n, folders in enumerate(VMM_LEVELS) for folder in folders}
    problems = []
    for full in tree.files(root, "vmm", SOURCES):
        folder = full.split("/")[1]
        for line, kind, target in includes(tree.read(root, full)):
            other = target.split("/")[0] if "/" in target else folder
            if kind == '"' and level.get(other, 0) > level.get(folder, len(VMM_LEVELS)):
                problems.append(f"{full}:{line}: {target}: {folder}/ must not include {other}/")
    return problems


def check(root):
    return check_kmod(root) + check_user(root) + check_vmm(root)


if __name__ == "__main__":
    tree.main(check)
