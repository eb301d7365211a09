// SPDX-License-Identifier: GPL-2.0-or-later
//
// The vmm command: parses the command line, calls one verb, words the result.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "cli/commands.h"
#include "machine/outcome.h"

namespace vmm {
namespace {

constexpr const char* kFooter = R"(
Exit status of `vmm run`:
  N        the guest command's own status (with -- CMD); 128+N if signal N ended it
  0        the guest switched itself off
  2        the command line makes no sense
  124      --timeout expired
  125      the host refused something (files, threads, io_uring)
  126 127  the guest command cannot be executed, or does not exist
  130      Ctrl-a x, or an interrupt; 128+N after another signal N
  220      triple fault           221  guest kernel panic
  222      the CPU or the module failed to run the guest
  223      the guest reset the machine
  230      no such device node    231  no permission for it
  232      VMX is held by somebody else
  233      the module lacks something
  234      unusable kernel image  235  unusable amount of memory
  236      unusable initrd
With --result FILE a JSON object tells the same without doubt.

At the terminal: Ctrl-a x quits, Ctrl-a Ctrl-a sends one Ctrl-a.)";

int Main(int argc, char** argv) {
  // Everything behind "--" is the guest's command and none of the parser's business.
  std::vector<std::string> own;
  std::vector<std::string> command;
  bool separated = false;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (!separated && argument == "--")
      separated = true;
    else
      (separated ? command : own).push_back(argument);
  }

  CLI::App app("Runs virtual machines on the KVM interface (/dev/vellum or /dev/kvm).", "vmm");
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string("vmm ") + VMM_VERSION);

  RunOptions run;
  CLI::App* run_app = app.add_subcommand(
      "run", "Boot a kernel and run it to its end: vmm run --kernel FILE [-- CMD ARG...]");
  run_app->footer(kFooter);
  run_app->add_option("-k,--kernel", run.kernel, "bzImage or ELF kernel (64-bit or PVH)")
      ->type_name("FILE")
      ->required();
  run_app->add_option("-i,--initrd,--initramfs", run.initrd, "Initial RAM disk")->type_name("FILE");
  run_app->add_option("-a,--cmdline,--append", run.cmdline, "Added to the kernel command line")
      ->type_name("STR");
  run_app->add_flag("--bare-cmdline", run.bare_cmdline, "Use nothing but --cmdline");
  run_app->add_option("-c,--cpus", run.cpus, "Number of CPUs")
      ->type_name("N")
      ->capture_default_str();
  run_app->add_option("-m,--mem,--memory", run.memory, "Guest memory (512M, 2G)")
      ->type_name("SIZE")
      ->capture_default_str();
  run_app->add_option("--dev", run.node, "Device node")->type_name("NODE")->capture_default_str();
  run_app->add_option("--timeout", run.timeout, "End the run after this time (30s, 2m)")
      ->type_name("D");
  run_app
      ->add_option("--add", run.files,
                   "With -- CMD: also put this file or folder into the guest, with the "
                   "libraries it needs")
      ->type_name("SRC[:DST]")
      ->take_all();
  run_app
      ->add_option("--module", run.modules,
                   "With -- CMD: load this kernel module (name or file) and what it needs first")
      ->type_name("NAME")
      ->take_all();
  run_app
      ->add_option("--module-dir", run.module_directory,
                   "Where the modules are (default: /lib/modules/RELEASE)")
      ->type_name("DIR");
  run_app->add_option("--entry", run.entry, "How to enter the kernel: auto, 64 or pvh")
      ->type_name("MODE")
      ->capture_default_str();
  run_app->add_flag("--no-unpack", run.no_unpack, "Let a bzImage unpack itself in the guest");
  run_app->add_option("--result", run.result, "Write how the run ended to this file, as JSON")
      ->type_name("FILE");
  run_app->add_flag("-v,--verbose", run.verbose, "Say what is being done, on standard error");

  UnpackOptions unpack;
  CLI::App* unpack_app = app.add_subcommand(
      "unpack", "Write the ELF kernel that a compressed one contains, ready to boot");
  unpack_app->add_option("-k,--kernel,kernel", unpack.kernel, "bzImage or compressed kernel")
      ->type_name("FILE")
      ->required();
  unpack_app->add_option("-o,--out", unpack.out, "The file to write")
      ->type_name("FILE")
      ->required();

  DoctorOptions doctor;
  CLI::App* doctor_app =
      app.add_subcommand("doctor", "Say what this host can and cannot do, and what to change");
  doctor_app->add_option("--dev", doctor.node, "Device node")
      ->type_name("NODE")
      ->capture_default_str();
  doctor_app->add_flag("--json", doctor.json, "Machine-readable output");

  std::reverse(own.begin(), own.end());  // what CLI11 wants
  try {
    app.parse(own);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::CallForVersion& version) {
    return app.exit(version);
  } catch (const CLI::ParseError& error) {
    PrintError(Error{ErrorKind::kUsage, "the command line makes no sense", error.what(),
                     "see: vmm --help, vmm run --help"});
    return kExitUsage;
  }
  if (separated && !run_app->parsed()) {
    PrintError(Error{ErrorKind::kUsage, "the command line makes no sense",
                     "only `vmm run` takes a guest command", "leave out what follows --"});
    return kExitUsage;
  }
  run.has_command = separated;
  run.command = std::move(command);

  Expected<int> status = run_app->parsed()      ? RunCommand(run)
                         : unpack_app->parsed() ? UnpackCommand(unpack)
                                                : DoctorCommand(doctor);
  if (!status) {
    PrintError(status.error());
    return ExitStatusOf(status.error().kind);
  }
  return *status;
}

}  // namespace

void PrintError(const Error& error) {
  fmt::print(stderr, "vmm: {}\nwhy: {}\ntry: {}\n", error.what, error.why, error.hint);
}

}  // namespace vmm

int main(int argc, char** argv) { return vmm::Main(argc, argv); }
