// SPDX-License-Identifier: Apache-2.0
#include "commands/process_hazards.hpp"

#include <fcntl.h>
#include <sys/fanotify.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/directory.hpp"
#include "base/text.hpp"
#include "dlm_freeze/base/files.hpp"

namespace dlm_freeze {
namespace {

namespace stdfs = std::filesystem;

constexpr auto kPatience = std::chrono::milliseconds(500);

template <typename Number>
std::optional<Number> number_from(std::string_view text, int base = 10) {
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  return error == std::errc() && end != text.data() ? std::optional(number) : std::nullopt;
}

/// The word behind `key` in a line or text of words "key:value" or "key: value"; empty where there is none.
std::string_view word_after(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    const std::string_view word = next_word(text);
    if (word == key) return next_word(text);
    if (word.starts_with(key)) return word.substr(key.size());
  }
  return {};
}

/// What is going to be frozen, as processes have it open.
class FrozenGround {
 public:
  FrozenGround(const HostPlan& plan, std::string proc) : plan_(plan), proc_(std::move(proc)) {
    for (const PlannedFilesystem& filesystem : plan.freeze.filesystems)
      names_[filesystem.device] = filesystem.mount_point();
    for (const Mount& mount : plan.table.mounts()) {
      if (names_.contains(mount.device) || !layers_of(mount)) continue;
      const Mount* taker = plan.taker_of(mount.mount_point);
      if (taker != nullptr && names_.contains(taker->device)) names_.emplace(mount.device, mount.mount_point);
    }
  }

  [[nodiscard]] bool empty() const { return names_.empty(); }

  /// The mount point of a superblock that is going to be frozen; null for another one.
  [[nodiscard]] const std::string* name_of(dev_t device) const {
    const auto found = names_.find(device);
    return found == names_.end() ? nullptr : &found->second;
  }

  /// The same for the mount with an id, which is in the table of `process` where it is not in this one's.
  [[nodiscard]] const std::string* name_of(const std::string& process, int mount_id) {
    if (const Mount* mount = plan_.table.find(mount_id)) return name_of(mount->device);
    auto known = elsewhere_.find(process);
    if (known == elsewhere_.end()) {
      auto table = MountTable::read(proc_ + "/" + process + "/mountinfo");
      known = elsewhere_.emplace(process, table ? std::move(*table) : MountTable({})).first;
    }
    const Mount* mount = known->second.find(mount_id);
    return mount == nullptr ? nullptr : name_of(mount->device);
  }

 private:
  const HostPlan& plan_;
  std::string proc_;
  std::map<dev_t, std::string> names_;
  std::map<std::string, MountTable> elsewhere_;  ///< By process.
};

/// Whether a line of a fanotify descriptor's fdinfo (proc(5)) is a mark that makes opens or reads wait for approval.
bool is_permission_mark(std::string_view line) {
  constexpr std::uint64_t kPreAccess = 0x00100000;  // FAN_PRE_ACCESS, Linux 6.14.
  constexpr std::uint64_t kPermissions = FAN_OPEN_PERM | FAN_ACCESS_PERM | FAN_OPEN_EXEC_PERM | kPreAccess;
  const auto mask = number_from<std::uint64_t>(word_after(line, "mask:"), 16);
  return line.starts_with("fanotify") && mask && (*mask & kPermissions) != 0;
}

class Search {
 public:
  Search(const HostPlan& plan, std::chrono::seconds auto_thaw, const std::string& proc)
      : ground_(plan, proc), auto_thaw_(auto_thaw), proc_(proc), deadline_(Deadline::in(kPatience)) {}

  std::vector<Hazard> run() {
    if (ground_.empty()) return {};
    for (const std::string& process : names_in(proc_)) {
      if (!number_from<int>(process)) continue;
      if (deadline_.expired()) {
        hazards_.push_back({"processes", "some processes were not examined", "there are too many of them",
                            "run dry-run --probe again when fewer are running"});
        break;
      }
      look_at(process);
    }
    return std::move(hazards_);
  }

 private:
  void look_at(const std::string& process) {
    const auto command = read_file(proc_ + "/" + process + "/comm");
    if (!command) return;
    const std::string name(trimmed(*command));
    const std::string who = name + " (process " + process + ")";
    const auto watchdog = watchdog_of(process);
    const bool is_watched = watchdog && *watchdog <= auto_thaw_;
    look_for_fanotify(process, who);
    const bool is_logger = logs_for_all(name);
    if (!is_watched && !is_logger) return;
    const auto file = file_on_frozen_ground(process);
    if (!file) return;
    if (is_watched) {
      hazards_.push_back({"watchdog", who,
                          "systemd kills it after " + format_seconds(*watchdog) +
                              " s of silence, and it may block while " + *file + " is frozen, for up to " +
                              std::to_string(auto_thaw_.count()) + " s",
                          "raise its WatchdogSec above auto_thaw_seconds, or lower auto_thaw_seconds"});
    }
    if (is_logger) {
      hazards_.push_back({"logging", who,
                          "it writes to " + *file + ", which will be frozen: every process that logs may block",
                          "move its files to another filesystem, or add that path to filesystems.protect"});
    }
  }

  static bool logs_for_all(std::string_view command) {
    // The kernel keeps 15 characters of a name.
    constexpr std::array<std::string_view, 5> kLoggers = {"auditd", "rsyslogd", "syslog-ng", "syslogd",
                                                          "systemd-journal"};
    return std::find(kLoggers.begin(), kLoggers.end(), command) != kLoggers.end();
  }

  /// The silence after which systemd kills the process (sd_watchdog_enabled(3)); nothing where it does not.
  [[nodiscard]] std::optional<std::chrono::microseconds> watchdog_of(const std::string& process) const {
    const auto environment = read_file(proc_ + "/" + process + "/environ");
    if (!environment) return std::nullopt;
    std::optional<std::int64_t> interval;
    for (const std::string_view variable : split(*environment, '\0')) {
      constexpr std::string_view kInterval = "WATCHDOG_USEC=";
      constexpr std::string_view kProcess = "WATCHDOG_PID=";
      if (variable.starts_with(kInterval)) interval = number_from<std::int64_t>(variable.substr(kInterval.size()));
      // What a service starts inherits the variables.
      if (variable.starts_with(kProcess) && variable.substr(kProcess.size()) != process) return std::nullopt;
    }
    return interval ? std::optional(std::chrono::microseconds(*interval)) : std::nullopt;
  }

  /// A file that the process has open for writing on what is going to be frozen.
  [[nodiscard]] std::optional<std::string> file_on_frozen_ground(const std::string& process) {
    const std::string directory = proc_ + "/" + process;
    for (const std::string& descriptor : names_in(directory + "/fd")) {
      const auto info = read_file(directory + "/fdinfo/" + descriptor);
      if (!info) continue;
      const auto flags = number_from<unsigned>(word_after(*info, "flags:"), 8);
      const auto mount = number_from<int>(word_after(*info, "mnt_id:"));
      if (!flags || !mount || (*flags & O_ACCMODE) == O_RDONLY || ground_.name_of(process, *mount) == nullptr) continue;
      std::error_code error;
      return stdfs::read_symlink(directory + "/fd/" + descriptor, error).string();
    }
    return std::nullopt;
  }

  void look_for_fanotify(const std::string& process, const std::string& who) {
    const std::string directory = proc_ + "/" + process;
    std::set<std::string> watched;
    for (const std::string& descriptor : names_in(directory + "/fd")) {
      std::error_code error;
      if (stdfs::read_symlink(directory + "/fd/" + descriptor, error) != "anon_inode:[fanotify]") continue;
      const auto info = read_file(directory + "/fdinfo/" + descriptor);
      if (!info) continue;
      for (const std::string_view line : split(*info, '\n')) {
        if (!is_permission_mark(line)) continue;
        if (const std::string* name = marked_by(process, line)) watched.insert(*name);
      }
    }
    if (watched.empty()) return;
    const std::vector<std::string> names(watched.begin(), watched.end());
    hazards_.push_back({"fanotify", who,
                        "it approves every open of a file on " + list_of(names) +
                            ": if it blocks there until the thaw, so does every open",
                        "move its own files and logs to another filesystem, or stop it from watching that one"});
  }

  /// What a mark watches: a mount, a superblock, or a file of one.
  [[nodiscard]] const std::string* marked_by(const std::string& process, std::string_view line) {
    if (const auto mount = number_from<int>(word_after(line, "mnt_id:"), 16)) return ground_.name_of(process, *mount);
    const auto device = number_from<std::uint32_t>(word_after(line, "sdev:"), 16);
    if (!device) return nullptr;
    constexpr unsigned kMinorBits = 20;  // Of the kernel's own numbers, include/linux/kdev_t.h.
    return ground_.name_of(makedev(*device >> kMinorBits, *device & ((1U << kMinorBits) - 1)));
  }

  FrozenGround ground_;
  std::chrono::seconds auto_thaw_;
  const std::string& proc_;
  Deadline deadline_;
  std::vector<Hazard> hazards_;
};

}  // namespace

std::vector<Hazard> find_process_hazards(const HostPlan& plan, std::chrono::seconds auto_thaw,
                                         const std::string& proc) {
  return Search(plan, auto_thaw, proc).run();
}

}  // namespace dlm_freeze
