// SPDX-License-Identifier: GPL-2.0-or-later
#include "boot/modules.h"

#include <dlfcn.h>
#include <fmt/core.h>
#include <libkmod.h>

#include <algorithm>
#include <filesystem>
#include <memory>

namespace vmm {
namespace {

// The functions of libkmod that are used, with the types of its header.
struct Kmod {
  void* library = nullptr;
  decltype(&kmod_new) create = nullptr;
  decltype(&kmod_unref) unref = nullptr;
  decltype(&kmod_load_resources) load_resources = nullptr;
  decltype(&kmod_module_new_from_lookup) lookup = nullptr;
  decltype(&kmod_module_get_module) get_module = nullptr;
  decltype(&kmod_module_get_path) get_path = nullptr;
  decltype(&kmod_module_get_name) get_name = nullptr;
  decltype(&kmod_module_get_dependencies) get_dependencies = nullptr;
  decltype(&kmod_module_unref) module_unref = nullptr;
  decltype(&kmod_module_unref_list) unref_list = nullptr;
  decltype(&kmod_list_next) list_next = nullptr;

  Kmod() = default;
  Kmod(const Kmod&) = delete;
  Kmod& operator=(const Kmod&) = delete;
  ~Kmod() {
    if (library != nullptr) dlclose(library);
  }

  bool Load() {
    library = dlopen("libkmod.so.2", RTLD_NOW);
    if (library == nullptr) return false;
    bool complete = true;
    const auto get = [&](auto* function, const char* name) {
      *function = reinterpret_cast<std::remove_pointer_t<decltype(function)>>(dlsym(library, name));
      complete = complete && *function != nullptr;
    };
    get(&create, "kmod_new");
    get(&unref, "kmod_unref");
    get(&load_resources, "kmod_load_resources");
    get(&lookup, "kmod_module_new_from_lookup");
    get(&get_module, "kmod_module_get_module");
    get(&get_path, "kmod_module_get_path");
    get(&get_name, "kmod_module_get_name");
    get(&get_dependencies, "kmod_module_get_dependencies");
    get(&module_unref, "kmod_module_unref");
    get(&unref_list, "kmod_module_unref_list");
    get(&list_next, "kmod_list_next");
    return complete;
  }
};

void AddOnce(const char* path, std::vector<std::string>* out) {
  if (path != nullptr && std::find(out->begin(), out->end(), path) == out->end())
    out->emplace_back(path);
}

}  // namespace

Expected<std::vector<std::string>> ResolveModules(const std::vector<std::string>& names,
                                                  const std::string& directory,
                                                  const std::string& release) {
  std::vector<std::string> out;
  std::vector<std::string> to_look_up;
  for (const std::string& name : names) {
    if (name.find('/') != name.npos) {
      AddOnce(name.c_str(), &out);
    } else {
      to_look_up.push_back(name);
    }
  }
  if (to_look_up.empty()) return out;

  const std::string where = directory.empty() ? "/lib/modules/" + release : directory;
  const std::string what = fmt::format("cannot load the module {} in the guest", to_look_up[0]);
  std::error_code error;
  if (directory.empty() && release.empty())
    return Fail(ErrorKind::kInitrd, what, "the kernel image does not tell its release",
                "name the directory: --module-dir /lib/modules/RELEASE");
  if (!std::filesystem::exists(where + "/modules.dep.bin", error))
    return Fail(ErrorKind::kInitrd, what, fmt::format("{} has no modules.dep.bin", where),
                "install that kernel's package, run depmod, or use --module-dir");
  Kmod kmod;
  if (!kmod.Load())
    return Fail(ErrorKind::kInitrd, what, "libkmod.so.2 is not installed",
                "apt install libkmod2, or name the .ko files by path");
  const char* no_config = nullptr;
  const std::unique_ptr<kmod_ctx, kmod_ctx* (*)(kmod_ctx*)> context(
      kmod.create(where.c_str(), &no_config), kmod.unref);
  if (!context || kmod.load_resources(context.get()) != 0)
    return Fail(ErrorKind::kInitrd, what, fmt::format("libkmod cannot read {}", where),
                "run depmod for that kernel");
  for (const std::string& name : to_look_up) {
    kmod_list* found = nullptr;
    if (kmod.lookup(context.get(), name.c_str(), &found) < 0 || found == nullptr)
      return Fail(ErrorKind::kInitrd, fmt::format("cannot load the module {} in the guest", name),
                  fmt::format("{} has no such module", where), "check the name");
    for (kmod_list* item = found; item != nullptr; item = kmod.list_next(found, item)) {
      kmod_module* module = kmod.get_module(item);
      // Nearest dependency first: load them from the far end.
      kmod_list* dependencies = kmod.get_dependencies(module);
      for (kmod_list* next = dependencies; next != nullptr;
           next = kmod.list_next(dependencies, next)) {
        kmod_module* dependency = kmod.get_module(next);
        AddOnce(kmod.get_path(dependency), &out);
        kmod.module_unref(dependency);
      }
      kmod.unref_list(dependencies);
      AddOnce(kmod.get_path(module), &out);  // without a path it is built in
      kmod.module_unref(module);
    }
    kmod.unref_list(found);
  }
  return out;
}

}  // namespace vmm
