// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dlm_freeze/base/error.hpp"
#include "dlm_freeze/base/json.hpp"
#include "dlm_freeze/base/log.hpp"
#include "dlm_freeze/base/unique_fd.hpp"

namespace dlm_freeze {

// What the processes of a session say to each other, and to post-script: one JSON document a packet on SEQPACKET
// sockets, {"verb": ..., "body": {...}}. All of them are the same program, mostly the same process image.

struct Message {
  std::string verb;
  Json body = Json::Object();
};

namespace verbs {
inline constexpr const char* kPrepare = "prepare";  // P to W
inline constexpr const char* kQuiesce = "quiesce";  // P to W
inline constexpr const char* kCommit = "commit";    // P to W
inline constexpr const char* kSync = "sync";        // P to F
inline constexpr const char* kFreeze = "freeze";    // P to F
inline constexpr const char* kEnd = "end";          // post-script to W; P to W: roll back
inline constexpr const char* kDone = "done";        // the answer when it went well
inline constexpr const char* kFailed = "failed";    // the answer when it did not
inline constexpr const char* kStuck = "stuck";  // W to P and post-script: a thaw does not return; do not wait for it
}  // namespace verbs

/// Two connected ends.
[[nodiscard]] Result<std::pair<UniqueFd, UniqueFd>> message_channel();

/// Sends without ever waiting: a reader that does not read loses the message and gets the end of file later.
[[nodiscard]] Result<void> send_message(int fd, const Message& message);

/// The next message; nothing at the end of file. Blocks.
[[nodiscard]] Result<std::optional<Message>> receive_message(int fd);

[[nodiscard]] Json to_json(const Error& error);
[[nodiscard]] Error error_from_json(const Json& json);
[[nodiscard]] Json to_json(const std::vector<LogLine>& lines);
[[nodiscard]] std::vector<LogLine> lines_from_json(const Json* json);

}  // namespace dlm_freeze
