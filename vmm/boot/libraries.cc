// SPDX-License-Identifier: GPL-2.0-or-later
#include "boot/libraries.h"

#include <fmt/core.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "base/fd.h"
#include "boot/elf.h"

namespace vmm {
namespace {

namespace fs = std::filesystem;
constexpr int kMaxConfDepth = 8;
constexpr size_t kMaxFiles = 4096;

void ReadConf(const std::string& path, int depth, std::vector<std::string>* out) {
  std::ifstream conf(path);
  std::string line;
  while (std::getline(conf, line)) {
    line.resize(std::min(line.find('#'), line.size()));
    std::istringstream words(line);
    std::string word;
    if (!(words >> word)) continue;
    if (word == "include") {
      while (depth < kMaxConfDepth && words >> word) {
        glob_t matches = {};
        if (glob(word.c_str(), 0, nullptr, &matches) == 0)
          for (size_t i = 0; i < matches.gl_pathc; ++i)
            ReadConf(matches.gl_pathv[i], depth + 1, out);
        globfree(&matches);
      }
    } else if (word[0] == '/') {
      out->push_back(word);
    }
  }
}

bool IsRegularFile(const std::string& path) {
  struct stat st = {};
  return stat(path.c_str(), &st) == 0 && S_ISREG(st.st_mode);
}

std::string ExpandOrigin(std::string path, const std::string& program) {
  const std::string origin = fs::path(program).parent_path();
  for (const std::string token : {"${ORIGIN}", "$ORIGIN"})
    for (size_t at = path.find(token); at != path.npos; at = path.find(token))
      path.replace(at, token.size(), origin);
  return path;
}

}  // namespace

std::vector<std::string> LibraryDirectories(const std::string& conf) {
  std::vector<std::string> out;
  ReadConf(conf, 0, &out);
  for (const char* standard : {"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64",
                               "/usr/lib64", "/lib", "/usr/lib"})
    out.emplace_back(standard);
  return out;
}

Expected<std::vector<std::string>> ProgramFiles(const std::string& program) {
  std::vector<std::string> out;
  std::set<std::string> seen;
  std::deque<std::string> todo{program};
  std::vector<std::string> directories;
  std::set<std::string> libraries;  // by soname: the loader loads each once
  while (!todo.empty()) {
    const std::string path = todo.front();
    todo.pop_front();
    if (!seen.insert(path).second) continue;
    if (seen.size() > kMaxFiles)
      return Fail(ErrorKind::kCommand, fmt::format("cannot run {}", program),
                  "it needs too many files", "use an initramfs of your own: --initrd");
    auto file = MappedFile::Open(path, ErrorKind::kCommand, "program");
    if (!file) return tl::unexpected(file.error());
    out.push_back(path);
    const auto bytes = file->bytes();
    if (bytes.size() > 2 && bytes[0] == '#' && bytes[1] == '!') {
      const std::string line(bytes.begin() + 2, std::find(bytes.begin() + 2, bytes.end(), '\n'));
      std::istringstream words(line);
      std::string interpreter;
      if (words >> interpreter) todo.push_back(interpreter);
      continue;
    }
    if (!IsElf(bytes)) continue;
    auto elf = ParseElfProgram(bytes);
    if (!elf) {
      Error error = elf.error();
      error.kind = ErrorKind::kCommand;
      error.what = fmt::format("cannot read the program {}", path);
      return tl::unexpected(std::move(error));
    }
    if (!elf->interpreter.empty()) todo.push_back(elf->interpreter);
    for (const std::string& name : elf->needed) {
      if (!libraries.insert(name).second) continue;
      if (directories.empty()) directories = LibraryDirectories();
      std::vector<std::string> candidates;
      if (name.find('/') != name.npos) {
        candidates.push_back(name);
      } else {
        for (const std::string& directory : elf->run_path)
          candidates.push_back(ExpandOrigin(directory, path) + "/" + name);
        for (const std::string& directory : directories)
          candidates.push_back(directory + "/" + name);
      }
      const auto found = std::find_if(candidates.begin(), candidates.end(), IsRegularFile);
      if (found == candidates.end())
        return Fail(ErrorKind::kCommand, fmt::format("cannot run {} in the guest", program),
                    fmt::format("the library {}, which {} needs, is not on this host", name, path),
                    "install the package that provides it");
      todo.push_back(*found);
    }
  }
  return out;
}

Expected<std::string> FindProgram(const std::string& command) {
  const std::string what = fmt::format("cannot run {} in the guest", command);
  if (command.empty())
    return Fail(ErrorKind::kNotFound, "cannot run the guest command", "its name is empty",
                "name a program after --");
  if (command.find('/') != command.npos) {
    std::error_code error;
    const std::string path = fs::absolute(command, error).lexically_normal();
    if (!fs::exists(path, error))
      return Fail(ErrorKind::kNotFound, what, "there is no such file on this host",
                  "check the path and spelling");
    if (!IsRegularFile(path) || access(path.c_str(), X_OK) != 0)
      return Fail(ErrorKind::kCommand, what, "it is not an executable file",
                  fmt::format("chmod +x {}", command));
    return path;
  }
  const char* path = std::getenv("PATH");
  std::istringstream directories(
      path != nullptr && path[0] != '\0' ? path : "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin");
  std::string directory;
  while (std::getline(directories, directory, ':')) {
    if (directory.empty() || directory[0] != '/') continue;
    const std::string candidate = directory + "/" + command;
    if (IsRegularFile(candidate) && access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return Fail(ErrorKind::kNotFound, what, "no directory of PATH on this host has it",
              "install it, or give its path");
}

}  // namespace vmm
