// SPDX-License-Identifier: Apache-2.0
#include <dlfcn.h>
#include <unistd.h>

#include <ostream>

#include "commands/command_context.hpp"
#include "commands/verify/request.hpp"

namespace dlm_freeze {
namespace {

/// Never closed: what it has put into lists of the C library's stays valid.
Result<VerifyModuleFunction> load(const std::string& path) {
  if (::access(path.c_str(), F_OK) != 0)
    return failure("the module for verify is missing (" + path + "): install dlm-freeze again", ErrorKind::not_ready);
  void* module = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (module == nullptr) return failure("cannot load " + path + ": " + ::dlerror(), ErrorKind::not_ready);
  const auto function = reinterpret_cast<VerifyModuleFunction>(::dlsym(module, kVerifyModuleSymbol));
  if (function == nullptr)
    return failure(path + " was built for another version of dlm-freeze: install it again", ErrorKind::not_ready);
  return function;
}

}  // namespace

Result<void> verify(const Settings& settings, CommandContext& context) {
  const auto module = load(context.module_directory + "/verify.so");
  if (!module) return tl::unexpected(module.error());
  VerifyRequest request = settings.verify;
  request.paths = settings.verify_paths;
  request.shows_progress = ::isatty(STDERR_FILENO) == 1;
  VerifyAnswer answer;
  (*module)(request, answer);
  context.out << answer.report << std::flush;
  if (answer.code == VerifyCode::good) return {};
  return failure(answer.error, answer.code == VerifyCode::unchecked ? ErrorKind::not_ready : ErrorKind::failed);
}

}  // namespace dlm_freeze
