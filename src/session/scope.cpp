// SPDX-License-Identifier: Apache-2.0
#include "session/scope.hpp"

#include <dlfcn.h>
#include <unistd.h>

#include <array>

namespace dlm_freeze {
namespace {

/// A systemd that works answers in a few; pre-script's budget, 8 seconds unless said otherwise, is for more important
/// things.
constexpr std::uint64_t kTimeoutMicroseconds = 250'000;

}  // namespace

bool host_runs_systemd(const std::string& sign) { return ::access(sign.c_str(), F_OK) == 0; }

Result<void> move_to_own_scope(const std::string& module_directory, SessionProcesses processes) {
  const std::string path = module_directory + "/systemd-scope.so";
  // Never closed: libsystemd does not allow it.
  void* module = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (module == nullptr) return failure(std::string("cannot load the module for systemd: ") + ::dlerror());
  const auto start_scope = reinterpret_cast<ScopeModuleFunction>(::dlsym(module, kScopeModuleSymbol));
  if (start_scope == nullptr) return failure(path + " was built for another version of dlm-freeze");

  const std::string name = "dlm-freeze-" + std::to_string(processes.watchdog) + ".scope";
  std::array<char, 512> why{};
  const int status =
      start_scope(name.c_str(), static_cast<std::uint32_t>(processes.watchdog),
                  static_cast<std::uint32_t>(processes.sentinel), kTimeoutMicroseconds, why.data(), why.size());
  if (status < 0) return failure("systemd refused to create a scope: " + std::string(why.data()));
  return {};
}

}  // namespace dlm_freeze
