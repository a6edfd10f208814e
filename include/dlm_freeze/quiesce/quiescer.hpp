// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dlm_freeze/base/deadline.hpp"
#include "dlm_freeze/base/error.hpp"
#include "dlm_freeze/base/log.hpp"

namespace dlm_freeze {

/// How a session ended, as far as a database is told.
enum class Outcome {
  completed,    ///< post-script ended it: the system was quiesced and frozen when the snapshot was taken.
  auto_thawed,  ///< The deadline or a SIGTERM ended it.
  rolled_back,  ///< It was never held, or was lost: the snapshot is not consistent.
};

[[nodiscard]] std::string_view to_string(Outcome outcome);

/// One fact that a database reported when it was quiesced: "binary_log_position" = "154".
struct Fact {
  std::string key;
  std::string value;
};

/// What a location means for a snapshot.
enum class DataRole {
  data,       ///< A restore is incomplete without it: tables, redo and write-ahead logs, binary logs.
  log,        ///< The server's messages. A thread that writes there blocks while it is frozen.
  temporary,  ///< Can be lost without harm.
};

[[nodiscard]] std::string_view to_string(DataRole role);

/// A directory that a database keeps something in.
struct DataLocation {
  std::string what;           ///< For a person: "data", "binary log", "tablespace sales".
  std::string path;           ///< Absolute, symbolic links resolved.
  bool may_be_frozen = true;  ///< False: the database must go on writing here while it is quiesced.
  DataRole role = DataRole::data;
};

/// What is known of a database without logging in to it.
struct Presence {
  bool running = true;
  std::string detail;  ///< For a person: "no socket /run/mysqld/mysqld.sock".
  std::vector<DataLocation> locations;
  /// How long its locations may stay frozen: the session ends by then.
  std::optional<std::chrono::seconds> longest_freeze{};
};

/// Whether the filesystem of a path is going to be frozen.
struct Coverage {
  bool frozen = false;
  std::string mount_point;
  std::string why;  ///< The plan's reason.
};

/// What a stage is given. One object for each quiescer and stage; used by one thread.
struct StageContext {
  Deadline deadline;   ///< A stage that is not done by then has failed.
  int cancel_fd = -1;  ///< Readable as soon as the stage must be given up; poll it together with other descriptors.
  std::string execution_id{};
  std::function<Coverage(const std::string& path)> coverage{};  ///< Callable while no filesystem is frozen.
  std::vector<LogLine> notes{};                ///< Lines for the log; written by the caller when that is allowed.
  std::optional<Deadline> session_deadline{};  ///< When the session ends by itself, or would; up to `quiesce`.

  /// How long to wait for anything in this stage.
  [[nodiscard]] Patience patience() const { return {deadline, cancel_fd}; }
};

/// One database, or anything else that can be brought to a state worth a snapshot. Its stages are called in the order
/// below, each at most once, none while a filesystem is frozen. Each runs in a thread of its own, beside the stages of
/// the other quiescers; no two at the same time on one object. An error of kind `not_ready` is the database's state
/// (starting, refusing the login, a lock not granted in time), of kind `already_frozen` another program's freeze, of
/// kind `failed` anything else. A message says the cause and what to do; make_quiescer puts the database's name before
/// it, and before notes.
class Quiescer {
 public:
  Quiescer() = default;
  Quiescer(const Quiescer&) = delete;
  Quiescer& operator=(const Quiescer&) = delete;
  virtual ~Quiescer() = default;

  /// Whether it runs, and where its data is, as far as that can be told without logging in. Quick. Also for dry-run.
  [[nodiscard]] virtual Result<Presence> locate(StageContext& context);

  /// Whether it could be quiesced now: connects and reads, changes nothing. Also for `dry-run --probe`.
  [[nodiscard]] virtual Result<void> probe(StageContext& context) = 0;

  /// Slow work that blocks nothing. Returns what `recover` needs if the process dies in the middle of `quiesce`,
  /// before that has returned its facts; recorded before `quiesce` is called.
  [[nodiscard]] virtual Result<std::vector<Fact>> prepare(StageContext& context);

  /// Takes the lock and returns where the database stands. The lock is held until `release`.
  [[nodiscard]] virtual Result<std::vector<Fact>> quiesce(StageContext& context) = 0;

  /// A descriptor that becomes readable or hangs up when the hold is lost; -1 when there is none to watch. Only polled.
  [[nodiscard]] virtual int watch_fd() const { return -1; }

  /// Whether it takes no part any more, and has said why in a WARN: its stages do nothing.
  [[nodiscard]] virtual bool is_left_out() const { return false; }

  /// Ends the hold. Called whenever `quiesce` was called, even if that failed. An error of kind `protection_lost`: for
  /// Outcome::completed, it had ended earlier. Of kind `not_ready`: it may last, and the next command calls `recover`.
  [[nodiscard]] virtual Result<void> release(StageContext& context, Outcome outcome) = 0;

  /// Undoes what outlives a process that died after `quiesce` was called, or just before. Called on another object,
  /// made from the same configuration in another process. `facts` is what `quiesce` returned, or `prepare` if `quiesce`
  /// did not return. A hold that ends with its connection needs nothing.
  [[nodiscard]] virtual Result<void> recover(StageContext& context, const std::vector<Fact>& facts);
};

}  // namespace dlm_freeze
