// SPDX-License-Identifier: GPL-2.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/platform.h"
#include "boot/linux_boot.h"
#include "fake_kernel.h"

namespace vmm {
namespace {

using test::Bytes;
using test::FakeElf;
using testing::HasSubstr;

class BootTest : public testing::Test {
 protected:
  void Kernel(const Bytes& bytes, bool unpack = true) {
    KernelOptions options;
    options.unpack = unpack;
    auto kernel = KernelImage::Open(folder_.File("kernel", bytes), options);
    ASSERT_TRUE(kernel) << kernel.error().why;
    kernel_ = std::move(*kernel);
    inputs_.kernel = &*kernel_;
  }
  template <typename T>
  T At(uint64_t gpa) {
    T value;
    std::memcpy(&value, memory_.At(gpa, sizeof(T)).data(), sizeof(T));
    return value;
  }

  test::TemporaryFolder folder_;
  GuestMemory memory_ = std::move(*GuestMemory::Create(64u << 20));
  std::optional<KernelImage> kernel_;
  BootInputs inputs_;
};

TEST_F(BootTest, Linux64) {
  const Bytes elf = test::MakeElf();
  Kernel(elf);
  const Bytes initrd(10000, 0x77);
  inputs_.initrd = initrd;
  inputs_.cmdline = "console=ttyS0";
  auto boot = LoadGuest(memory_, inputs_);
  ASSERT_TRUE(boot) << boot.error().why;
  EXPECT_EQ(boot->entry, EntryMode::kLinux64);
  EXPECT_EQ(boot->rip, 0x1000000u);
  EXPECT_EQ(std::memcmp(memory_.At(0x1000000, 0x3000).data(), elf.data() + 0x1000, 0x3000), 0);

  const auto params = At<boot_params>(boot->boot_info);
  EXPECT_EQ(params.hdr.header, 0x53726448u);
  EXPECT_EQ(params.hdr.type_of_loader, 0xff);
  EXPECT_STREQ(reinterpret_cast<const char*>(memory_.At(params.hdr.cmd_line_ptr, 64).data()),
               "console=ttyS0");
  EXPECT_EQ(params.hdr.ramdisk_size, initrd.size());
  EXPECT_EQ(params.hdr.ramdisk_image % kPageSize, 0u);
  EXPECT_EQ(memory_.At(params.hdr.ramdisk_image, initrd.size()).back(), 0x77);
  EXPECT_EQ(params.acpi_rsdp_addr, kAcpiAddress);
  EXPECT_EQ(std::memcmp(memory_.At(kAcpiAddress, 8).data(), "RSD PTR ", 8), 0);

  // The memory map: sorted, disjoint, and all of RAM but the reserved part of the first MiB.
  ASSERT_EQ(params.e820_entries, 3);
  uint64_t ram = 0, end = 0;
  for (int i = 0; i < params.e820_entries; ++i) {
    EXPECT_EQ(params.e820_table[i].addr, end);
    end = params.e820_table[i].addr + params.e820_table[i].size;
    if (params.e820_table[i].type == 1) ram += params.e820_table[i].size;
  }
  EXPECT_EQ(end, 64u << 20);
  EXPECT_EQ(ram, (64u << 20) - (kHighRamStart - kLowRamEnd));
}

TEST_F(BootTest, PageTablesMapFourGigabytesToThemselves) {
  Kernel(test::MakeElf());
  auto boot = LoadGuest(memory_, inputs_);
  ASSERT_TRUE(boot);
  kvm_regs regs = {};
  kvm_sregs sregs = {};
  SetEntryRegisters(*boot, &regs, &sregs);
  EXPECT_EQ(regs.rip, boot->rip);
  EXPECT_EQ(regs.rsi, boot->boot_info);
  EXPECT_EQ(sregs.efer, 0x500u);
  EXPECT_EQ(sregs.cs.l, 1);
  EXPECT_EQ(sregs.cs.db, 0);
  for (const uint64_t address : {0ull, 0x1000000ull, 0x7fffffffull, 0xfee00000ull, 0xffffffffull}) {
    uint64_t table = sregs.cr3;
    for (const int shift : {39, 30}) {
      const auto entry = At<uint64_t>(table + ((address >> shift) & 511) * 8);
      ASSERT_EQ(entry & 1, 1u);
      table = entry & ~0xfffull;
    }
    const auto leaf = At<uint64_t>(table + ((address >> 21) & 511) * 8);
    EXPECT_EQ(leaf, (address & ~0x1fffffull) | 0x83);
  }
  // The descriptors that the segment registers were "loaded" from.
  EXPECT_EQ(At<uint64_t>(sregs.gdt.base + sregs.cs.selector) >> 53 & 1, 1u);
}

TEST_F(BootTest, Pvh) {
  FakeElf fake;
  fake.entry = 0xffffffff81000000;
  fake.pvh_entry = 0x1000100;
  Kernel(test::MakeElf(fake));
  const Bytes initrd(5000, 0x11);
  inputs_.initrd = initrd;
  inputs_.cmdline = "abc";
  auto boot = LoadGuest(memory_, inputs_);
  ASSERT_TRUE(boot) << boot.error().why;
  EXPECT_EQ(boot->entry, EntryMode::kPvh);
  EXPECT_EQ(boot->rip, 0x1000100u);
  EXPECT_EQ(At<uint32_t>(boot->boot_info), 0x336ec578u);
  EXPECT_EQ(At<uint32_t>(boot->boot_info + 12), 1u);  // modules
  const auto module = At<uint64_t>(boot->boot_info + 16);
  EXPECT_EQ(At<uint64_t>(module + 8), initrd.size());
  EXPECT_EQ(At<uint64_t>(boot->boot_info + 32), kAcpiAddress);
  EXPECT_EQ(At<uint32_t>(boot->boot_info + 48), 3u);  // memory map entries
  kvm_regs regs = {};
  kvm_sregs sregs = {};
  SetEntryRegisters(*boot, &regs, &sregs);
  EXPECT_EQ(regs.rbx, boot->boot_info);
  EXPECT_EQ(sregs.cr0 & 0x80000001, 1u);  // protected, no paging
  EXPECT_EQ(sregs.efer, 0u);
  EXPECT_EQ(sregs.cs.db, 1);
}

TEST_F(BootTest, EntryCanBeChosen) {
  FakeElf fake;
  fake.pvh_entry = 0x1000100;
  Kernel(test::MakeElf(fake));
  EXPECT_EQ(LoadGuest(memory_, inputs_)->entry, EntryMode::kLinux64);
  inputs_.entry = EntryMode::kPvh;
  EXPECT_EQ(LoadGuest(memory_, inputs_)->entry, EntryMode::kPvh);
  Kernel(test::MakeElf());
  EXPECT_THAT(LoadGuest(memory_, inputs_).error().why, HasSubstr("no PVH note"));
}

TEST_F(BootTest, SelfUnpackingImage) {
  const Bytes image = test::MakeBzImage(Bytes(1000, 0x42));
  Kernel(image, false);
  auto boot = LoadGuest(memory_, inputs_);
  ASSERT_TRUE(boot) << boot.error().why;
  EXPECT_EQ(boot->rip, 0x1000000u + 0x200);
  EXPECT_EQ(std::memcmp(memory_.At(0x1000000, 100).data(), image.data() + 1024, 100), 0);
  const auto params = At<boot_params>(boot->boot_info);
  EXPECT_EQ(params.hdr.init_size, 0x100000u);
  EXPECT_EQ(params.hdr.version, 0x020f);
}

TEST_F(BootTest, WhatDoesNotFit) {
  FakeElf fake;
  fake.memory = 128u << 20;
  Kernel(test::MakeElf(fake));
  auto boot = LoadGuest(memory_, inputs_);
  ASSERT_FALSE(boot);
  EXPECT_EQ(boot.error().kind, ErrorKind::kMemory);
  EXPECT_THAT(boot.error().hint, HasSubstr("--mem"));

  Kernel(test::MakeElf());
  const Bytes initrd(60u << 20);
  inputs_.initrd = initrd;
  inputs_.initrd_name = "big.cpio";
  boot = LoadGuest(memory_, inputs_);
  ASSERT_FALSE(boot);
  EXPECT_EQ(boot.error().kind, ErrorKind::kMemory);
  EXPECT_THAT(boot.error().what, HasSubstr("big.cpio"));
}

TEST_F(BootTest, OddAddresses) {
  FakeElf fake;
  fake.address = 0x8000;
  fake.entry = 0x8000;
  Kernel(test::MakeElf(fake));
  EXPECT_EQ(LoadGuest(memory_, inputs_).error().kind, ErrorKind::kKernel);
  fake = {};
  fake.address = 1ull << 40;
  fake.entry = 1ull << 40;
  Kernel(test::MakeElf(fake));
  EXPECT_EQ(LoadGuest(memory_, inputs_).error().kind, ErrorKind::kMemory);
  fake = {};
  fake.pvh_entry = 0x10;
  Kernel(test::MakeElf(fake));
  inputs_.entry = EntryMode::kPvh;
  EXPECT_THAT(LoadGuest(memory_, inputs_).error().why, HasSubstr("outside"));
}

TEST_F(BootTest, LongCommandLine) {
  Kernel(test::MakeElf());
  inputs_.cmdline = std::string(2047, 'x');
  EXPECT_TRUE(LoadGuest(memory_, inputs_));
  inputs_.cmdline += 'x';
  EXPECT_EQ(LoadGuest(memory_, inputs_).error().kind, ErrorKind::kUsage);
}

TEST_F(BootTest, ManyCpus) {
  Kernel(test::MakeElf());
  inputs_.cpus = 1024;
  EXPECT_TRUE(LoadGuest(memory_, inputs_));
}

}  // namespace
}  // namespace vmm
