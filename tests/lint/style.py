#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules of form that no compiler checks.

 * The first line (the second after #!) names the licence that the folder has.
 * The module defines nothing named kvm_*, vmx_* or hv_*: those are taken.
 * Comments in the module speak without pronouns.
 * No tabs where spaces rule, no trailing blanks, a newline at the end.
"""

import re

import tree

CODE = (".c", ".h", ".S", ".cc", ".py", ".sh", ".mk", ".txt", ".toml", ".rules", ".lds")
NAMED = ("Kbuild", "Makefile")

# A declaration starts in the first column; a call, perhaps of the kernel's own helper, does not.
TAKEN = re.compile(r"^[a-z][\w \t*]*?\b((kvm_|vmx_|hv_)\w+)[ \t]*\(", re.M)
PRONOUN = re.compile(r"\b([Ww]e|I|[Oo]urs?|[Ww]e're|[Ww]e'll|[Ll]et's)\b(?!/O)")


def licence_of(path):
    if path.startswith("include/uapi/"):
        return "GPL-2.0 WITH Linux-syscall-note"
    if path.startswith(("kmod/", "selftests/machine/provoke/")):
        return "GPL-2.0-only"
    return "GPL-2.0-or-later"


def check_licence(path, lines):
    expected = f"SPDX-License-Identifier: {licence_of(path)}"
    first = lines[0] if lines else ""
    if first.startswith("#!") and len(lines) > 1:
        first = lines[1]
    if not first.rstrip(" */").endswith(expected):
        return [f"{path}:1: first line must be: {expected}"]
    return []


def check_blanks(path, lines, text):
    problems = [f"{path}:{n}: trailing blank" for n, line in enumerate(lines, 1)
                if line != line.rstrip()]
    if text and not text.endswith("\n"):
        problems.append(f"{path}:{len(lines)}: no newline at the end")
    return problems


def check_module(path, text):
    problems = []
    code = tree.without_comments(text)
    for m in TAKEN.finditer(code):
        line = code.count("\n", 0, m.start()) + 1
        problems.append(f"{path}:{line}: {m.group(1)}: prefix {m.group(2)} is taken, use vlm_")
    for start, comment in tree.comments(text):
        for m in PRONOUN.finditer(comment):
            line = start + comment.count("\n", 0, m.start())
            problems.append(f"{path}:{line}: '{m.group()}' in a comment: say what is done, not who does it")
    return problems


def check(root):
    problems = []
    for path in tree.files(root):
        if not path.endswith(CODE) and not path.endswith(NAMED):
            continue
        text = tree.read(root, path)
        lines = text.split("\n")[:-1] if text.endswith("\n") else text.split("\n")
        problems += check_licence(path, lines)
        problems += check_blanks(path, lines, text)
        if path.startswith("kmod/") and path.endswith((".c", ".h", ".S")):
            problems += check_module(path, text)
    return problems


if __name__ == "__main__":
    tree.main(check)
