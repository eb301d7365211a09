// SPDX-License-Identifier: GPL-2.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "hyp/kvm.h"

namespace vmm {
namespace {

using testing::HasSubstr;

TEST(NodeErrorTest, KindsAndRemedies) {
  Error error = NodeError("/dev/vellum", ENOENT, "");
  EXPECT_EQ(error.kind, ErrorKind::kNoDevice);
  EXPECT_THAT(error.hint, HasSubstr("modprobe vellum"));
  error = NodeError("/dev/vellum", ENOENT, "kvm_intel");
  EXPECT_EQ(error.kind, ErrorKind::kBusy);
  EXPECT_THAT(error.why, HasSubstr("kvm_intel holds VMX"));
  EXPECT_THAT(error.hint, HasSubstr("modprobe -r kvm_intel"));
  error = NodeError("/dev/kvm", ENOENT, "vellum");
  EXPECT_EQ(error.kind, ErrorKind::kNoDevice);
  error = NodeError("/dev/vellum", EBUSY, "vboxdrv");
  EXPECT_EQ(error.kind, ErrorKind::kBusy);
  EXPECT_THAT(error.hint, HasSubstr("modprobe -r vboxdrv"));
  error = NodeError("/dev/vellum", EACCES, "vellum");
  EXPECT_EQ(error.kind, ErrorKind::kPermission);
  EXPECT_THAT(error.hint, HasSubstr("group"));
  error = NodeError("/dev/vellum", EMFILE, "vellum");
  EXPECT_FALSE(error.why.empty());
}

TEST(KvmTest, OpenRefusesOtherDevices) {
  for (const char* node : {"/dev/null", "/no/such/node", "/etc/passwd", "/"}) {
    auto kvm = Kvm::Open(node);
    ASSERT_FALSE(kvm) << node;
    EXPECT_EQ(kvm.error().kind, ErrorKind::kNoDevice) << node;
  }
}

TEST(KvmTest, RequiredCapabilitiesHaveNames) {
  for (const RequiredCapability& required : RequiredCapabilities()) {
    EXPECT_GT(required.number, -1);
    EXPECT_THAT(required.name, HasSubstr("KVM_CAP_"));
  }
}

}  // namespace
}  // namespace vmm
