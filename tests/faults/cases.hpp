// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "host.hpp"
#include "injector.hpp"
#include "session.hpp"

namespace dlm_freeze::faults {

/// One session of the matrix: what happens, and at which call. Of the role "database", `call` is a stage and no call.
struct Case {
  std::string role;
  std::string call;
  int number = 0;
  std::string
      fault;  ///< "EIO"; "EIO+": from then on; "SIGKILL", "SIGSTOP", "suspend", "hang", "slow+", "full", "clock".

  [[nodiscard]] std::string text() const { return role + ":" + call + ":" + std::to_string(number) + ":" + fault; }
};

/// What `text` gave.
[[nodiscard]] Case parse(const std::string& text);

/// Every fault at every call of a session that has `counts`; each kind of fault at each kind of call comes first.
[[nodiscard]] std::vector<Case> all_cases(const Injector::Counts& counts, unsigned seed);

[[nodiscard]] Verdict run_case(const Case& one, Host& host, Injector& injector);

/// The columns of the table of results.
inline constexpr std::array kColumns = {
    "one error", "errors from then on", "SIGKILL",     "SIGSTOP", "suspended", "hangs",
    "slow",      "/run is full",        "clock jumps", "database"};
[[nodiscard]] std::size_t column_of(const Case& one);

}  // namespace dlm_freeze::faults
