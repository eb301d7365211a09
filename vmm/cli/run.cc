// SPDX-License-Identifier: GPL-2.0-or-later
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>

#include "base/parse.h"
#include "boot/initramfs.h"
#include "boot/modules.h"
#include "cli/commands.h"
#include "machine/machine.h"

namespace vmm {
namespace {

Expected<EntryMode> ParseEntry(const std::string& text) {
  if (text == "auto") return EntryMode::kAuto;
  if (text == "64" || text == "linux64") return EntryMode::kLinux64;
  if (text == "pvh") return EntryMode::kPvh;
  return Fail(ErrorKind::kUsage, fmt::format("'{}' is not a way to enter a kernel", text),
              "there are three", "use --entry auto, 64 or pvh");
}

Expected<std::vector<AddedFile>> ParseFiles(const std::vector<std::string>& texts) {
  std::vector<AddedFile> out;
  for (const std::string& text : texts) {
    AddedFile file;
    const size_t colon = text.rfind(":/");
    file.source = text.substr(0, colon);
    std::error_code error;
    const std::filesystem::path absolute = std::filesystem::absolute(file.source, error);
    file.destination =
        colon == text.npos ? absolute.lexically_normal().string() : text.substr(colon + 1);
    if (file.source.empty() || !std::filesystem::exists(absolute, error))
      return Fail(ErrorKind::kUsage, fmt::format("cannot add {}", text),
                  "there is no such file on this host", "check the path: --add SRC[:/DST]");
    file.source = absolute;
    out.push_back(std::move(file));
  }
  return out;
}

std::vector<std::string> GuestEnvironment() {
  std::vector<std::string> out{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                               "HOME=/root"};
  const char* term = std::getenv("TERM");
  out.push_back(fmt::format("TERM={}", isatty(0) && term != nullptr ? term : "dumb"));
  for (const char* name : {"LANG", "LC_ALL", "TZ", "NO_COLOR"})
    if (const char* value = std::getenv(name)) out.push_back(fmt::format("{}={}", name, value));
  return out;
}

// A JSON string; the texts here are paths and messages.
std::string Quote(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\')
      out += fmt::format("\\{}", c);
    else if (static_cast<unsigned char>(c) < 0x20)
      out += fmt::format("\\u{:04x}", int{c});
    else
      out += c;
  }
  return out + "\"";
}

void Explain(const Outcome& outcome) {
  switch (outcome.kind) {
    case OutcomeKind::kTripleFault:
      fmt::print(stderr,
                 "vmm: the guest crashed\nwhy: {}\ntry: boot it with --cmdline 'earlyprintk=serial "
                 "ignore_loglevel' to see how far it comes\n",
                 outcome.detail);
      break;
    case OutcomeKind::kVmFailure:
      fmt::print(stderr,
                 "vmm: the guest cannot go on\nwhy: {}\ntry: see the kernel log (dmesg), and "
                 "compare with --dev /dev/kvm\n",
                 outcome.detail);
      break;
    case OutcomeKind::kPanic:
      fmt::print(stderr,
                 "vmm: the guest's kernel panicked\nwhy: its last lines say so\n"
                 "try: check --initrd and root= on --cmdline\n");
      break;
    case OutcomeKind::kCommandNoExec:
      fmt::print(stderr,
                 "vmm: the command cannot be executed in the guest\nwhy: {}\n"
                 "try: check its format, and give files that it needs with --add\n",
                 ErrnoText(static_cast<int>(outcome.value)));
      break;
    case OutcomeKind::kInitFailed:
      fmt::print(stderr,
                 "vmm: init failed in the guest\nwhy: {}\n"
                 "try: see why with --cmdline loglevel=7; a --module given by path may lack one "
                 "that it needs\n",
                 ErrnoText(static_cast<int>(outcome.value)));
      break;
    case OutcomeKind::kTimeout:
      fmt::print(stderr,
                 "vmm: the guest was stopped\nwhy: --timeout expired\n"
                 "try: a longer --timeout\n");
      break;
    default:
      break;
  }
}

class Progress {
 public:
  explicit Progress(bool enabled) : enabled_(enabled) {}
  template <typename... Args>
  void Say(fmt::format_string<Args...> format, Args&&... args) const {
    if (!enabled_) return;
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start_;
    fmt::print(stderr, "vmm: {:7.3f} s  {}\n", elapsed.count(),
               fmt::format(format, std::forward<Args>(args)...));
  }

 private:
  const bool enabled_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace

Expected<int> RunCommand(const RunOptions& options) {
  const Progress progress(options.verbose);
  MachineConfig config;
  config.node = options.node;
  config.cpus = options.cpus;
  if (options.cpus == 0 || options.cpus > 1024)
    return Fail(ErrorKind::kUsage, fmt::format("cannot run {} CPUs", options.cpus),
                "a machine has between 1 and 1024", "use --cpus 1");
  VMM_TRY_ASSIGN(size, ParseSize(options.memory));
  VMM_TRY_ASSIGN(checked_size, CheckMemorySize(size));
  config.memory = checked_size;
  VMM_TRY_ASSIGN(entry, ParseEntry(options.entry));
  config.entry = entry;
  if (!options.timeout.empty()) {
    VMM_TRY_ASSIGN(timeout, ParseDuration(options.timeout));
    config.timeout = timeout;
  }
  if (options.has_command && options.command.empty())
    return Fail(ErrorKind::kUsage, "there is no guest command", "nothing follows --",
                "name a program, for example: -- uname -r");
  if (options.has_command && !options.initrd.empty())
    return Fail(ErrorKind::kUsage, "cannot use both --initrd and a guest command",
                "the command runs from an initrd that vmm builds",
                "leave one of them out, or start the command from your initrd");
  if (!options.has_command && (!options.files.empty() || !options.modules.empty()))
    return Fail(ErrorKind::kUsage, "cannot add files or modules without a guest command",
                "they go into the initrd that vmm builds for it", "add -- CMD, or use --initrd");

  KernelOptions kernel_options;
  kernel_options.cache_directory = DefaultKernelCache();
  kernel_options.unpack = !options.no_unpack;
  VMM_TRY_ASSIGN(kernel, KernelImage::Open(options.kernel, kernel_options));
  progress.Say("kernel: {}{}", kernel.description(), kernel.from_cache() ? ", from the cache" : "");

  if (options.has_command) {
    JobConfig job;
    job.command = options.command;
    VMM_TRY_ASSIGN(files, ParseFiles(options.files));
    job.files = std::move(files);
    if (!options.modules.empty()) {
      VMM_TRY_ASSIGN(modules,
                     ResolveModules(options.modules, options.module_directory, kernel.Release()));
      job.modules = std::move(modules);
    }
    job.environment = GuestEnvironment();
    job.terminal = isatty(0) && isatty(1);
    VMM_TRY_ASSIGN(initrd, BuildJobInitramfs(job));
    config.initrd = std::move(initrd);
    config.initrd_name = "for the guest command";
    config.runs_command = true;
    progress.Say("initramfs: {} KiB", config.initrd.size() >> 10);
  } else if (!options.initrd.empty()) {
    VMM_TRY_ASSIGN(file, MappedFile::Open(options.initrd, ErrorKind::kInitrd, "initrd"));
    // Refuse what cannot fit before copying it.
    if (file.bytes().size() >= config.memory)
      return Fail(ErrorKind::kMemory,
                  fmt::format("the initrd {} does not fit into guest memory", options.initrd),
                  fmt::format("it has {}, the guest {}", FormatSize(file.bytes().size()),
                              FormatSize(config.memory)),
                  "give the guest more memory with --mem");
    config.initrd.assign(file.bytes().begin(), file.bytes().end());
    config.initrd_name = options.initrd;
  }
  config.cmdline = options.bare_cmdline ? "" : DefaultCmdline(config.runs_command);
  if (!options.cmdline.empty()) {
    if (!config.cmdline.empty()) config.cmdline += ' ';
    config.cmdline += options.cmdline;
  }

  VMM_TRY_ASSIGN(machine, Machine::Create(std::move(config), kernel));
  progress.Say("machine: ready");
  VMM_TRY_ASSIGN(outcome, machine->Run());
  progress.Say("guest: {}", OutcomeName(outcome.kind));
  Explain(outcome);
  const int status = ExitStatusOf(outcome);
  if (!options.result.empty()) {
    const std::string json =
        fmt::format("{{\"outcome\": {}, \"value\": {}, \"exit_status\": {}, \"detail\": {}}}\n",
                    Quote(OutcomeName(outcome.kind)), outcome.value, status, Quote(outcome.detail));
    VMM_TRY(WriteFileAtomically(options.result,
                                {reinterpret_cast<const uint8_t*>(json.data()), json.size()}));
  }
  return status;
}

Expected<int> UnpackCommand(const UnpackOptions& options) {
  VMM_TRY_ASSIGN(kernel, KernelImage::Open(options.kernel, {}));
  if (kernel.format() != KernelImage::Format::kElf)
    return Fail(ErrorKind::kKernel, fmt::format("cannot unpack {}", options.kernel),
                fmt::format("it is a {}, which only unpacks itself", kernel.description()),
                "boot it as it is");
  const auto stripped = StripElfKernel(kernel.bytes(), kernel.elf());
  VMM_TRY(WriteFileAtomically(options.out, stripped));
  return 0;
}

}  // namespace vmm
