# SPDX-License-Identifier: GPL-2.0-or-later
"""What the linters share: the files of the tree, C comments, and how a linter reports."""

import os
import re
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDERS = ("kmod", "vmm", "include", "tests", "selftests")
SKIP = {"__pycache__", "build", ".git"}


def files(root, folder=None, suffixes=()):
    """Paths relative to root, sorted; of one folder or of all of the tree."""
    found = []
    for top in (folder,) if folder else FOLDERS:
        for path, dirs, names in os.walk(os.path.join(root, top)):
            dirs[:] = [d for d in dirs if d not in SKIP]
            for name in names:
                if not suffixes or name.endswith(tuple(suffixes)):
                    found.append(os.path.relpath(os.path.join(path, name), root))
    return sorted(found)


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as f:
        return f.read()


# String and character literals are matched too, so that a comment sign inside one is none.
_TOKEN = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|//[^\n]*|/\*.*?\*/', re.S)


def comments(text):
    """(line number, text) of each comment of C source."""
    for m in _TOKEN.finditer(text):
        if m.group().startswith(("//", "/*")):
            yield text.count("\n", 0, m.start()) + 1, m.group()


def without_comments(text):
    """C source with comments and the inside of strings blanked; lines keep their numbers."""
    def blank(m):
        token = m.group()
        if token.startswith(("//", "/*")):
            return re.sub(r"[^\n]", " ", token)
        return token[0] + " " * (len(token) - 2) + token[-1]
    return _TOKEN.sub(blank, text)


def main(check):
    """Runs a linter on the tree that it stands in, or on the one named on the command line."""
    problems = check(sys.argv[1] if len(sys.argv) > 1 else TOP)
    for problem in problems:
        print(problem, file=sys.stderr)
    sys.exit(1 if problems else 0)
