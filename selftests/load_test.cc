// SPDX-License-Identifier: GPL-2.0-or-later
// The module comes and goes: many times, not while a machine exists, and not beside another owner
// of VMX. Runs in a machine with no module loaded; they lie in /machine/modules.
//   --rounds N   of loading and unloading (default 200)
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "lib/check.h"
#include "lib/counters.h"
#include "lib/guest.h"

namespace {

using guest::Machine;
using guest::Mode;

GUEST_CODE(halt, 64, "hlt\n");

// errno of loading a module, 0 for success.
int Load(const std::string& name, const char* parameters = "") {
  const std::string path = "/machine/modules/" + name + ".ko";
  kvm::Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) check::Fail(__FILE__, __LINE__, path + ": " + check::ErrnoText(errno));
  return syscall(SYS_finit_module, file.get(), parameters, 0) == 0 ? 0 : errno;
}

int Unload(const char* name) {
  return syscall(SYS_delete_module, name, O_NONBLOCK) == 0 ? 0 : errno;
}

// The kernel log from the moment of construction on.
class Log {
 public:
  Log() : fd_(open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC)) {
    CHECK(fd_.get() >= 0);
    lseek(fd_.get(), 0, SEEK_END);
  }
  bool Contains(const std::string& words) {
    char record[4096];
    while (true) {
      const ssize_t n = read(fd_.get(), record, sizeof(record));
      if (n < 0 && errno == EPIPE) continue;
      if (n <= 0) return text_.find(words) != std::string::npos;
      text_.append(record, static_cast<size_t>(n));
    }
  }

 private:
  kvm::Fd fd_;
  std::string text_;
};

CASE(Rounds) {
  for (unsigned long i = 0; i < check::Number("rounds", 200); ++i) {
    CHECK_EQ(0, Load("vellum"));
    if (i % 10 == 0) {
      Machine m(halt, Mode::kLong64, i % 20 == 0);
      if (i % 20 != 0) m.RunUntilHlt();
    }
    if (i % 10 == 1) counters::ExpectZero();
    CHECK_EQ(0, Unload("vellum"));
  }
}

// Every kind of descriptor keeps the module, the mapping of a vCPU too.
CASE(InUse) {
  CHECK_EQ(0, Load("vellum"));
  {
    Machine m(halt, Mode::kLong64);
    m.RunUntilHlt();
    CHECK_EQ(EWOULDBLOCK, Unload("vellum"));
    m.vm().Close();
    CHECK_EQ(EWOULDBLOCK, Unload("vellum"));
    m.vcpu().Close();
    CHECK_EQ(EWOULDBLOCK, Unload("vellum"));
    m.vcpu().Unmap();
    // The device itself is still open.
    CHECK_EQ(EWOULDBLOCK, Unload("vellum"));
  }
  counters::ExpectZero();
  CHECK_EQ(0, Unload("vellum"));
}

CASE(BesideKvmIntel) {
  CHECK_EQ(0, Load("irqbypass"));
  CHECK_EQ(0, Load("kvm"));
  CHECK_EQ(0, Load("kvm-intel"));
  {
    Log log;
    CHECK_EQ(EBUSY, Load("vellum"));
    CHECK(log.Contains("kvm_intel"));
    CHECK(log.Contains("modprobe -r"));
  }
  CHECK_EQ(0, Unload("kvm_intel"));
  CHECK_EQ(0, Load("vellum"));
  // The other way round is not tried: kvm_intel is refused too, but the kernel has one place for
  // an emergency callback and warns of the second that comes.
  {
    Machine m(halt, Mode::kLong64);
    m.RunUntilHlt();
  }
  CHECK_EQ(0, Unload("vellum"));
  CHECK_EQ(0, Load("kvm-intel"));
  CHECK_EQ(0, Unload("kvm_intel"));
  CHECK_EQ(0, Unload("kvm"));
  CHECK_EQ(0, Unload("irqbypass"));
}

CASE(Parameters) {
  Log log;
  CHECK_EQ(EOPNOTSUPP, Load("vellum", "ept=0"));
  CHECK(log.Contains("ept=0"));
  CHECK_EQ(EINVAL, Load("vellum", "ept=perhaps"));
  CHECK_EQ(0, Load("vellum", "ept=1"));
  CHECK_EQ(EEXIST, Load("vellum"));
  CHECK_EQ(0, Unload("vellum"));
}

}  // namespace

int main(int argc, char** argv) {
  setenv("VELLUM_DEV", "/dev/vellum", 1);
  return check::Main(argc, argv);
}
