// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace dlm_freeze {

/// What the command line asks of `verify`. All paths are absolute.
struct VerifyRequest {
  std::vector<std::string> paths;  ///< Mounted directories, block devices, images of filesystems.
  bool check = false;              ///< Also check the filesystems and start the databases.
  bool json = false;
  bool shows_progress = false;  ///< On stderr, which is a terminal.
  std::string scratch;          ///< A directory with space for what a server writes; empty: memory.
  std::string databases_file;   ///< What to ask the databases besides; empty: nothing.
  std::string junit_file;       ///< Empty: none.
  std::uint64_t memory = 0;     ///< Bytes that the checks may use; 0: three quarters of the host's, where that can be.
  std::chrono::seconds timeout = std::chrono::hours(1);  ///< Of each check, and of each start of a server.
};

/// The exit code of `verify`: the worst of all that it looked at.
enum class VerifyCode { good = 0, bad = 1, unchecked = 2 };

struct VerifyAnswer {
  VerifyCode code = VerifyCode::good;
  std::string report;  ///< For stdout.
  std::string error;   ///< For stderr, unless it is good.
};

/// What the module defines, as a C function of the name kVerifyModuleSymbol. A module of its own, so that what nobody
/// needs while a snapshot is taken is not part of the program, which locks all of itself in memory then.
using VerifyModuleFunction = void (*)(const VerifyRequest& request, VerifyAnswer& answer);
inline constexpr const char* kVerifyModuleSymbol = "dlm_freeze_verify_1";

}  // namespace dlm_freeze
