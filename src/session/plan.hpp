// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/process_handle.hpp"
#include "dlm_freeze/base/log.hpp"
#include "dlm_freeze/base/unique_fd.hpp"
#include "dlm_freeze/quiesce/quiescer.hpp"
#include "dlm_freeze/quiesce/registry.hpp"
#include "fs/dirty_limit.hpp"
#include "fs/dirty_memory.hpp"
#include "fs/expedited_rcu.hpp"
#include "fs/frozen_filesystems.hpp"
#include "fs/hold_witness.hpp"
#include "fs/manifest_place.hpp"
#include "record/manifest.hpp"
#include "record/state_directory.hpp"

namespace dlm_freeze {

struct PlannedQuiescer {
  QuiescerConfig config;
  const QuiescerType* type = nullptr;
  std::unique_ptr<Quiescer> quiescer;
};

/// The stages of pre-script, in their order, and how many seconds each took.
inline constexpr std::array kStages = {"plan", "start", "prepare", "quiesce", "freeze"};
using StageSeconds = std::array<double, kStages.size()>;

/// Makes the place in the host's log where a process writes.
using SyslogFactory = std::function<std::unique_ptr<LogOutput>()>;

/// What is to be written into each filesystem of a session before it is frozen, and where.
struct ManifestPlan {
  Manifest manifest;                  ///< Without what the databases say.
  std::vector<ManifestPlace> places;  ///< By filesystem.
};

/// All that the processes of a session need to know; made by pre-script, inherited by the others.
struct SessionPlan {
  const StateDirectory* state = nullptr;
  UniqueFd lock;
  UniqueFd freezer_lock;    ///< Open, to be taken by the freezer.
  ProcessHandle freezer{};  ///< Once that has been forked.
  FrozenFilesystems filesystems;
  ExpeditedRcu rcu;
  DirtyLimit dirty_limit{};
  DirtyMemory dirty_memory{};  ///< Of the same devices.
  std::vector<PlannedQuiescer> quiescers;
  std::optional<ManifestPlan> manifests{};  ///< Nothing: none is written.
  HoldWitness witness{};
  std::string session_id{};
  std::string execution_id;
  std::string group_id{};                           ///< As in SessionRecord.
  std::string host{};                               ///< As in SessionRecord.
  WallTime hold_wanted_at{};                        ///< As in SessionRecord.
  BootClock::duration until_hold{};                 ///< From the start until then; the deadline counts from then.
  std::vector<std::vector<std::string>> volumes{};  ///< As in FilesystemRecord, by filesystem; or empty.
  std::chrono::seconds auto_thaw{60};
  std::optional<BootClock::duration> max_stall{};  ///< As in Settings.
  DirtyMemory host_dirty{};                        ///< Of the whole host, to say what took so long.
  WallTime started_at;
  std::vector<EarlierSession> earlier{};  ///< As in SessionRecord.
  std::string history_file;               ///< As in SessionRecord.
  std::string metrics_file;
  std::string inventory{};
  std::function<Coverage(const std::string& path)> coverage;
  SyslogFactory syslog;
  UniqueFd caller_files{};  ///< A lease of CallerFiles where these may lie on what is frozen; until the last thaw.
};

}  // namespace dlm_freeze
