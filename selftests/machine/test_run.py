#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests of the machine that need no boot: command lines, archives, judgement, refusals."""

from __future__ import annotations

import contextlib
import io
import lzma
import os
import stat
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent))

import bochs
import emulator
import frames
import host
import kernels
import machine
import payload
import qemu
import run
from cpio import Initramfs
from errors import MachineError
from verdict import Status, judge


def frame(kind: str, data: bytes) -> bytes:
    """A frame as PID 1 sends it."""
    return frames.MAGIC + kind.encode() + struct.pack("<H", len(data)) + data


class Frames(unittest.TestCase):
    """The stream from port 0xE9."""

    def test_frames_survive_any_split_and_chatter(self) -> None:
        stream = b"Next at t=0\n" + frame("o", b"hello\n") + b"noise" + frame("v", b"exit 7")
        for cut in range(len(stream)):
            reader = frames.FrameReader()
            got = reader.feed(stream[:cut]) + reader.feed(stream[cut:])
            self.assertEqual(got, [("o", b"hello\n"), ("v", b"exit 7")])
            self.assertEqual(bytes(reader.chatter), b"Next at t=0\nnoise")

    def test_kmsg_record(self) -> None:
        text = frames.kmsg_text(b"12,345,5872001,-;WARNING: x\\x0asecond\n SUBSYSTEM=pci\n")
        self.assertEqual(text, "<4>[    5.872001] WARNING: x\n<4>[    5.872001] second")

    def test_outcome_takes_frames(self) -> None:
        outcome, out, err = machine.Outcome(), io.BytesIO(), io.BytesIO()
        for kind, data in (("b", b"5"), ("o", b"a"), ("e", b"b"), ("k", b"4,1,2,-;x"), ("v", b"signal 9")):
            outcome.take(kind, data, out, err)
        self.assertEqual((out.getvalue(), err.getvalue(), outcome.verdict, outcome.value), (b"a", b"b", "signal", 9))


class Judgement(unittest.TestCase):
    """Kernel log to status."""

    CASES = {
        Status.WARN: "WARNING: CPU: 0 PID: 79 at kmod/main.c:34 init+0x2c/0x1000 [vellum]",
        Status.OOPS: "BUG: kernel NULL pointer dereference, address: 0000000000000000",
        Status.PANIC: "Kernel panic - not syncing: provoked",
        Status.LOCKUP: "watchdog: BUG: soft lockup - CPU#0 stuck for 13s! [insmod:79]",
        Status.LOCKDEP: "WARNING: possible circular locking dependency detected",
        Status.SANITIZER: "BUG: KASAN: use-after-free in foo+0x1/0x2",
    }
    MORE = {
        Status.OOPS: ("kernel BUG at kmod/main.c:38!", "general protection fault, maybe for address 0x1: 0000 [#1]"),
        Status.LOCKUP: ("INFO: task provoke:81 blocked for more than 61 seconds.",
                        "rcu: INFO: rcu_preempt self-detected stall on CPU"),
        Status.LOCKDEP: ("BUG: scheduling while atomic: insmod/80/0x00000002", "WARNING: suspicious RCU usage",
                         "BUG: sleeping function called from invalid context at mm/util.c:1"),
        Status.WARN: ("refcount_t: underflow; use-after-free.",),
        Status.SANITIZER: ("UBSAN: shift-out-of-bounds in x.c:1:2", "BUG vlm_page (Tainted: G    W): Poison overwritten",
                           "kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)"),
    }

    def test_each_report_has_its_status(self) -> None:
        for status, line in self.CASES.items():
            self.assertEqual(judge(f"[ 1.0] fine\n[ 2.0] {line}\n").status, status, line)
        for status, lines in self.MORE.items():
            for line in lines:
                self.assertEqual(judge(line).status, status, line)

    def test_statuses_are_distinct_and_above_those_of_commands(self) -> None:
        self.assertEqual(len(set(Status)), len(list(Status)))
        self.assertTrue(all(200 <= status < 256 for status in Status))

    def test_a_clean_log_has_none(self) -> None:
        self.assertIsNone(judge("<4>[ 1.0] vellum: loading out-of-tree module taints kernel.\n"
                                "<6>[ 1.0] traps: a.out[80] general protection fault ip:401000 sp:7ffd error:0\n"))

    def test_the_cause_of_a_panic_counts(self) -> None:
        oops = self.CASES[Status.OOPS] + "\nKernel panic - not syncing: Fatal exception\n"
        self.assertEqual(judge(oops).status, Status.OOPS)

    def test_lines_begin_just_before_the_report(self) -> None:
        log = "".join(f"line {n}\n" for n in range(50)) + self.CASES[Status.WARN]
        self.assertEqual(judge(log).lines[:2], ["line 48", "line 49"])

    def test_boot_messages_do_not_count(self) -> None:
        outcome = machine.Outcome(booted=True, kmsg=[self.CASES[Status.WARN], f"<4>[ 3.9] {machine.MARK}", "fine"],
                                  console=f"{self.CASES[Status.OOPS]}\n{machine.MARK}\n")
        self.assertIsNone(judge(outcome.judged()))
        outcome.kmsg.append(self.CASES[Status.WARN])
        self.assertEqual(judge(outcome.judged()).status, Status.WARN)

    def test_without_the_mark_everything_counts(self) -> None:
        self.assertEqual(judge(machine.Outcome(console=self.CASES[Status.PANIC]).judged()).status, Status.PANIC)


class FinalStatus(unittest.TestCase):
    """What run.py exits with."""

    def status(self, log: str = "", **fields) -> int:
        return run.final_status(machine.Outcome(**fields), judge(log))

    def test_the_command_decides_when_nothing_else_happened(self) -> None:
        self.assertEqual(self.status(verdict="exit", value=7), 7)
        self.assertEqual(self.status(verdict="signal", value=9), 137)

    def test_the_log_comes_before_the_command_and_the_timeout(self) -> None:
        warning = Judgement.CASES[Status.WARN]
        self.assertEqual(self.status(warning, verdict="exit", value=0), Status.WARN)
        self.assertEqual(self.status(warning, failure=Status.TIMEOUT), Status.WARN)

    def test_the_machine_failures(self) -> None:
        self.assertEqual(self.status(failure=Status.TIMEOUT), Status.TIMEOUT)
        self.assertEqual(self.status(verdict="insmod", value=16), Status.INSMOD)
        self.assertEqual(self.status(verdict="rmmod", value=11), Status.RMMOD)
        self.assertEqual(self.status(verdict="plan", value=22), Status.SETUP)


class Arguments(unittest.TestCase):
    """The public command line."""

    def refused(self, *arguments: str) -> None:
        with contextlib.redirect_stderr(io.StringIO()), self.assertRaises(SystemExit) as caught:
            run.parse(list(arguments))
        self.assertEqual(caught.exception.code, 2)

    def test_the_contract(self) -> None:
        options = run.parse("--kernel 6.12 --on bochs --cpus 2 --mem 1024 --param ept=0 --param vpid=1 --add a:/b "
                            "--timeout 9 --log l -- prog -x --on".split())
        self.assertEqual(options.command, ["prog", "-x", "--on"])
        self.assertEqual((options.kernel, options.on, options.cpus, options.mem), ("6.12", "bochs", 2, 1024))
        self.assertEqual((options.params, options.adds, options.timeout), (["ept=0", "vpid=1"], ["a:/b"], 9))
        self.assertEqual((options.mode, options.log), ("vellum", Path("l")))

    def test_peer_and_bare(self) -> None:
        self.assertEqual(run.parse(["--peer", "--", "x"]).mode, "peer")
        self.assertEqual(run.parse(["--bare", "--", "x"]).mode, "bare")
        self.refused("--peer", "--bare", "--", "x")

    def test_nonsense_is_refused(self) -> None:
        for words in ("", "--", "--cpus 0 -- x", "--cpus 99 -- x", "--mem 1 -- x", "--timeout 0 -- x",
                      "--timeout -5 -- x", "--on moon -- x", "--mem much -- x"):
            self.refused(*words.split())

    def test_a_script_comes_along(self) -> None:
        options = run.parse(["--script", "/tmp/it.sh", "--", "arg"])
        self.assertEqual((options.command, options.adds), (["sh", "/add/it.sh", "arg"], ["/tmp/it.sh"]))


class Backends(unittest.TestCase):
    """Where to run."""

    VMX = "processor : 0\nflags : fpu vmx ept\n"

    def test_qemu_needs_vmx_kvm_and_nesting(self) -> None:
        self.assertIsNone(qemu.refusal(self.VMX, True, True))
        self.assertIn("VMX", qemu.refusal("flags : fpu svm vmxoff\n", True, True)[0])
        self.assertIn("/dev/kvm", qemu.refusal(self.VMX, False, True)[0])
        self.assertIn("nested", qemu.refusal(self.VMX, True, False)[0])

    def test_the_host_is_never_chosen(self) -> None:
        for refusal in (None, ("why", "try")):
            with mock.patch.object(qemu, "host_refusal", return_value=refusal):
                options = machine.Options(command=["x"])
                self.assertEqual(run.choose_backend(options), "bochs" if refusal else "qemu")
                options.on = "host"
                self.assertEqual(run.choose_backend(options), "host")

    def test_qemu_refuses_without_vmx(self) -> None:
        with mock.patch.object(qemu, "host_refusal", return_value=("no VMX", "--on bochs")):
            with self.assertRaisesRegex(MachineError, "QEMU cannot run"):
                qemu.run(machine.Options(command=["x"]), kernels.Kernel("6.1", Path("/k"), None))

    def test_qemu_command_line(self) -> None:
        words = qemu.command(machine.Options(command=["x"], cpus=2, mem=768), Path("/k/vmlinuz"), Path("/run/f"))
        line = " ".join(words)
        for part in ("accel=kvm", "-cpu host,+vmx", "-smp 2", "-m 768", "-kernel /k/vmlinuz", "-initrd /run/f/initramfs",
                     "isa-debugcon,iobase=0xe9", "-no-reboot", "-serial file:/run/f/serial"):
            self.assertIn(part, line)
        self.assertNotIn("tsc_early_khz", words[words.index("-append") + 1])

    def test_bochs_configuration(self) -> None:
        packaged = bochs.Build("/usr/bin/bochs", debugger=True, plugins=True, headless=False)
        fast = bochs.Build("/opt/bochs", debugger=False, plugins=False, headless=True)
        options = machine.Options(command=["x"], cpus=2, mem=640, quantum=5)
        text = bochs.config(packaged, Path("/f"), Path("/rom"), options)
        for part in ("guest=640, host=640", "count=2", "quantum=5", "error: action=ignore", "info: action=ignore",
                     "sync=none", "plugin_ctrl", "rfb", "optramimage1: file=/f/ram.img, address=0x800000"):
            self.assertIn(part, text)
        self.assertIn("nogui", bochs.config(fast, Path("/f"), Path("/rom"), options))
        self.assertIn("-rc", bochs.command(packaged, Path("/f")))
        self.assertNotIn("-rc", bochs.command(fast, Path("/f")))

    def test_host_needs_root_and_a_module(self) -> None:
        options = machine.Options(command=["x"], module_file=Path("/nowhere.ko"))
        with mock.patch.object(os, "geteuid", return_value=1000), self.assertRaisesRegex(MachineError, "root"):
            host.checked(options)
        with mock.patch.object(os, "geteuid", return_value=0), self.assertRaisesRegex(MachineError, "vellum.ko"):
            host.checked(options)

    def test_kernel_command_line(self) -> None:
        plain = machine.command_line(machine.Options(command=["x"], append="foo=1"), "bochs").split()
        safe = machine.command_line(machine.Options(command=["x"], mitigations=True), "bochs").split()
        self.assertIn("mitigations=off", plain)
        self.assertNotIn("mitigations=off", safe)
        self.assertEqual(plain[-1], "foo=1")


class Archive(unittest.TestCase):
    """The initramfs."""

    def unpacked(self, tree: Initramfs, folder: str) -> Path:
        subprocess.run(["/bin/busybox", "cpio", "-idm"], input=tree.archive(), cwd=folder, check=True,
                       stderr=subprocess.DEVNULL)
        return Path(folder)

    def test_cpio_reads_it_back(self) -> None:
        tree = Initramfs()
        tree.write("/a/b/c", b"text", 0o755)
        tree.write("/empty", b"")
        tree.symlink("b/c", "/a/link")
        tree.mkdir("/tmp", 0o777)
        with tempfile.TemporaryDirectory() as folder:
            root = self.unpacked(tree, folder)
            self.assertEqual((root / "a/link").read_bytes(), b"text")
            self.assertEqual(stat.S_IMODE((root / "a/b/c").stat().st_mode), 0o755)
            self.assertEqual((root / "empty").read_bytes(), b"")
            self.assertTrue((root / "tmp").is_dir())

    def test_equal_input_gives_equal_bytes(self) -> None:
        first, second = Initramfs(), Initramfs()
        for tree, names in ((first, "ab"), (second, "ba")):
            for name in names:
                tree.write(f"/{name}", name.encode())
        self.assertEqual(first.archive(), second.archive())

    def test_a_program_brings_its_libraries(self) -> None:
        tree = Initramfs()
        tree.add(Path(sys.executable).resolve(), "/add/python")
        self.assertTrue(any("libc.so.6" in name for name in tree.entries))
        self.assertTrue(any("ld-linux" in name for name in tree.entries))

    def test_folders_and_missing_files(self) -> None:
        tree = Initramfs()
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "sub").mkdir()
            (Path(folder) / "sub" / "f").write_text("x", encoding="ascii")
            tree.add(Path(folder), "/add/d")
        self.assertEqual(tree.entries["/add/d/sub/f"].data, b"x")
        with self.assertRaises(MachineError):
            tree.add(Path("/no/such/file"), "/x")

    def test_where_added_files_go(self) -> None:
        self.assertEqual(machine.split_add("/bin/busybox")[1], "/add/busybox")
        self.assertEqual(machine.split_add("/bin/busybox:/x/y")[1], "/x/y")
        self.assertEqual(machine.split_add("/bin/busybox:/x/")[1], "/x/busybox")
        self.assertEqual(machine.split_add("/bin/busybox:name")[1], "/add/name")

    def test_a_command_on_the_host_is_added(self) -> None:
        tree = Initramfs()
        options = machine.Options(command=["/bin/busybox", "ls"])
        self.assertEqual(machine.resolve_command(options, tree), ["/add/busybox", "ls"])
        self.assertIn("/add/busybox", tree.entries)
        self.assertEqual(machine.resolve_command(machine.Options(command=["ls"]), tree), ["ls"])
        options = machine.Options(command=["/bin/busybox"], adds=["/bin/busybox:/x/bb"])
        self.assertEqual(machine.resolve_command(options, tree), ["/x/bb"])

    def test_the_plan_of_vellum_and_of_the_peer(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            module = Path(folder) / "vellum.ko"
            module.write_bytes(b"ko")
            options = machine.Options(command=["x"], params=["ept=0"], module_file=module)
            kernel = kernels.Kernel("6.1.0-1-amd64", Path("/k"), None)
            self.assertEqual(machine.plan_steps(options, kernel, Initramfs(), "bochs"),
                             ["insmod /machine/modules/vellum.ko ept=0", "link /dev/vellum /dev/kvm", "rmmod vellum"])
            options.module_file = Path(folder) / "absent.ko"
            with self.assertRaisesRegex(MachineError, "no vellum.ko"):
                machine.plan_steps(options, kernel, Initramfs(), "bochs")

    def test_the_peer_loads_its_dependencies_first(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            modules = Path(folder)
            for name, depends in (("irqbypass", ""), ("kvm", "irqbypass"), ("kvm-intel", "kvm")):
                (modules / f"{name}.ko.xz").write_bytes(lzma.compress(f"\0depends={depends}\0".encode()))
            (modules / "modules.builtin").write_text("", encoding="ascii")
            options = machine.Options(command=["x"], mode="peer", params=["ept=0", "kvm.halt_poll_ns=0"])
            steps = machine.plan_steps(options, kernels.Kernel("6", Path("/k"), modules), Initramfs(), "bochs")
        self.assertEqual(steps, ["insmod /machine/modules/irqbypass.ko",
                                 "insmod /machine/modules/kvm.ko halt_poll_ns=0",
                                 "insmod /machine/modules/kvm-intel.ko enable_apicv=0 ept=0"])


def small_elf(base: int, data: bytes) -> bytes:
    """An ELF file with one segment at physical `base`, entered at its first byte."""
    head = b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0xffffffff81000000, 64, 0, 0, 64, 56, 1,
                                                   0, 0, 0)
    return head + struct.pack("<IIQQQQQQ", 1, 5, 120, 0xffffffff81000000, base, len(data), len(data) + 8, 0) + data


class Payload(unittest.TestCase):
    """Kernel images and the RAM image."""

    def test_an_elf_is_laid_out_with_its_bss(self) -> None:
        flat = payload.flatten_elf(small_elf(0x1000000, b"code"))
        self.assertEqual((flat.base, flat.entry, flat.image), (0x1000000, 0x1000000, b"code" + bytes(8)))

    def test_bzimages_are_unpacked(self) -> None:
        elf = small_elf(0x1000000, b"code")
        packed = lzma.compress(elf) + len(elf).to_bytes(4, "little")
        image = bytearray(0x400) + packed
        image[0x1f1], image[0x202:0x206] = 1, b"HdrS"
        struct.pack_into("<II", image, 0x248, 0, len(packed))
        self.assertEqual(payload.unpack_bzimage(bytes(image)), elf)
        self.assertEqual(payload.unpack_bzimage(elf), elf)
        for garbage in (b"", b"garbage" * 500, bytes(image[:0x210])):
            with self.assertRaises(MachineError):
                payload.unpack_bzimage(garbage)

    def test_ram_image(self) -> None:
        flat = payload.flatten_elf(small_elf(0x1000000, b"code"))
        image = payload.ram_image(flat, b"initramfs", "quiet")
        magic, fillers, base, blocks, initrd, size, entry, scratch = struct.unpack_from("<4s7I", image)
        self.assertEqual((magic, base, blocks, size, entry), (b"VLMB", 0x1000000, 2, 9, 0x1000000))
        self.assertEqual((initrd, scratch), (0x1000000 + payload.BLOCK, payload.HEADER + payload.BLOCK))
        self.assertEqual(image[64:70], b"quiet\0")
        for number in range(1, fillers + 1):
            at = number * payload.BLOCK + payload.FILLER_MARK
            self.assertEqual(struct.unpack_from("<4sI", image, at), (b"FILL", number))
        kernel = (fillers + 1) * payload.BLOCK
        self.assertEqual(image[kernel:kernel + 4], b"code")
        self.assertEqual(image[kernel + payload.BLOCK:kernel + payload.BLOCK + 9], b"initramfs")

    def test_limits(self) -> None:
        flat = payload.flatten_elf(small_elf(0x1000000, b"code"))
        with self.assertRaisesRegex(MachineError, "command line"):
            payload.ram_image(flat, b"", "x" * 3000)
        with self.assertRaisesRegex(MachineError, "boot ROM"):
            payload.ram_image(payload.flatten_elf(small_elf(0x100000, b"code")), b"", "")

    def test_the_rom_adds_up_to_zero(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            rom = Path(folder) / "rom"
            payload.build_rom(machine.HERE / "rom.S", rom)
            data = rom.read_bytes()
        self.assertEqual((len(data), sum(data) & 0xff, data[:2]), (4096, 0, b"\x55\xaa"))

    def test_module_helpers(self) -> None:
        self.assertEqual(kernels.module_depends(b"x\0depends=kvm,irqbypass\0y"), ["kvm", "irqbypass"])
        self.assertEqual(kernels.module_depends(b"x\0depends=\0y"), [])
        signed = b"module" + b"s" * 20 + bytes(8) + (20).to_bytes(4, "big") + b"~Module signature appended~\n"
        self.assertEqual(kernels.without_signature(signed), b"module")
        self.assertEqual(kernels.without_signature(b"module"), b"module")


class Emulator(unittest.TestCase):
    """The watch over the emulator process, with a shell in its place."""

    def outcome(self, script: str, timeout: float, by_cpu: bool) -> machine.Outcome:
        with tempfile.TemporaryDirectory() as folder:
            options = machine.Options(command=["x"], timeout=timeout)
            return emulator.run(["sh", "-c", script], Path(folder), Path(folder) / "serial", options, by_cpu)

    def test_a_process_that_sleeps_is_stuck(self) -> None:
        with mock.patch.object(emulator, "STUCK_AFTER", 0.3):
            self.assertEqual(self.outcome("sleep 60", 0.5, True).failure, Status.STUCK)

    def test_time_limits(self) -> None:
        self.assertEqual(self.outcome("while :; do :; done", 0.3, True).failure, Status.TIMEOUT)
        self.assertEqual(self.outcome("sleep 60", 0.3, False).failure, Status.TIMEOUT)

    def test_an_end_without_verdict(self) -> None:
        self.assertEqual(self.outcome("echo hello", 60, True).failure, Status.BOOT)
        booted = frame("b", b"5").decode("latin-1").replace("\0", "\\000").replace("\x1e", "\\036")
        self.assertEqual(self.outcome(f"printf '{booted}'", 60, True).failure, Status.DIED)

    def test_a_verdict_ends_it(self) -> None:
        said = frame("v", b"exit 7").decode("latin-1").replace("\0", "\\000").replace("\x1e", "\\036")
        outcome = self.outcome(f"printf '{said}'; sleep 60", 60, True)
        self.assertEqual((outcome.verdict, outcome.value, outcome.failure), ("exit", 7, None))


if __name__ == "__main__":
    unittest.main()
