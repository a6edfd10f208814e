// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dlm_freeze/base/deadline.hpp"
#include "dlm_freeze/base/error.hpp"
#include "dlm_freeze/base/log.hpp"
#include "dlm_freeze/base/unique_fd.hpp"
#include "session/plan.hpp"

namespace dlm_freeze {

enum class Verb : std::uint32_t {
  prepare,  ///< pre-script to the watchdog.
  quiesce,  ///< pre-script to the watchdog.
  commit,   ///< pre-script to the watchdog.
  sync,     ///< pre-script to the freezer.
  freeze,   ///< pre-script to the freezer.
  end,      ///< pre-script to the watchdog: roll back.
  done,     ///< The answer when it went well.
  failed,   ///< The answer when it did not.
  stuck,    ///< The watchdog to pre-script: a thaw does not return; do not wait for it.
};

/// What the processes of a session say to each other. All are one process image, so it travels as it lies in memory.
struct Message {
  Verb verb = Verb::done;
  Deadline deadline{BootClock::time_point()};  ///< prepare, quiesce: of the stage. commit: of pre-script.
  pid_t sentinel = -1;                         ///< done, once the session is set up.
  StageSeconds stages{};                       ///< commit.
  Error error{};                               ///< failed.
  std::vector<LogLine>
      lines{};  ///< done, failed: what the databases had to say. commit: what waits for the host's log.
};

/// That pre-script's budget was spent before what it was doing was done: `what`, as "freezing".
[[nodiscard]] Error late(std::string_view what, ErrorKind kind = ErrorKind::failed);
inline constexpr std::string_view kHandOver = "handing over to the watchdog";

/// Two connected ends.
[[nodiscard]] Result<std::pair<UniqueFd, UniqueFd>> message_channel();

/// Sends without ever waiting: a reader that does not read loses the message and gets the end of file later.
[[nodiscard]] Result<void> send_message(int fd, const Message& message);

/// The next message; nothing at the end of file. Blocks.
[[nodiscard]] Result<std::optional<Message>> receive_message(int fd);

// post-script may be a newer program than the watchdog, so what these two say to each other is text that stays as it
// is: a packet "end <execution id>", and as the answer "done <the record as JSON>", the same with "over" for those who
// were connected when another one ended it, or "stuck" where a thaw does not return. "not his": the execution is known
// as that of an earlier session, and this one goes on. What is too long for a packet goes on in the next ones.
inline constexpr std::string_view kEndRequest = "end ";
inline constexpr std::string_view kDoneAnswer = "done ";
inline constexpr std::string_view kOverAnswer = "over ";
inline constexpr std::string_view kStuckAnswer = "stuck";
inline constexpr std::string_view kNotHisAnswer = "not his";
inline constexpr std::size_t kLongestPacket = std::size_t{32} * 1024;

/// As send_message.
[[nodiscard]] Result<void> send_packet(int fd, std::string_view bytes);

/// As receive_message.
[[nodiscard]] Result<std::optional<std::string>> receive_packet(int fd);

}  // namespace dlm_freeze
