// SPDX-License-Identifier: Apache-2.0
#include "commands/hazards.hpp"

#include <sys/statvfs.h>
#include <sys/timex.h>

#include <iterator>
#include <utility>

#include "base/text.hpp"
#include "commands/process_hazards.hpp"
#include "dlm_freeze/base/files.hpp"

namespace dlm_freeze {
namespace {

std::optional<std::int64_t> kernel_setting(const std::string& proc, const std::string& name) {
  const auto text = read_file(proc + "/sys/kernel/" + name);
  return text ? parse_decimal(trimmed(*text), 0, std::int64_t{1} << 40) : std::nullopt;
}

/// To the kernel, a process that waits for a thaw is a hung task (Documentation/admin-guide/sysctl/kernel.rst).
void judge_hung_tasks(const HostPlan& plan, std::chrono::seconds auto_thaw, const std::string& proc,
                      std::vector<Hazard>& hazards) {
  const auto panic = kernel_setting(proc, "hung_task_panic");
  const auto limit = kernel_setting(proc, "hung_task_timeout_secs");
  if (!panic || *panic == 0 || !limit || *limit == 0 || *limit > auto_thaw.count() || plan.freeze.filesystems.empty())
    return;
  hazards.push_back({"hung_task_panic", "kernel.hung_task_panic is " + std::to_string(*panic),
                     "the kernel panics when a process is blocked for " + std::to_string(*limit) +
                         " s, and the freeze may block a write for " + std::to_string(auto_thaw.count()) + " s",
                     "set kernel.hung_task_timeout_secs above auto_thaw_seconds, or lower auto_thaw_seconds"});
}

void judge_time_outs(const Settings& settings, std::chrono::seconds auto_thaw, std::vector<Hazard>& hazards) {
  constexpr std::chrono::seconds kDefaultOfDlm(10);
  constexpr std::chrono::seconds kMostOfDlm(120);
  constexpr std::chrono::seconds kForTheSnapshot(10);
  const auto text = [](std::chrono::seconds span) { return std::to_string(span.count()); };
  if (settings.timeout >= kDefaultOfDlm) {
    hazards.push_back({"dlm_timeout", "timeout_seconds is " + text(settings.timeout),
                       "DLM waits " + text(kDefaultOfDlm) + " s for a script unless its policy sets more (" +
                           text(kMostOfDlm) + " s at most), and cannot stop a late one",
                       settings.timeout < kMostOfDlm
                           ? "if DLM calls it, set the script time-out of the policy above that"
                           : "if DLM calls it, set timeout_seconds below that"});
  }
  if (auto_thaw < settings.timeout + kForTheSnapshot) {
    hazards.push_back({"deadline", "the deadline is after " + text(auto_thaw) + " s",
                       "it starts before the first lock: pre-script may take " + text(settings.timeout) +
                           " s of it, and the caller must request the snapshot in the rest",
                       "set auto_thaw_seconds to " + text(settings.timeout + kForTheSnapshot) +
                           " or more, or lower timeout_seconds"});
  }
}

/// The program of a command in the configuration; empty: there is no such command.
void judge_readings(const Settings& settings, const HostReadings& readings, std::vector<Hazard>& hazards) {
  constexpr std::uint64_t kLeastBytes = std::uint64_t{4} << 20;
  constexpr std::uint64_t kLeastFiles = 64;
  if (readings.is_clock_synchronised && !*readings.is_clock_synchronised) {
    hazards.push_back({"clock", "the clock is not synchronised",
                       "the times in logs, in the record and in a database's coordinates may be wrong",
                       "start chronyd or systemd-timesyncd"});
  }
  const bool is_full = (readings.state_bytes_left && *readings.state_bytes_left < kLeastBytes) ||
                       (readings.state_files_left && *readings.state_files_left < kLeastFiles);
  if (is_full) {
    hazards.push_back({"state_directory", "the filesystem of " + settings.state_directory + " is nearly full",
                       format_size(readings.state_bytes_left.value_or(0)) + " and " +
                           count_of(readings.state_files_left.value_or(0), "file") +
                           " are left, and a session that cannot be recorded does not start",
                       "free some space: see df and du"});
  }
}

}  // namespace

HostReadings HostReadings::read(const std::string& state_directory) {
  HostReadings readings;
  timex clock{};
  if (const int state = ::adjtimex(&clock); state >= 0)
    readings.is_clock_synchronised = state != TIME_ERROR && (clock.status & STA_UNSYNC) == 0;
  struct statvfs info {};
  const std::string parent = state_directory.substr(0, state_directory.rfind('/') + 1);
  if (::statvfs(state_directory.c_str(), &info) != 0 && ::statvfs(parent.c_str(), &info) != 0) return readings;
  if (info.f_blocks != 0) readings.state_bytes_left = std::uint64_t{info.f_bavail} * info.f_frsize;
  if (info.f_files != 0) readings.state_files_left = info.f_favail;
  return readings;
}

std::vector<Hazard> find_hazards(const HostPlan& plan, const Settings& settings, std::chrono::seconds auto_thaw,
                                 const HostReadings& readings) {
  std::vector<Hazard> hazards = find_process_hazards(plan, auto_thaw, readings.proc);
  judge_hung_tasks(plan, auto_thaw, readings.proc, hazards);
  judge_time_outs(settings, auto_thaw, hazards);
  judge_readings(settings, readings, hazards);
  return hazards;
}

}  // namespace dlm_freeze
