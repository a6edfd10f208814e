// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "commands/verify/memory_cgroup.hpp"
#include "commands/verify/set.hpp"
#include "dlm_freeze/base/deadline.hpp"

namespace dlm_freeze {

/// What a check found; of a good one `why` may say more.
struct Finding {
  Proof proof = Proof::good;
  std::string why = {};
};

[[nodiscard]] inline Finding bad(std::string why) { return {Proof::bad, std::move(why)}; }
[[nodiscard]] inline Finding unchecked(std::string why) { return {Proof::unchecked, std::move(why)}; }

/// A check that was made, or that could not be.
struct Check {
  std::string subject;  ///< A mount point or a database.
  std::string what;
  Finding finding;
  double seconds = 0;
};

/// The checks of one run, in their order.
class CheckList {
 public:
  /// `memory`, in which the checks run, must outlive it.
  CheckList(std::chrono::seconds timeout, bool shows_progress, const MemoryCgroup& memory)
      : timeout_(timeout), shows_progress_(shows_progress), memory_(memory) {}

  /// Makes one, measured, and gives what it found. Nothing is bad any more once memory has run out.
  Proof run(const std::string& subject, const std::string& what, const std::function<Finding()>& check);

  /// For what could not be begun.
  void add_unchecked(const std::string& subject, const std::string& what, std::string why);

  /// How long a check may wait from now on.
  [[nodiscard]] Patience patience() const { return {Deadline::in(timeout_)}; }

  [[nodiscard]] const std::vector<Check>& checks() const { return checks_; }

  /// Whether there is one of `subject`.
  [[nodiscard]] bool has(const std::string& subject) const;

  /// The worst of those of `subject`; good when there are none.
  [[nodiscard]] Proof proof_of(const std::string& subject) const;

 private:
  std::chrono::seconds timeout_;
  bool shows_progress_;
  const MemoryCgroup& memory_;
  std::vector<Check> checks_;
};

}  // namespace dlm_freeze
