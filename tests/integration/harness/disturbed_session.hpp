// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "agent.hpp"
#include "system.hpp"

namespace dlm_freeze::integration {

/// What becomes of a container.
enum class ContainerEvent { killed, stopped, restarted };

/// "Killed", for the name of a test.
[[nodiscard]] std::string to_string(ContainerEvent event);

/// A session beside which something happened.
struct DisturbedSession {
  RunResult pre;
  std::optional<RunResult> post;  ///< None where pre-script failed.
  bool before_post = false;       ///< It had happened before post-script began.
  bool was_held = false;          ///< As `is_held` found after pre-script.

  [[nodiscard]] std::string text() const { return pre.text() + (post ? post->text() : ""); }
};

/// Runs pre-script, holds for a tenth of a second, and runs post-script, while `event` happens `after` the start. With
/// `until_deadline` the hold lasts until `is_held` says no more.
[[nodiscard]] DisturbedSession disturbed_session(const std::function<RunResult(const std::string& command)>& run,
                                                 const std::function<bool()>& is_held, bool until_deadline,
                                                 Clock::duration after, const std::function<void()>& event);

}  // namespace dlm_freeze::integration
