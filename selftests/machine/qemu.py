# SPDX-License-Identifier: GPL-2.0-or-later
"""The machine in QEMU with nested VMX."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import emulator
from errors import MachineError
from kernels import Kernel
from machine import Options, Outcome, build_initramfs, command_line


def has_vmx(cpuinfo: str) -> bool:
    """Whether /proc/cpuinfo shows VMX."""
    return any(line.startswith("flags") and "vmx" in line.split() for line in cpuinfo.splitlines())


def nested_enabled(parameter: Path = Path("/sys/module/kvm_intel/parameters/nested")) -> bool:
    """Whether kvm_intel of this host lets guests use VMX."""
    try:
        return parameter.read_text(encoding="ascii").strip() in ("Y", "1")
    except OSError:
        return False


def refusal(cpuinfo: str, kvm_usable: bool, nested: bool) -> tuple[str, str] | None:
    """(why, what to try) when this host cannot run the machine in QEMU."""
    if not has_vmx(cpuinfo):
        return "this processor does not show VMX", "--on bochs"
    if not kvm_usable:
        return "/dev/kvm is absent or not writable", "load kvm_intel and join group kvm, or --on bochs"
    if not nested:
        return "kvm_intel does not allow nested guests", "modprobe kvm_intel nested=1, or --on bochs"
    return None


def host_refusal() -> tuple[str, str] | None:
    """refusal() for this host."""
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    return refusal(cpuinfo, os.access("/dev/kvm", os.R_OK | os.W_OK), nested_enabled())


def command(options: Options, image: Path, folder: Path) -> list[str]:
    """QEMU's command line: PID 1 speaks through the debug console at port 0xE9."""
    return ["qemu-system-x86_64", "-machine", "q35,accel=kvm", "-cpu", "host,+vmx", "-smp", str(options.cpus),
            "-m", str(options.mem), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-kernel", str(image), "-initrd", str(folder / "initramfs"), "-append", command_line(options, "qemu"),
            "-serial", f"file:{folder / 'serial'}", "-chardev", "stdio,id=frames,signal=off",
            "-device", "isa-debugcon,iobase=0xe9,chardev=frames"]


def run(options: Options, kernel: Kernel) -> Outcome:
    """Boots the kernel and runs the command."""
    refused = host_refusal()
    if refused:
        raise MachineError("QEMU cannot run the machine here", *refused)
    if shutil.which("qemu-system-x86_64") is None:
        raise MachineError("QEMU is not here", "no program qemu-system-x86_64", "apt-get install qemu-system-x86")
    with tempfile.TemporaryDirectory(prefix="vellum-machine-") as name:
        folder = Path(name)
        (folder / "initramfs").write_bytes(build_initramfs(options, kernel, "qemu"))
        return emulator.run(command(options, kernel.image, folder), folder, folder / "serial", options)
