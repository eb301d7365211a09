#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds vellum.ko with a known bug, to see in the machine that a test notices it.

    mutants.py NAME SERIES      builds build/<release>/mutants/NAME.ko from what make kmod left

Only the files with the bug are compiled again. Lists of tests name a mutant as `mutant = "NAME"`.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "machine"))

from errors import MachineError  # noqa: E402
from kernels import headers_dir, release_of  # noqa: E402

BUILD = HERE.parent / "build"


@dataclass(frozen=True)
class Mutant:
    """A bug: text of a file of kmod/ that is replaced."""
    what: str
    edits: tuple[tuple[str, str, str], ...]


MUTANTS = {
    "root_believed_valid": Mutant(
        "a vCPU does not ask whether its root is of the current generation",
        (("mmu/mmu.c", "mv->root && !READ_ONCE(mv->root->invalid) && mv->root", "mv->root && mv->root"),)),
    "fault_on_obsolete_root": Mutant(
        "a fault installs into a root that was cut off",
        (("mmu/fault.c", "mv->root->invalid || vlm_notifier_must_retry(", "vlm_notifier_must_retry("),)),
    "zap_until_empty": Mutant(
        "zap-all goes on until no translation is left, whoever made it",
        (("mmu/zap.c", "void vlm_zap_cut_off(struct vlm_mmu *mmu)\n{\n", """\
static bool zap_until_empty(struct vlm_mmu *mmu)
{
	struct vlm_mmu_page *root;
	struct vlm_tdp_op op;

	do {
		vlm_tdp_begin(&op, mmu, VLM_LOCK_EXCLUSIVE, VLM_MAY_YIELD);
		vlm_for_each_root(mmu, root, VLM_ROOTS_ALL)
			vlm_tdp_zap_leaves(&op, root, 0, ~0ull);
		vlm_tdp_end(&op);
		vlm_platform_resched();
	} while (vlm_stat_read(&mmu->stats, VLM_STAT_PAGES_4K));
	return true;
}

void vlm_zap_cut_off(struct vlm_mmu *mmu)
{
	if (zap_until_empty(mmu))
		return;
"""),)),
    "generation_wrap_ignored": Mutant(
        "mmio entries of an earlier round of the generation are believed",
        (("mmu/generation.c", "return !(gen & VLM_MMIO_GEN_MASK & ~(u64)(VLM_AS_NUM - 1));", "return false;"),)),
}


def seed(mutant: Mutant, tree: Path) -> None:
    """Puts the bug into the sources of a tree, which may be links to the real ones."""
    for name, old, new in mutant.edits:
        path = tree / name
        text = path.read_text(encoding="utf-8")
        if text.count(old) != 1:
            raise MachineError(f"the mutant does not fit: {name} has {text.count(old)} places like {old!r}",
                               mutant.what, "bring selftests/mutants.py up to date")
        path.unlink()
        path.write_text(text.replace(old, new), encoding="utf-8")


def copy_tree(built: Path, tree: Path) -> None:
    """A copy that Kbuild takes for up to date: it compares whole command lines, which name the folder."""
    shutil.rmtree(tree, ignore_errors=True)
    shutil.copytree(built, tree, symlinks=True, ignore=shutil.ignore_patterns("vellum.ko", "vellum.o"))
    for path in tree.rglob("*"):
        if path.suffix in (".cmd", ".mod", ".order") and path.is_file():
            text = path.read_text(encoding="utf-8")
            if str(built) in text:
                path.write_text(text.replace(str(built), str(tree)), encoding="utf-8")


def build(name: str, built: Path, headers: Path, out: Path, words: list[str]) -> Path:
    """out/NAME.ko, from the tree of an unchanged build; words: as they were given to Kbuild there."""
    if name not in MUTANTS:
        raise MachineError(f"there is no mutant {name}", ", ".join(MUTANTS), "see selftests/mutants.py")
    if not (built / "vellum.ko").exists():
        raise MachineError(f"{built} has no vellum.ko", "a mutant is made from a built module", "make kmod")
    tree = out / name
    copy_tree(built, tree)
    seed(MUTANTS[name], tree)
    log = out / f"{name}.log"
    with log.open("w", encoding="utf-8") as sink:
        done = subprocess.run(["nice", "make", "-j2", "-C", str(headers), f"M={tree}", *words, "modules"],
                              stdout=sink, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise MachineError(f"the mutant {name} does not build", f"log: {log}", "read it")
    module = out / f"{name}.ko"
    subprocess.run(["strip", "--strip-debug", "-o", str(module), str(tree / "vellum.ko")], check=True)
    shutil.rmtree(tree)
    return module


def build_for(name: str, series: str) -> Path:
    """The same beside the module of make kmod."""
    release = release_of(series)
    out = BUILD / release / "mutants"
    out.mkdir(parents=True, exist_ok=True)
    return build(name, BUILD / release / "vellum", headers_dir(series), out,
                 ["W=1", "C=1", "CONFIG_DEBUG_INFO_BTF_MODULES="])


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="mutants.py", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=MUTANTS, metavar="NAME", help=", ".join(MUTANTS))
    parser.add_argument("series", choices=("6.1", "6.12"))
    given = parser.parse_args()
    try:
        print(build_for(given.name, given.series))
    except MachineError as error:
        print(f"mutants.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
