// SPDX-License-Identifier: GPL-2.0-or-later
#include <fmt/core.h>
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cpuid.h>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "hyp/kvm.h"
#include "loop/loop.h"

namespace vmm {
namespace {

enum class Verdict { kOk, kWarn, kFail };

struct Finding {
  Verdict verdict;
  std::string check;  // stable name
  std::string what;
  std::string why;   // empty when fine
  std::string hint;  // likewise
};

class Report {
 public:
  void Ok(std::string check, std::string what) {
    findings_.push_back({Verdict::kOk, std::move(check), std::move(what), {}, {}});
  }
  void Bad(Verdict verdict, std::string check, std::string what, std::string why,
           std::string hint) {
    findings_.push_back(
        {verdict, std::move(check), std::move(what), std::move(why), std::move(hint)});
  }
  const std::vector<Finding>& findings() const { return findings_; }
  bool failed() const {
    for (const Finding& finding : findings_)
      if (finding.verdict == Verdict::kFail) return true;
    return false;
  }

 private:
  std::vector<Finding> findings_;
};

const char* Word(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOk:
      return "ok";
    case Verdict::kWarn:
      return "warn";
    case Verdict::kFail:
      return "fail";
  }
  return "fail";
}

std::string FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

void CheckCpu(Report* report) {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
  __get_cpuid(1, &eax, &ebx, &ecx, &edx);
  constexpr uint32_t kVmx = 1u << 5;
  constexpr uint32_t kHypervisor = 1u << 31;
  const bool virtualized = ecx & kHypervisor;
  if (ecx & kVmx) {
    report->Ok("cpu", virtualized ? "the CPU has VMX (inside a virtual machine: nested)"
                                  : "the CPU has VMX");
  } else if (virtualized) {
    report->Bad(Verdict::kFail, "cpu", "the CPU has no VMX",
                "this is a virtual machine without nested virtualization",
                "enable nesting on its host (kvm_intel nested=1, CPU model host)");
  } else {
    report->Bad(Verdict::kFail, "cpu", "the CPU has no VMX",
                "it is not an Intel CPU with VT-x, or the firmware hides it",
                "switch on \"Intel Virtualization Technology\" in the firmware's set-up");
  }
}

void CheckOwner(Report* report, const std::string& node) {
  const std::string owner = VmxOwner();
  const std::string at_load = FirstLine("/sys/module/kvm/parameters/enable_virt_at_load");
  const bool for_vellum = node.find("vellum") != std::string::npos;
  if (owner.empty()) {
    report->Bad(Verdict::kWarn, "owner", "no hypervisor module is loaded",
                "neither vellum nor kvm_intel is in /proc/modules",
                for_vellum ? "modprobe vellum" : "modprobe kvm_intel");
  } else if (for_vellum && owner.find("vellum") == std::string::npos) {
    report->Bad(Verdict::kWarn, "owner", fmt::format("{} holds VMX", owner),
                at_load == "Y" ? "it takes the hardware when it is loaded (enable_virt_at_load=Y)"
                               : "two hypervisors cannot share the hardware",
                fmt::format("modprobe -r {}; modprobe vellum", owner));
  } else {
    report->Ok("owner", fmt::format("loaded: {}", owner));
  }
}

void CheckNode(Report* report, const std::string& node) {
  struct stat st = {};
  if (stat(node.c_str(), &st) != 0) {
    report->Bad(Verdict::kFail, "node", fmt::format("{} does not exist", node),
                "its module is not loaded",
                node == kDefaultNode ? "modprobe vellum (or use --dev /dev/kvm)"
                                     : "load the module that provides it");
    return;
  }
  const group* owner = getgrgid(st.st_gid);
  const std::string group_name = owner != nullptr ? owner->gr_name : std::to_string(st.st_gid);
  if (access(node.c_str(), R_OK | W_OK) != 0) {
    report->Bad(Verdict::kFail, "node", fmt::format("{} may not be opened", node),
                fmt::format("it belongs to the group {}, mode {:o}", group_name, st.st_mode & 0777),
                fmt::format("sudo usermod -aG {} $USER, then log in again", group_name));
    return;
  }
  report->Ok("node", fmt::format("{} (group {}, mode {:o}) may be opened", node, group_name,
                                 st.st_mode & 0777));
  auto kvm = Kvm::Open(node);
  if (!kvm) {
    const Error& error = kvm.error();
    report->Bad(Verdict::kFail, "api", error.what, error.why, error.hint);
    return;
  }
  report->Ok("api", fmt::format("it speaks version {} of the KVM interface", kKvmApiVersion));
  for (const RequiredCapability& required : RequiredCapabilities()) {
    if (kvm->CheckExtension(required.number) > 0)
      report->Ok("capability", fmt::format("{} ({})", required.name, required.purpose));
    else
      report->Bad(Verdict::kFail, "capability", fmt::format("{} is missing", required.name),
                  fmt::format("the module does not offer it: {}", required.purpose),
                  "use a newer module");
  }
  auto vm = kvm->CreateVm();
  if (!vm) {
    report->Bad(Verdict::kFail, "vm", vm.error().what, vm.error().why, vm.error().hint);
    return;
  }
  auto vcpu = vm->CreateVcpu(0);
  if (!vcpu)
    report->Bad(Verdict::kFail, "vm", vcpu.error().what, vcpu.error().why,
                "see the kernel log: dmesg | tail");
  else
    report->Ok("vm", "a virtual machine with one CPU can be created");
}

void CheckHost(Report* report) {
  auto loop = Loop::Create();
  if (loop)
    report->Ok("io_uring", "io_uring works");
  else
    report->Bad(Verdict::kFail, "io_uring", loop.error().what, loop.error().why, loop.error().hint);
  const std::string lockdown = FirstLine("/sys/kernel/security/lockdown");
  if (lockdown.find("[integrity]") != std::string::npos ||
      lockdown.find("[confidentiality]") != std::string::npos)
    report->Bad(Verdict::kWarn, "lockdown", "the kernel is locked down (Secure Boot)",
                "unsigned modules are refused",
                "sign the module and enrol the key: mokutil --import");
}

}  // namespace

Expected<int> DoctorCommand(const DoctorOptions& options) {
  Report report;
  CheckCpu(&report);
  CheckOwner(&report, options.node);
  CheckNode(&report, options.node);
  CheckHost(&report);
  if (options.json) {
    nlohmann::json out = nlohmann::json::array();
    for (const Finding& finding : report.findings()) {
      nlohmann::json item = {
          {"verdict", Word(finding.verdict)}, {"check", finding.check}, {"what", finding.what}};
      if (!finding.why.empty()) item["why"] = finding.why;
      if (!finding.hint.empty()) item["try"] = finding.hint;
      out.push_back(std::move(item));
    }
    fmt::print(
        "{}\n",
        nlohmann::json{
            {"version", 1}, {"node", options.node}, {"usable", !report.failed()}, {"findings", out}}
            .dump(2));
  } else {
    for (const Finding& finding : report.findings()) {
      fmt::print("{:4}  {}\n", Word(finding.verdict), finding.what);
      if (!finding.why.empty()) fmt::print("      why: {}\n", finding.why);
      if (!finding.hint.empty()) fmt::print("      try: {}\n", finding.hint);
    }
  }
  return report.failed() ? 1 : 0;
}

}  // namespace vmm
