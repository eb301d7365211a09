// SPDX-License-Identifier: GPL-2.0-or-later
// What an administrator sees of a running machine: tracepoints, and the EPT as ranges. Both are
// this module's own.
#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "lib/check.h"
#include "lib/walker.h"

namespace {

using guest::SlotWalker;

constexpr uint64_t kBase = guest::kWalkBase;
constexpr size_t kPage = 4096;
constexpr size_t kPages = 64;
const std::string kTracing = "/sys/kernel/tracing/";

std::string ReadAll(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) check::Fail(__FILE__, __LINE__, path + ": " + check::ErrnoText(errno));
  std::string text;
  char buffer[65536];
  for (ssize_t n; (n = read(fd, buffer, sizeof(buffer))) > 0;)
    text.append(buffer, static_cast<size_t>(n));
  close(fd);
  return text;
}

void Write(const std::string& path, const char* text) {
  const int fd = open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC);
  CHECK(fd >= 0);
  CHECK_EQ(static_cast<ssize_t>(std::strlen(text)), write(fd, text, std::strlen(text)));
  close(fd);
}

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// Lines that contain all of these.
size_t Count(const std::vector<std::string>& lines, const std::vector<std::string>& parts) {
  size_t n = 0;
  for (const auto& line : lines) {
    bool all = true;
    for (const auto& part : parts) all &= line.find(part) != std::string::npos;
    n += all;
  }
  return n;
}

// The folder of this process's only machine.
std::string Folder() {
  const std::string top = "/sys/kernel/debug/vellum", prefix = std::to_string(getpid()) + "-";
  DIR* dir = opendir(top.c_str());
  CHECK(dir != nullptr);
  std::string found;
  while (const dirent* entry = readdir(dir)) {
    if (std::string(entry->d_name).starts_with(prefix)) found = top + "/" + entry->d_name;
  }
  closedir(dir);
  CHECK(!found.empty());
  return found;
}

void RequireVellum() {
  if (!kvm::IsVellum()) check::Skip("KVM shows other things elsewhere");
}

CASE(TracepointsTellWhatHappens) {
  RequireVellum();
  SlotWalker walker(kPages);
  const std::string folder = Folder(), vm = "vm=" + folder.substr(folder.rfind('-') + 1) + " ";
  Write(kTracing + "trace", "\n");
  Write(kTracing + "events/vellum/enable", "1");
  walker.Round(kPages);
  walker.Delete();
  walker.machine().vm().Map(1, 2 * kBase, kPage, walker.machine().low());
  Write(kTracing + "events/vellum/enable", "0");

  const auto lines = Lines(ReadAll(kTracing + "trace"));
  CHECK(Count(lines, {"vlm_fault: ", vm, "vcpu=0", "write fixed", "level=4 as=0"}) >= kPages);
  CHECK_EQ(1u, Count(lines, {"vlm_fault: ", "gpa=0x40003000 "}));
  CHECK(Count(lines, {"vlm_exit: ", "EPT_VIOLATION", "gpa=0x40003"}) == 1);
  CHECK(Count(lines, {"vlm_exit: ", "IO_INSTRUCTION"}) >= 2);
  CHECK(Count(lines, {"vlm_entry: ", "rip=0x100"}) >= kPages);
  CHECK(Count(lines, {"vlm_page_create: ", vm, "level=1"}) >= 1);
  // Invalid, gone, and a new one elsewhere.
  CHECK_EQ(1u, Count(lines, {"vlm_slot_update: ", vm, "as=0 slot=1 gfn=0x40000 pages=64",
                             "flags=0x10000"}) -
                   Count(lines, {"vlm_slot_update: ", "gone"}));
  CHECK_EQ(1u, Count(lines, {"vlm_slot_update: ", "slot=1 gfn=0x40000", "gone"}));
  CHECK_EQ(1u, Count(lines, {"vlm_slot_update: ", "slot=1 gfn=0x80000 pages=1 "}));
  if (Count(lines, {"vlm_zap_all_fast: ", vm}) > 0)
    CHECK_EQ(1u, Count(lines, {"vlm_root: ", vm, "invalidated", "level=4 as=0 nested=0 invalid"}));

  Write(kTracing + "trace", "\n");
  SlotWalker other(kPages);
  other.Round(1);
  CHECK_EQ(0u, Count(Lines(ReadAll(kTracing + "trace")), {"vlm_"}));
}

CASE(EptIsShownAsRanges) {
  RequireVellum();
  SlotWalker walker(kPages);
  const std::string ept = Folder() + "/ept";
  CHECK_EQ(0u, Count(Lines(ReadAll(ept)), {" 0x40000-"}));
  walker.Round(kPages);
  auto lines = Lines(ReadAll(ept));
  CHECK_EQ(1u, Count(lines, {"root ", " as 0 levels 4 valid 0x40000-0x4003f 4K rwx ad wb pfn 0x"}));
  // The code of the guest.
  CHECK(Count(lines, {" 0x10-"}) + Count(lines, {" 0x0-"}) >= 1);
  CHECK_EQ(Count(lines, {" valid "}), lines.size());

  // Read in small pieces it says the same.
  const std::string whole = ReadAll(ept);
  std::string pieces;
  const int fd = open(ept.c_str(), O_RDONLY);
  char buffer[7];
  for (ssize_t n; (n = read(fd, buffer, sizeof(buffer))) > 0;)
    pieces.append(buffer, static_cast<size_t>(n));
  CHECK_EQ(whole, pieces);
  std::vector<char> again(whole.size());
  CHECK_EQ(static_cast<ssize_t>(whole.size() - 20), pread(fd, again.data(), again.size(), 20));
  CHECK(!whole.compare(20, std::string::npos, again.data(), whole.size() - 20));
  close(fd);

  walker.Delete();
  for (int i = 0; i < 1000 && Count(Lines(ReadAll(ept)), {" 0x40000-"}); ++i) usleep(1000);
  CHECK_EQ(0u, Count(Lines(ReadAll(ept)), {" 0x40000-"}));
}

CASE(EptShowsPermissions) {
  RequireVellum();
  SlotWalker walker(kPages, KVM_MEM_READONLY);
  const std::string ept = Folder() + "/ept";
  walker.Round(kPages, 0);
  CHECK_EQ(1u, Count(Lines(ReadAll(ept)), {" 0x40000-0x4003f 4K r-x a- wb "}));
}

CASE(EptShowsDeviceMemory) {
  RequireVellum();
  SlotWalker walker(kPages);
  guest::Tell(walker.machine().vcpu(), {.base = kBase + (16 << 20), .pages = 1, .add = 0});
  walker.machine().vcpu().RunUntil(KVM_EXIT_MMIO);
  CHECK_EQ(1u, Count(Lines(ReadAll(Folder() + "/ept")), {" 0x41000-0x41000 mmio generation "}));
}

CASE(OnlyRootSeesFrames) {
  RequireVellum();
  SlotWalker walker(kPages);
  const std::string ept = Folder() + "/ept";
  CHECK_EQ(0, access(ept.c_str(), R_OK));
  CHECK_OK(seteuid(65534));
  errno = 0;
  const int fd = open(ept.c_str(), O_RDONLY);
  const int error = errno;
  CHECK_OK(seteuid(0));
  CHECK_EQ(-1, fd);
  CHECK_EQ(EACCES, error);
}

// A file that is still open when its machine goes.
CASE(TheMachineMayGoFirst) {
  RequireVellum();
  int fd;
  {
    SlotWalker walker(kPages);
    walker.Round(kPages);
    fd = open((Folder() + "/ept").c_str(), O_RDONLY);
    char byte;
    CHECK_EQ(1, read(fd, &byte, 1));
  }
  char buffer[64];
  CHECK_ERRNO(EIO, read(fd, buffer, sizeof(buffer)));
  close(fd);
}

CASE(ReadersDoNotDisturb) {
  RequireVellum();
  SlotWalker walker(kPages);
  const std::string ept = Folder() + "/ept";
  std::atomic<bool> stop{false};
  std::atomic<unsigned> reads{0};
  std::thread reader([&] {
    while (!stop) {
      ReadAll(ept);
      reads++;
    }
  });
  for (int i = 0; i < 20 || reads < 20; ++i) {
    walker.Round(kPages);
    walker.Delete();
    walker.Create();
    usleep(100);
  }
  stop = true;
  reader.join();
}

}  // namespace

int main(int argc, char** argv) { return check::Main(argc, argv); }
