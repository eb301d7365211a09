# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds an initramfs (uncompressed newc archive) in memory."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from errors import MachineError


@dataclass(frozen=True)
class Entry:
    """One archive member; `data` is a symbolic link's target or a file's bytes."""

    mode: int
    data: bytes = b""
    rdev: tuple[int, int] = (0, 0)


def newc_member(name: str, entry: Entry, inode: int) -> bytes:
    """One member in the "new ASCII" format: all fields 8 hexadecimal digits."""
    encoded = name.encode() + b"\0"
    fields = (inode, entry.mode, 0, 0, 1, 0, len(entry.data), 0, 0, entry.rdev[0], entry.rdev[1], len(encoded), 0)
    head = b"070701" + b"".join(b"%08X" % value for value in fields) + encoded
    head += b"\0" * (-len(head) % 4)
    return head + entry.data + b"\0" * (-len(entry.data) % 4)


def shared_libraries(program: Path) -> list[Path]:
    """The libraries and the loader that a dynamic program needs, as the host's ldd finds them."""
    with program.open("rb") as file:
        if file.read(4) != b"\x7fELF":
            return []
    found = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False)
    if "not found" in found.stdout:
        missing = ", ".join(re.findall(r"(\S+) => not found", found.stdout))
        raise MachineError(f"{program} needs {missing}", "the library is not on this host", "install its package")
    libraries = [Path(path) for path in re.findall(r"(/\S+) \(0x", found.stdout)]
    # pthread_cancel() loads this one by name, so ldd does not know.
    cancel = [path.with_name("libgcc_s.so.1") for path in libraries if path.name == "libc.so.6"]
    return libraries + [path for path in cancel if path.exists() and path not in libraries]


@dataclass
class Initramfs:
    """A tree of archive members keyed by absolute path; parents come by themselves."""

    entries: dict[str, Entry] = field(default_factory=dict)

    def put(self, path: str, entry: Entry) -> None:
        """Adds one member and the folders above it."""
        if not path.startswith("/"):
            raise MachineError(f"{path} is no place in the machine", "paths there are absolute", f"use /{path}")
        pure = PurePosixPath(os.path.normpath(path))
        for parent in reversed(pure.parents):
            if str(parent) != "/":
                self.entries.setdefault(str(parent), Entry(stat.S_IFDIR | 0o755))
        self.entries[str(pure)] = entry

    def mkdir(self, path: str, mode: int = 0o755) -> None:
        """Adds an empty folder."""
        self.put(path, Entry(stat.S_IFDIR | mode))

    def write(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Adds a file with these bytes."""
        self.put(path, Entry(stat.S_IFREG | mode, data))

    def symlink(self, target: str, path: str) -> None:
        """Adds a symbolic link."""
        self.put(path, Entry(stat.S_IFLNK | 0o777, target.encode()))

    def device(self, path: str, major: int, minor: int, mode: int = 0o600) -> None:
        """Adds a character device."""
        self.put(path, Entry(stat.S_IFCHR | mode, b"", (major, minor)))

    def add(self, source: Path, destination: str) -> None:
        """Copies a file with the libraries it needs, or a folder with everything in it."""
        if source.is_dir():
            self.mkdir(destination)
            for child in sorted(source.iterdir()):
                self.add(child, f"{destination}/{child.name}")
            return
        if not source.exists():
            raise MachineError(f"cannot add {source}", "no such file", "check the --add argument")
        mode = 0o755 if os.access(source, os.X_OK) else 0o644
        self.write(destination, source.read_bytes(), mode)
        for library in shared_libraries(source):
            if str(library) not in self.entries:
                self.write(str(library), library.read_bytes(), 0o755)

    def archive(self) -> bytes:
        """The archive; members sorted, times zero: equal input gives equal bytes."""
        parts = [newc_member(name.lstrip("/"), entry, inode)
                 for inode, (name, entry) in enumerate(sorted(self.entries.items()), 1)]
        parts.append(newc_member("TRAILER!!!", Entry(0), 0))
        return b"".join(parts)
