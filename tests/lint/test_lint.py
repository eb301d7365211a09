#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The linters judged: a clean small tree passes, each seeded fault is caught."""

import os
import sys
import tempfile
import unittest

import headers
import layering
import style

KERNEL = "// SPDX-License-Identifier: GPL-2.0-only\n"
KERNEL_H = "/* SPDX-License-Identifier: GPL-2.0-only */\n"
USER = "// SPDX-License-Identifier: GPL-2.0-or-later\n"


class Tree(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.root = self.dir.name
        self.add("kmod/mmu/platform.h", KERNEL_H + "#include <linux/types.h>\n")
        self.add("kmod/mmu/mmu.h", KERNEL_H + '#include "platform.h"\n')
        self.add("kmod/mmu/tdp.c", KERNEL + '#include "mmu.h"\n/* Map one page. I/O is not memory. */\n')
        self.add("kmod/vcpu/run.c", KERNEL + '#include <linux/kernel.h>\n#include "../mmu/mmu.h"\n')
        self.add("vmm/base/fd.h", USER + "#pragma once\nint f();\n")

    def tearDown(self):
        self.dir.cleanup()

    def add(self, path, text):
        full = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as f:
            f.write(text)

    def assert_caught(self, linter, path, words):
        problems = linter.check(self.root)
        self.assertEqual(len(problems), 1, problems)
        self.assertIn(path, problems[0])
        self.assertIn(words, problems[0])


class Clean(Tree):
    def test_clean_tree_passes(self):
        for linter in (layering, style, headers):
            self.assertEqual(linter.check(self.root), [])


class Layering(Tree):
    def test_mmu_must_not_include_vcpu(self):
        self.add("kmod/mmu/tdp.c", KERNEL + '#include "mmu.h"\n#include "../vcpu/request.h"\n')
        self.assert_caught(layering, "kmod/mmu/tdp.c:3", "mmu/ must not include vcpu/")

    def test_mmu_must_not_include_vcpu_by_the_include_path(self):
        self.add("kmod/mmu/tdp.c", KERNEL + '#include "vcpu/request.h"\n')
        self.assert_caught(layering, "kmod/mmu/tdp.c:2", "mmu/ must not include vcpu/")

    def test_mmu_must_not_include_vcpu_by_rooted_path(self):
        self.add("kmod/mmu/tdp.c", KERNEL + '#include "../../kmod/vcpu/request.h"\n')
        self.assert_caught(layering, "kmod/mmu/tdp.c:2", "leaves kmod/")

    def test_private_header(self):
        self.add("kmod/vcpu/run.c", KERNEL + '#include "../mmu/spte.h"\n')
        self.assert_caught(layering, "kmod/vcpu/run.c:2", "private to mmu/")

    def test_kernel_header_in_pure_folder(self):
        self.add("kmod/mmu/zap.c", KERNEL + "#include <linux/slab.h>\n")
        self.assert_caught(layering, "kmod/mmu/zap.c:2", "outside platform.h")

    def test_kernel_header_in_register_file(self):
        self.add("kmod/irqchip/pic_regs.c", KERNEL + "#include <linux/slab.h>\n")
        self.assert_caught(layering, "kmod/irqchip/pic_regs.c:2", "outside platform.h")

    def test_vm_may_only_include_the_request_header(self):
        self.add("kmod/vm/vm.c", KERNEL + '#include "../vcpu/request.h"\n#include "../vcpu/vcpu.h"\n')
        self.assert_caught(layering, "kmod/vm/vm.c:3", "vm/ must not include vcpu/")

    def test_version_test(self):
        self.add("kmod/vm/vm.c", KERNEL + "#if LINUX_VERSION_CODE > 1\n#endif\n")
        self.assert_caught(layering, "kmod/vm/vm.c:2", "kmod/compat/")
        self.add("kmod/vm/vm.c", KERNEL + "/* not LINUX_VERSION_CODE */\n")
        self.assertEqual(layering.check(self.root), [])

    def test_user_space_must_not_include_the_module(self):
        self.add("vmm/base/fd.cc", USER + '#include "../../kmod/mmu/mmu.h"\n')
        self.assert_caught(layering, "vmm/base/fd.cc:2", "must not include the module")

    def test_levels_of_vmm(self):
        self.add("vmm/base/fd.cc", USER + '#include "machine/machine.h"\n')
        self.assert_caught(layering, "vmm/base/fd.cc:2", "base/ must not include machine/")


class Style(Tree):
    def test_missing_licence(self):
        self.add("kmod/vm/vm.c", "int x;\n")
        self.assert_caught(style, "kmod/vm/vm.c:1", "GPL-2.0-only")

    def test_wrong_licence(self):
        self.add("vmm/base/fd.cc", KERNEL)
        self.assert_caught(style, "vmm/base/fd.cc:1", "GPL-2.0-or-later")

    def test_taken_prefix(self):
        self.add("kmod/vm/vm.c", KERNEL + "int kvm_create(void);\n")
        self.assert_caught(style, "kmod/vm/vm.c:2", "taken")

    def test_struct_of_the_abi_is_no_taken_name(self):
        self.add("kmod/vm/vm.c", KERNEL + "int vlm_set(struct kvm_regs *r);\n/* kvm_get() */\n")
        self.assertEqual(style.check(self.root), [])

    def test_pronoun(self):
        self.add("kmod/vm/vm.c", KERNEL + "/*\n * Here we go.\n */\n")
        self.assert_caught(style, "kmod/vm/vm.c:3", "'we'")

    def test_trailing_blank(self):
        self.add("kmod/vm/vm.c", KERNEL + "int x; \n")
        self.assert_caught(style, "kmod/vm/vm.c:2", "trailing blank")


class Headers(Tree):
    def test_header_that_needs_another(self):
        self.add("vmm/base/error.h", USER + "#pragma once\nstd::string Text();\n")
        self.assert_caught(headers, "vmm/base/error.h", "does not compile alone")

    def test_header_without_guard(self):
        self.add("vmm/base/error.h", USER + "struct Error {};\n")
        self.assert_caught(headers, "vmm/base/error.h", "redefinition")


if __name__ == "__main__":
    sys.argv[1:] = sys.argv[1:] or ["-q"]
    unittest.main()
