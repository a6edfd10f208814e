// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dlm_freeze/base/deadline.hpp"
#include "dlm_freeze/base/error.hpp"
#include "dlm_freeze/base/json.hpp"
#include "dlm_freeze/quiesce/registry.hpp"
#include "fs/kernel_variable.hpp"

namespace dlm_freeze {

/// How far a session has come.
enum class Phase {
  preparing,  ///< Nothing is frozen or locked.
  freezing,   ///< Anything may be.
  held,       ///< pre-script succeeded.
  ending,     ///< It is being undone and waits for a call to the kernel that has not returned.
  ended,
};

/// How a session ended.
enum class SessionEnd {
  none,           ///< It has not.
  completed,      ///< By post-script.
  auto_thawed,    ///< By the deadline or a SIGTERM.
  rolled_back,    ///< pre-script did not succeed.
  watchdog_lost,  ///< The watchdog died; another process thawed.
};

[[nodiscard]] std::string_view to_string(Phase phase);
[[nodiscard]] std::string_view to_string(SessionEnd end);

struct FilesystemRecord {
  std::string mount_point;
  std::string device;  ///< "259:1"
  std::string state;   ///< A FreezeState.
  double frozen_seconds = 0;
  bool may_be_frozen = false;  ///< It still has to be thawed.
  double freeze_seconds = 0;   ///< How long FIFREEZE took; 0 where it was not frozen, or an earlier version's.
  /// The disks that it lies on: ids of EBS volumes, else the kernel's names. Empty: not known, or an earlier version's.
  std::vector<std::string> volumes{};
  std::string where{};  ///< The process or container that has it mounted; empty: the host, or an earlier version's.
};

struct QuiescerRecord {
  QuiescerConfig config;  ///< Enough to make another one that can undo what this one left behind.
  bool quiesced = false;  ///< It still has to be released.
  std::vector<Fact> facts;
};

/// What the count of writes of one device says of the hold.
struct WitnessRecord {
  std::string device;        ///< A volume or a device, for a person.
  std::string result;        ///< A HoldWitness::Result.
  std::string why;           ///< Of not_provable.
  std::int64_t sectors = 0;  ///< Of 512 bytes, that were written during the hold.
};

/// What is still known of a session when the record is that of a later one: how to answer a post-script that comes
/// late.
struct EarlierSession {
  std::string execution_id;
  SessionEnd end = SessionEnd::none;
  WallTime ended_at;
  std::string ended_by;  ///< As in SessionRecord.
  bool had_problems = false;
  bool reported = false;  ///< As in SessionRecord.
};

/// What is known of a session by those who have no part in it, and after its end.
struct SessionRecord {
  Phase phase = Phase::preparing;
  std::string session_id;  ///< Of this session alone; empty: an earlier version's.
  std::string execution_id;
  std::string group_id;        ///< Of the sessions on several hosts that this one belongs to, the caller's; or empty.
  std::string host;            ///< Its name; empty: an earlier version's.
  std::string boot_id;         ///< Of the running kernel; a record of another boot is history.
  std::string time_namespace;  ///< Whose boot clock it is; see current_time_namespace. Empty: an earlier version's.
  /// Moments come twice: on the wall clock, for people and other hosts, and on the boot clock, which nobody sets, for
  /// how long things take. The epoch where it has not come, or an earlier version or a process in another time
  /// namespace wrote the record.
  WallTime started_at;
  BootClock::time_point started_boot;
  WallTime hold_wanted_at;  ///< When the locks were to be taken; the epoch: at once.
  WallTime held_at;         ///< When pre-script succeeded.
  BootClock::time_point held_boot;
  WallTime hold_ended_at;  ///< Right before the first thaw or release. The epoch: nobody was left who could say.
  BootClock::time_point hold_ended_boot;
  /// What held_at and hold_ended_at are off by, at most; nothing: not known. See clock_error.
  std::optional<std::chrono::microseconds> held_clock_error;
  std::optional<std::chrono::microseconds> hold_ended_clock_error;
  WallTime deadline_at;
  BootClock::time_point deadline_boot;
  std::vector<std::pair<std::string, double>> stage_seconds;  ///< In the order in which they ran.
  double stall_seconds =
      0;  ///< From the first lock until all was frozen; 0 where it never was, or an earlier version's.
  std::vector<FilesystemRecord> filesystems;  ///< In freeze order.
  std::vector<QuiescerRecord> quiescers;
  std::vector<WitnessRecord> witness;

  SessionEnd end = SessionEnd::none;
  WallTime ended_at;
  BootClock::time_point ended_boot;
  std::string ended_by;                 ///< The execution id of the post-script that ended it.
  std::vector<std::string> problems;    ///< What went wrong while it was held or ended.
  bool reported = false;                ///< A post-script has answered for it.
  std::vector<EarlierSession> earlier;  ///< Those before it, the latest first; only so many.

  std::vector<KernelVariable> to_put_back;  ///< What somebody still has to do so with; see DirtyLimit.

  std::string history_file;  ///< Where its end is to be noted; empty: nowhere. See session/history.hpp.
  std::string metrics_file;  ///< The same for the figures of the last session.
  std::string inventory;     ///< The same for the item of AWS's inventory: its directory.

  [[nodiscard]] Json to_json() const;

  /// Errors: no such document, or of a version that this program does not know.
  [[nodiscard]] static Result<SessionRecord> from_json(const Json& json);

  /// Whether it is of the boot that has the id `current_boot_id`. Where either id is not known (a /proc that shows
  /// processes only, proc(5)), it is unless its beginning is yet to come by the boot clock.
  [[nodiscard]] bool is_of_boot(const std::string& current_boot_id) const;

  /// Whether it was left behind by processes that are gone, provided that no session is active.
  [[nodiscard]] bool is_orphan(const std::string& current_boot_id) const {
    return phase != Phase::ended && is_of_boot(current_boot_id);
  }

  /// Whether a filesystem or database of it still has to be thawed or released.
  [[nodiscard]] bool has_leftovers() const;

  /// The earlier session that a post-script of execution `id` means, if any: the latest that `id` started or, where
  /// this one has an id as well, ended. Null where `id` is None, this session's own, or not known.
  [[nodiscard]] const EarlierSession* earlier_of(const std::string& id) const;

  /// What the next session's record is to know of this one and those before it.
  [[nodiscard]] std::vector<EarlierSession> earlier_for_next() const;

  // All by the boot clock where the record says it, else by the wall clock; never negative. For a session of this
  // boot.

  [[nodiscard]] BootClock::duration left_until_deadline() const;
  [[nodiscard]] BootClock::duration past_deadline() const;
  [[nodiscard]] BootClock::duration since_held() const;

  /// The seconds for which one filesystem of it was frozen, at most.
  [[nodiscard]] double longest_freeze() const;
};

/// /proc/sys/kernel/random/boot_id; empty where it cannot be read.
[[nodiscard]] std::string current_boot_id();

/// What /proc/self/ns/time says; empty where there is none. Another one's boot clock has another beginning
/// (time_namespaces(7)).
[[nodiscard]] std::string current_time_namespace();

}  // namespace dlm_freeze
