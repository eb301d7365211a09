# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian kernels: found with apt, downloaded and unpacked into a cache, never installed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import payload
from errors import MachineError

META = {"6.1": "linux-image-{}", "6.12": "linux-image-6.12-{}"}
SERIES = tuple(META)
APT = ["-qq", "-o", "APT::Sandbox::User=root"]


def cache_dir() -> Path:
    """$VELLUM_CACHE, or vellum in the user's cache folder; created when missing."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    path = Path(os.environ.get("VELLUM_CACHE") or Path(base) / "vellum")
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def cache_lock() -> Iterator[Path]:
    """Holds the cache against other runs while something is put into it."""
    cache = cache_dir()
    with (cache / "lock").open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield cache


def package_dir(name: str) -> Path:
    """Where a package, or a set of them, lies unpacked."""
    return cache_dir() / "packages" / name


def fetch_packages(folder: str, names: list[str]) -> Path:
    """Downloads packages and unpacks them over each other into one folder of the cache, unless it has them."""
    root = package_dir(folder)
    if root.is_dir():
        return root
    with cache_lock() as cache:
        if root.is_dir():
            return root
        print(f"fetching {' '.join(names)}", file=sys.stderr, flush=True)
        scratch = cache / f"unpack.{os.getpid()}"
        shutil.rmtree(scratch, ignore_errors=True)
        (scratch / "root").mkdir(parents=True)
        try:
            for name in names:
                download(name, scratch)
            for deb in scratch.glob("*.deb"):
                subprocess.run(["dpkg", "-x", str(deb), str(scratch / "root")], check=True)
            root.parent.mkdir(exist_ok=True)
            (scratch / "root").rename(root)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return root


def fetch_package(name: str) -> Path:
    """One package in a folder of its own."""
    return fetch_packages(name, [name])


def download(name: str, folder: Path) -> None:
    """apt-get download; package lists that have aged are renewed once."""
    command = ["apt-get", *APT, "download", name]
    if subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0:
        return
    if os.geteuid() == 0:
        subprocess.run(["apt-get", "-qq", "update"], check=False)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise MachineError(f"cannot download {name}", done.stderr.strip().replace("\n", "; "),
                           "run apt-get update; the machine needs Debian 12 with bookworm-security")


def candidate(series: str, flavour: str) -> str | None:
    """The release that apt would install for a series, for example 6.1.0-50-amd64."""
    shown = subprocess.run(["apt-cache", "show", "--no-all-versions", META[series].format(flavour)],
                           capture_output=True, text=True, check=False).stdout
    match = re.search(r"^Depends: linux-image-(\S+)", shown, re.MULTILINE)
    return match.group(1) if match else None


def newest_cached(series: str, flavour: str) -> str | None:
    """The newest release of a series in the cache, for hosts without package lists."""
    pattern = re.compile(rf"linux-image-({re.escape(series)}\.\d+\S*-{flavour})$")
    if flavour == "amd64":
        pattern = re.compile(rf"linux-image-({re.escape(series)}\.\d+(?:-\d+|\+deb12)-amd64)$")
    found = [m.group(1) for p in (cache_dir() / "packages").glob("linux-image-*") if (m := pattern.match(p.name))]
    return max(found, key=lambda name: [int(n) for n in re.findall(r"\d+", name)], default=None)


def release_of(series: str, flavour: str = "amd64") -> str:
    """The exact release that stands for "6.1" or "6.12"."""
    release = candidate(series, flavour) or newest_cached(series, flavour)
    if release is None and os.geteuid() == 0:
        subprocess.run(["apt-get", "-qq", "update"], check=False)
        release = candidate(series, flavour)
    if release is None:
        raise MachineError(f"no Debian kernel {series} known", "the package lists do not name one",
                           "run apt-get update; bookworm, bookworm-updates and bookworm-security are needed")
    return release


@dataclass(frozen=True)
class Kernel:
    """A kernel that can be booted; `modules` is its folder under lib/modules, if there is one."""

    release: str
    image: Path
    modules: Path | None

    def elf(self) -> Path:
        """The unpacked kernel, from the cache after the first time."""
        stat = self.image.stat()
        cached = cache_dir() / "vmlinux" / f"{stat.st_size}-{int(stat.st_mtime)}" / f"vmlinux-{self.release}"
        if cached.exists():
            return cached
        elf = payload.unpack_bzimage(self.image.read_bytes())
        with cache_lock():
            cached.parent.mkdir(parents=True, exist_ok=True)
            scratch = cached.with_name(f"{cached.name}.{os.getpid()}")
            scratch.write_bytes(elf)
            scratch.rename(cached)
        return cached

    def module(self, name: str) -> Path | None:
        """A module's file, None if it is built in; '-' and '_' mean the same."""
        wanted = name.replace("-", "_")
        if self.modules is not None:
            for path in sorted(self.modules.rglob("*.ko*")):
                if path.name.split(".ko")[0].replace("-", "_") == wanted:
                    return path
            builtin = (self.modules / "modules.builtin").read_text(encoding="ascii").replace("-", "_")
            if f"/{wanted}.ko" in builtin:
                return None
        raise MachineError(f"kernel {self.release} has no module {name}", "neither a file nor built in",
                           "use a kernel that has it")

    def with_dependencies(self, name: str) -> list[tuple[str, bytes]]:
        """(name, uncompressed module) of a module and what it depends on, in load order."""
        path = self.module(name)
        if path is None:
            return []
        image = without_signature(payload.decompress(path.read_bytes()))
        chain: list[tuple[str, bytes]] = []
        for dependency in module_depends(image):
            chain += [item for item in self.with_dependencies(dependency) if item not in chain]
        return [*chain, (name, image)]


def without_signature(module: bytes) -> bytes:
    """The module without its appended signature, whose check takes longer than all the rest of loading it."""
    magic = b"~Module signature appended~\n"
    if not module.endswith(magic):
        return module
    end = len(module) - len(magic)
    size = int.from_bytes(module[end - 4:end], "big")
    return module[:end - 12 - size]


def module_depends(module: bytes) -> list[str]:
    """The depends= entry of a module's .modinfo."""
    match = re.search(rb"\0depends=([\w,-]*)\0", module)
    return [name for name in match.group(1).decode().split(",") if name] if match else []


def debian_kernel(series: str, flavour: str = "amd64") -> Kernel:
    """Debian's kernel of a series: downloaded and unpacked when the cache lacks it."""
    release = release_of(series, flavour)
    root = fetch_package(f"linux-image-{release}")
    return Kernel(release, root / "boot" / f"vmlinuz-{release}", root / "lib" / "modules" / release)


def kernel_at(path: Path) -> Kernel:
    """A kernel file of the caller's; modules are sought beside it and on this host."""
    if not path.is_file():
        raise MachineError(f"no kernel at {path}", "the file does not exist", "--kernel 6.1, 6.12 or a file")
    elf = payload.unpack_bzimage(path.read_bytes())
    match = re.search(rb"Linux version (\S+) ", elf)
    release = match.group(1).decode() if match else path.name
    for base in (path.parent.parent / "lib/modules", path.parent / "lib/modules", Path("/lib/modules")):
        if (base / release).is_dir():
            return Kernel(release, path, base / release)
    return Kernel(release, path, None)


def headers_dir(series: str) -> Path:
    """The unpacked headers of a series: /usr/src/linux-headers-RELEASE inside the cache.

    Unpacked and not installed, because the 6.12 headers depend on the kernel image; the one absolute path in them
    is made to point into the cache.
    """
    release = release_of(series)
    folder = f"linux-headers-{release}"
    if not package_dir(folder).is_dir():
        shown = subprocess.run(["apt-cache", "show", "--no-all-versions", folder], capture_output=True, text=True,
                               check=False).stdout
        needs = re.findall(r"linux-headers-[^ ,]+-common|linux-kbuild-[^ ,]+", shown)
        fetch_packages(folder, [folder, *sorted(set(needs))])
    sources = package_dir(folder) / "usr" / "src"
    makefile = sources / folder / "Makefile"
    common = f"include {sources}/linux-headers-{release.removesuffix('-amd64')}-common/Makefile\n"
    if makefile.read_text(encoding="ascii") != common:
        makefile.write_text(common, encoding="ascii")
    return makefile.parent


def main(arguments: list[str]) -> int:
    """For the Makefile: `headers SERIES` prints a folder; `image`, `elf SERIES [FLAVOUR]` a kernel, packed or not."""
    actions = {"headers": headers_dir, "image": lambda *which: debian_kernel(*which).image,
               "elf": lambda *which: debian_kernel(*which).elf()}
    if len(arguments) < 2 or arguments[0] not in actions or arguments[1] not in SERIES:
        print("usage: kernels.py headers|image|elf 6.1|6.12 [amd64|cloud-amd64]", file=sys.stderr)
        return 2
    try:
        print(actions[arguments[0]](*arguments[1:]))
    except MachineError as error:
        print(f"kernels.py: {error}", file=sys.stderr)
        return 1
    return 0


def running_kernel() -> Kernel:
    """The kernel of this host."""
    release = os.uname().release
    return Kernel(release, Path(f"/boot/vmlinuz-{release}"), Path("/lib/modules") / release)


def find_kernel(name: str) -> Kernel:
    """The kernel that --kernel names."""
    return debian_kernel(name) if name in SERIES else kernel_at(Path(name))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
