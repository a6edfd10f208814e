// SPDX-License-Identifier: Apache-2.0
#include "commands/verify/checks.hpp"

#include <unistd.h>

#include <algorithm>

#include "base/text.hpp"

namespace dlm_freeze {
namespace {

/// One line, which the next one overwrites.
void show(const std::string& text) {
  const std::string line = "\r\033[K" + (text.empty() ? text : "  " + printable(text) + " …");
  static_cast<void>(!::write(STDERR_FILENO, line.data(), line.size()));
}

}  // namespace

Proof CheckList::run(const std::string& subject, const std::string& what, const std::function<Finding()>& check) {
  if (shows_progress_) show(subject + ": " + what);
  const auto started = BootClock::now();
  Finding finding = check();
  if (finding.proof == Proof::bad && memory_.has_killed()) finding = unchecked(memory_.shortage());
  const Proof proof = finding.proof;
  checks_.push_back(
      {subject, what, std::move(finding), std::chrono::duration<double>(BootClock::now() - started).count()});
  if (shows_progress_) show("");
  return proof;
}

void CheckList::add_unchecked(const std::string& subject, const std::string& what, std::string why) {
  checks_.push_back({subject, what, unchecked(std::move(why))});
}

bool CheckList::has(const std::string& subject) const {
  return std::any_of(checks_.begin(), checks_.end(), [&](const Check& check) { return check.subject == subject; });
}

Proof CheckList::proof_of(const std::string& subject) const {
  Proof worst = Proof::good;
  for (const Check& check : checks_) {
    if (check.subject == subject) worst = std::max(worst, check.finding.proof);
  }
  return worst;
}

}  // namespace dlm_freeze
