# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run is made of, independent of where it runs: the options, the initramfs, the outcome."""

from __future__ import annotations

import hashlib
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from cpio import Initramfs
from errors import MachineError
from frames import kmsg_text
from kernels import Kernel, cache_dir
from verdict import Status

HERE = Path(__file__).resolve().parent
TOP = HERE.parent.parent
NODE = "/dev/vellum"
ADD_DIR = "/add"
MARK = "machine: judged from here on"    # written by init.c
BUSYBOX = Path("/bin/busybox")

# A report ends the machine at once; the limits are seconds of the machine's own time.
CMDLINE_REPORTS = ("console=ttyS0,115200 quiet log_buf_len=1M panic=-1 oops=panic softlockup_panic=1 hung_task_panic=1 "
                   "watchdog_thresh=5 rcupdate.rcu_cpu_stall_timeout=10 sysctl.kernel.panic_on_rcu_stall=1 "
                   "sysctl.kernel.hung_task_timeout_secs=60").split()

# What need not be probed, tested or decoded when every instruction is emulated; found with initcall_debug.
SLOW_INITCALLS = ("trace_eval_init init_kprobe_trace cubictcp_register bpf_tcp_ca_kfunc_init bpf_dummy_struct_ops_init "
                  "jent_mod_init load_system_certificate_list init_blk_tracer").split()
CMDLINE_QUICK = ["no_timer_check", "nokaslr", "audit=0", "nmi_watchdog=0", "cryptomgr.notests", "random.trust_cpu=on",
                 "initcall_blacklist=" + ",".join(SLOW_INITCALLS)]

# Bochs: the processor model claims 3.5 GHz, but a second has as many ticks as the configuration's ips=.
# It also gives a wrong size for the compacted XSAVE area (XSAVEC, XSAVES), for which the kernel would
# give up XSAVE, and AVX with it, altogether.
CMDLINE_BOCHS = "tsc=reliable tsc_early_khz=100000 lpj=400000 clearcpuid=321,323".split()

# Costly protections that the tests do not look at, unless --mitigations keeps them.
CMDLINE_UNPROTECTED = "mitigations=off rodata=off".split()


@dataclass
class Options:
    """One run, as the command line asks for it."""

    command: list[str]
    kernel: str = "6.1"
    on: str | None = None
    cpus: int = 1
    mem: int = 512
    params: list[str] = field(default_factory=list)
    mode: str = "vellum"        # "vellum", "peer" or "bare"
    adds: list[str] = field(default_factory=list)
    modules: list[str] = field(default_factory=list)
    timeout: float = 600.0
    log: Path | None = None
    verbose: bool = False
    mitigations: bool = False
    quantum: int = 16
    append: str = ""
    module_file: Path | None = None
    keep_loaded: bool = False


@dataclass
class Outcome:
    """What a machine left behind."""

    verdict: str | None = None   # "exit", "signal", "insmod", "rmmod", "plan"; None: it never came
    value: int = 0
    failure: Status | None = None
    booted: bool = False
    counts: str = ""
    kmsg: list[str] = field(default_factory=list)
    console: str = ""

    def take(self, kind: str, data: bytes, out, err) -> None:
        """Takes one frame of PID 1; `out` and `err` get the command's output."""
        if kind in "oe":
            stream = out if kind == "o" else err
            stream.write(data)
            stream.flush()
        elif kind == "k":
            self.kmsg.append(kmsg_text(data))
        elif kind == "b":
            self.booted = True
            self.counts = f"boot {data.decode()}"
        elif kind == "c":
            self.counts += " " + data.decode()
        elif kind == "v":
            word, _, number = data.decode().partition(" ")
            self.verdict, self.value = word, int(number)

    def judged(self) -> str:
        """The part of the log that counts: after PID 1's mark, or all of it when boot did not get there."""
        parts = ["\n".join(self.kmsg), self.console]
        if self.booted:
            parts = [part.partition(MARK)[2] if MARK in part else part for part in parts]
        return "\n".join(parts)

    def log(self) -> str:
        """The kernel log, then what only the serial console saw."""
        text = "\n".join(self.kmsg) + "\n"
        if self.console:
            text += "--- serial console ---\n" + self.console
        return text


def module_under_test(options: Options, kernel: Kernel) -> Path:
    """vellum.ko for this kernel."""
    path = options.module_file or TOP / "build" / kernel.release / "vellum.ko"
    if not path.is_file():
        raise MachineError(f"no vellum.ko for kernel {kernel.release}", f"{path} does not exist",
                           "make kmod, or --peer for kvm_intel, or --bare for no module")
    return path


def built_init() -> bytes:
    """PID 1, compiled when its source has changed."""
    source = HERE / "init.c"
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    binary = cache_dir() / "machine" / f"init-{digest}"
    if not binary.exists():
        binary.parent.mkdir(exist_ok=True)
        scratch = binary.with_name(f"{binary.name}.{os.getpid()}")
        built = subprocess.run(["gcc", "-static", "-O2", "-Wall", "-Wextra", "-o", str(scratch), str(source)],
                               capture_output=True, text=True, check=False)
        if built.returncode != 0:
            raise MachineError("cannot compile the machine's PID 1", built.stderr.strip(), "install gcc and libc6-dev")
        scratch.rename(binary)
    return binary.read_bytes()


def split_add(argument: str) -> tuple[Path, str]:
    """SRC[:DST] as (source, absolute destination); without DST the file goes to /add."""
    source, _, destination = argument.partition(":")
    path = Path(source)
    if not destination or destination.endswith("/"):
        destination = f"{destination.rstrip('/') or ADD_DIR}/{path.resolve().name}"
    return path, destination if destination.startswith("/") else f"{ADD_DIR}/{destination}"


def resolve_command(options: Options, tree: Initramfs) -> list[str]:
    """The command as the machine sees it: a program named by a host path is added by itself."""
    program = options.command[0]
    host = Path(program)
    added = [split_add(item) for item in options.adds]
    if "/" in program and program not in tree.entries:
        for source, destination in added:
            if source.resolve() == host.resolve():
                return [destination, *options.command[1:]]
        if host.is_file():
            destination = f"{ADD_DIR}/{host.resolve().name}"
            tree.add(host, destination)
            return [destination, *options.command[1:]]
    return options.command


def add_basics(tree: Initramfs) -> None:
    """PID 1, the shell and its applets, mount points, account files."""
    if not BUSYBOX.exists():
        raise MachineError("no busybox on this host", f"{BUSYBOX} does not exist", "apt-get install busybox-static")
    tree.write("/init", built_init(), 0o755)
    tree.add(BUSYBOX, "/bin/busybox")
    applets = subprocess.run([str(BUSYBOX), "--list"], capture_output=True, text=True, check=True).stdout.split()
    for applet in applets:
        if applet != "busybox":
            tree.symlink("/bin/busybox", f"/bin/{applet}")
    for folder in ("/proc", "/sys", "/tmp", "/run", "/root", "/etc", "/mnt", "/var/tmp", ADD_DIR):
        tree.mkdir(folder)
    tree.device("/dev/console", 5, 1)
    tree.device("/dev/null", 1, 3, 0o666)
    tree.write("/etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n")
    tree.write("/etc/group", b"root:x:0:\nkvm:x:36:\nnogroup:x:65534:\n")
    tree.symlink("/machine/modules", "/lib/modules/here")


def place_module(tree: Initramfs, name: str, image: bytes) -> str:
    """Puts a module into the machine and returns its path."""
    path = f"/machine/modules/{name}.ko"
    tree.write(path, image)
    return path


def peer_steps(options: Options, kernel: Kernel, tree: Initramfs, backend: str) -> list[str]:
    """Loads kvm_intel; the emulator demands more alignment of its posted-interrupt block than KVM gives."""
    chain = kernel.with_dependencies("kvm-intel")
    params = ["enable_apicv=0"] if backend == "bochs" else []
    own = params + [item for item in options.params if not item.startswith("kvm.")]
    common = [item.removeprefix("kvm.") for item in options.params if item.startswith("kvm.")]
    arguments = {"kvm-intel": " ".join(own), "kvm": " ".join(common)}
    return [f"insmod {place_module(tree, name, image)} {arguments.get(name, '')}".rstrip() for name, image in chain]


def plan_steps(options: Options, kernel: Kernel, tree: Initramfs, backend: str) -> list[str]:
    """The steps before the command, and the modules they need."""
    steps: list[str] = []
    for name in options.modules:
        steps += [f"insmod {place_module(tree, part, image)}" for part, image in kernel.with_dependencies(name)]
    if options.mode == "peer":
        steps += peer_steps(options, kernel, tree, backend)
    elif options.mode == "vellum":
        image = module_under_test(options, kernel).read_bytes()
        steps.append(f"insmod {place_module(tree, 'vellum', image)} {' '.join(options.params)}".rstrip())
        steps.append(f"link {NODE} /dev/kvm")
        if not options.keep_loaded:
            steps.append("rmmod vellum")
    else:
        place_all(options, kernel, tree)
    return list(dict.fromkeys(steps))


def place_all(options: Options, kernel: Kernel, tree: Initramfs) -> None:
    """For --bare: every module is there for the command's own insmod, none is loaded."""
    if kernel.modules is not None:
        for name, image in kernel.with_dependencies("kvm-intel"):
            place_module(tree, name, image)
    for path in sorted((TOP / "build" / kernel.release).glob("*.ko")):
        place_module(tree, path.stem, path.read_bytes())
    if options.module_file:
        place_module(tree, "vellum", options.module_file.read_bytes())


def build_initramfs(options: Options, kernel: Kernel, backend: str) -> bytes:
    """The whole initramfs of a run."""
    tree = Initramfs()
    add_basics(tree)
    for item in options.adds:
        tree.add(*split_add(item))
    steps = plan_steps(options, kernel, tree, backend)
    argv = resolve_command(options, tree)
    tree.write("/machine/plan", "".join(step + "\n" for step in steps).encode())
    tree.write("/machine/argv", b"".join(os.fsencode(word) + b"\0" for word in argv))
    return tree.archive()


def command_line(options: Options, backend: str) -> str:
    """The kernel command line."""
    words = CMDLINE_REPORTS + CMDLINE_QUICK
    if backend == "bochs":
        words = words + CMDLINE_BOCHS
    if not options.mitigations:
        words = words + CMDLINE_UNPROTECTED
    return " ".join([*words, options.append]).strip()
