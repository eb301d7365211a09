# SPDX-License-Identifier: GPL-2.0-or-later
"""Turns a bzImage into an ELF kernel, and kernel + initramfs into the RAM image that rom.S expects."""

from __future__ import annotations

import gzip
import lzma
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from errors import MachineError

BLOCK = 0x20000
HEADER = 0x800000
FILLER_BLOCKS = 40
FILLER_MARK = 1024
CMDLINE_OFFSET = 64
CMDLINE_MAX = 2047
PT_LOAD = 1


def decompress(data: bytes) -> bytes:
    """Decompresses by magic number; bytes after the end of the stream are ignored."""
    if data[:6] == b"\xfd7zXZ\0":
        return lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(data)
    if data[:4] == b"\x28\xb5\x2f\xfd":
        return subprocess.run(["zstd", "-dcq"], input=data, capture_output=True, check=True).stdout
    if data[:2] == b"\x1f\x8b":
        return gzip.decompress(data)
    if data[:4] == b"\x02\x21\x4c\x18":
        return subprocess.run(["lz4", "-dcq"], input=data, capture_output=True, check=True).stdout
    return data


def unpack_bzimage(image: bytes) -> bytes:
    """The ELF kernel inside a bzImage; an ELF image comes back unchanged."""
    if image[:4] == b"\x7fELF":
        return image
    if len(image) < 0x260 or image[0x202:0x206] != b"HdrS":
        raise MachineError("the kernel image is neither a bzImage nor an ELF file", "no setup header found",
                           "give a vmlinuz or vmlinux file")
    setup_sectors = image[0x1f1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    # The last four bytes of the payload are its unpacked size.
    try:
        return decompress(image[start:start + length - 4])
    except FileNotFoundError as error:
        raise MachineError("the kernel does not unpack", f"no program {error.filename}",
                           f"apt-get install {error.filename}") from error
    except (EOFError, OSError, lzma.LZMAError, subprocess.CalledProcessError) as error:
        raise MachineError("the kernel does not unpack", str(error), "fetch the file again") from error


@dataclass(frozen=True)
class FlatKernel:
    """A kernel as it lies in memory, bss included."""

    base: int
    entry: int
    image: bytes


def flatten_elf(elf: bytes) -> FlatKernel:
    """Lays the loadable segments out at their physical addresses."""
    if elf[:4] != b"\x7fELF" or elf[4] != 2:
        raise MachineError("the kernel is no 64-bit ELF file", "wrong magic number", "give an x86-64 kernel")
    entry, phoff = struct.unpack_from("<QQ", elf, 24)
    size, count = struct.unpack_from("<HH", elf, 54)
    loads = []
    for at in range(phoff, phoff + size * count, size):
        kind, _, offset, virtual, physical, in_file, in_memory = struct.unpack_from("<IIQQQQQ", elf, at)
        if kind == PT_LOAD:
            loads.append((physical, virtual, offset, in_file, in_memory))
    base = min(load[0] for load in loads)
    image = bytearray(max(load[0] + load[4] for load in loads) - base)
    for physical, virtual, offset, in_file, in_memory in loads:
        image[physical - base:physical - base + in_file] = elf[offset:offset + in_file]
        if virtual <= entry < virtual + in_memory:
            entry += physical - virtual
    return FlatKernel(base, entry, bytes(image))


def padded(data: bytes, unit: int = BLOCK) -> bytes:
    """`data` with zeroes up to a multiple of `unit`."""
    return data + bytes(-len(data) % unit)


def ram_image(kernel: FlatKernel, initramfs: bytes, cmdline: str) -> bytes:
    """Header block, filler blocks, kernel and initramfs, in the order of rom.S."""
    text = cmdline.encode()
    if len(text) > CMDLINE_MAX:
        raise MachineError("the kernel command line is too long", f"{len(text)} bytes, at most {CMDLINE_MAX}",
                           "shorten --append")
    if kernel.base % BLOCK or kernel.base < HEADER + (FILLER_BLOCKS + 2) * BLOCK:
        raise MachineError("this kernel does not fit the boot ROM", f"it loads at {kernel.base:#x}",
                           "use a kernel that loads at 16 MiB")
    image = padded(kernel.image)
    initramfs_base = kernel.base + len(image)
    image += padded(initramfs)
    header = struct.pack("<4s7I", b"VLMB", FILLER_BLOCKS, kernel.base, len(image) // BLOCK, initramfs_base,
                         len(initramfs), kernel.entry, HEADER + BLOCK)
    header = padded(header, CMDLINE_OFFSET) + text + b"\0"
    filler = b"".join(padded(bytes(FILLER_MARK) + struct.pack("<4sI", b"FILL", number))
                      for number in range(1, FILLER_BLOCKS + 1))
    return padded(header) + filler + image


def with_checksum(rom: bytes) -> bytes:
    """The option ROM with its last byte set so that all bytes add up to zero."""
    return rom[:-1] + bytes([-sum(rom[:-1]) & 0xff])


def build_rom(source: Path, output: Path) -> None:
    """Assembles rom.S."""
    scratch = output.with_suffix(".o")
    subprocess.run(["gcc", "-c", f"-DHEADER={HEADER}", "-o", str(scratch), str(source)], check=True)
    subprocess.run(["ld", "-m", "elf_x86_64", "--oformat", "binary", "-Ttext", "0", "-e", "0", "-o", str(output),
                    str(scratch)], check=True)
    output.write_bytes(with_checksum(output.read_bytes()))
    scratch.unlink()
