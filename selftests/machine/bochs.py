# SPDX-License-Identifier: GPL-2.0-or-later
"""The machine in Bochs, which emulates VMX on any processor."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import emulator
import payload
from errors import MachineError
from kernels import Kernel, cache_dir
from machine import HERE, Options, Outcome, build_initramfs, command_line

BIOS = Path("/usr/share/bochs/BIOS-bochs-latest")

# info and error must be ignored: reporting them from a signal handler can deadlock the emulator.
# Time advances with instructions alone, so that equal input gives equal output.
CONFIG = """\
config_interface: textconfig
memory: guest={mem}, host={mem}
romimage: file={bios}
vgaromimage: file={rom}
optramimage1: file={ram}, address={address:#x}
ata0: enabled=0
ata1: enabled=0
boot: floppy
cpu: model=corei7_skylake_x, count={cpus}, ips=100000000, quantum={quantum}, \
reset_on_triple_fault=0, ignore_bad_msrs=1
com1: enabled=1, mode=file, dev={serial}
log: {log}
clock: sync=none, time0=946681200, rtc_sync=0
panic: action=fatal
error: action=ignore
info: action=ignore
debug: action=ignore
port_e9_hack: enabled=1
display_library: {display}
"""
PLUGINS = "plugin_ctrl: unmapped=1, biosdev=1, speaker=0, extfpuirq=0, parallel=0, serial=1, gameport=0, iodebug=0\n"


@dataclass(frozen=True)
class Build:
    """A Bochs binary and what it was built with."""

    path: str
    debugger: bool
    plugins: bool
    headless: bool


def find_build() -> Build:
    """$BOCHS, or Debian's package."""
    path = shutil.which(os.environ.get("BOCHS", "bochs"))
    if path is None:
        raise MachineError("Bochs is not here", "no program " + os.environ.get("BOCHS", "bochs"),
                           "apt-get install bochs bochsbios bochs-wx, or set BOCHS")
    usage = subprocess.run([path, "--help"], capture_output=True, text=True, check=False)
    text = usage.stdout + usage.stderr
    return Build(path, "-rc filename" in text, "LTDL_LIBRARY_PATH" in text, b"nogui" in Path(path).read_bytes())


def boot_rom() -> Path:
    """The assembled ROM, from the cache unless its source has changed."""
    source = HERE / "rom.S"
    digest = hashlib.sha256(source.read_bytes() + str(payload.HEADER).encode()).hexdigest()[:16]
    rom = cache_dir() / "machine" / f"rom-{digest}"
    if not rom.exists():
        rom.parent.mkdir(exist_ok=True)
        scratch = rom.with_name(f"{rom.name}.{os.getpid()}")
        payload.build_rom(source, scratch)
        scratch.rename(rom)
    return rom


def config(build: Build, folder: Path, rom: Path, options: Options) -> str:
    """The bochsrc of a run."""
    text = CONFIG.format(mem=options.mem, bios=BIOS, rom=rom, ram=folder / "ram.img", address=payload.HEADER,
                         cpus=options.cpus, quantum=options.quantum, serial=folder / "serial", log=folder / "bochs.log",
                         display="nogui" if build.headless else 'rfb, options="timeout=0"')
    return text + (PLUGINS if build.plugins else "")


def command(build: Build, folder: Path) -> list[str]:
    """The emulator's command line; a build with the debugger is told to go on."""
    words = [build.path, "-q", "-f", str(folder / "bochsrc")]
    return [*words, "-rc", str(folder / "debugger")] if build.debugger else words


def run(options: Options, kernel: Kernel) -> Outcome:
    """Boots the kernel and runs the command."""
    build, rom = find_build(), boot_rom()
    if not BIOS.exists():
        raise MachineError("no BIOS for Bochs", f"{BIOS} does not exist", "apt-get install bochsbios")
    image = payload.ram_image(payload.flatten_elf(kernel.elf().read_bytes()), build_initramfs(options, kernel, "bochs"),
                              command_line(options, "bochs"))
    if len(image) + (64 << 20) > options.mem << 20:
        raise MachineError("kernel and files do not fit the machine's memory",
                           f"{len(image) >> 20} MiB to load, {options.mem} MiB of memory", "raise --mem")
    with tempfile.TemporaryDirectory(prefix="vellum-machine-") as name:
        folder = Path(name)
        (folder / "ram.img").write_bytes(image)
        (folder / "debugger").write_text("c\n", encoding="ascii")
        (folder / "bochsrc").write_text(config(build, folder, rom, options), encoding="ascii")
        return emulator.run(command(build, folder), folder, folder / "serial", options, by_cpu=True)
