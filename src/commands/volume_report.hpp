// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "commands/host_plan.hpp"
#include "fs/attached_disks.hpp"

namespace dlm_freeze {

/// What a snapshot of a volume, or the part of it that is one filesystem, is worth. The worst first.
enum class VolumeState {
  not_covered,     ///< It can be written while the snapshot is taken, and nothing holds it.
  quiesced_only,   ///< The same, but a database that is quiesced has data there.
  boot,            ///< The same, and it holds / or /boot, which never are frozen.
  partly_covered,  ///< What is mounted is frozen or read-only; something else on it is not mounted and may be written.
  frozen,
  read_only,    ///< Nobody can write to it here.
  not_needed,   ///< Holds nothing but swap, or is in no snapshot and has nothing mounted.
  not_mounted,  ///< Nothing of it is mounted: a program that opens the device may write to it.
};

/// For a table: "frozen", "quiesced only", "NOT covered".
[[nodiscard]] std::string_view words_of(VolumeState state);

/// The enumerator's name.
[[nodiscard]] std::string_view to_string(VolumeState state);

/// A volume; or the device or the source of a filesystem, where no volume is known below it.
struct VolumeRow {
  std::string name;              ///< "vol-0123456789abcdef0", "vdb", "loop0", "tank/data".
  std::string device;            ///< The kernel's name of the disk; empty where none is known.
  std::uint64_t size_bytes = 0;  ///< 0 when unknown.
  VolumeState state = VolumeState::not_mounted;
  std::vector<std::string> filesystems;  ///< Mount points, of each filesystem one, those in the worst state first.
  std::string why;                       ///< For a person, in a table; empty where all of it is frozen.
  bool is_elsewhere = false;             ///< The worst of them is mounted in other mount namespaces only.
  std::string cause;                     ///< The same of the worst one, as a clause: "/x is not frozen: hidden by...".
};

/// Something that keeps the snapshot from being consistent, and what would mend it; for a person.
struct Advice {
  std::string name;  ///< "/scratch", "mysql"
  std::string text;  ///< "take it out of filesystems.exclude"
};

struct VolumeReport {
  std::vector<VolumeRow> rows;           ///< Worst state first, and what is mounted here first.
  std::vector<Advice> advice;            ///< A filesystem each.
  std::size_t without_device = 0;        ///< Mounts that have no block device and are no gap.
  std::map<dev_t, std::string> volumes;  ///< By superblock, what its volumes are called.
};

/// Sorts the filesystems of `plan` by what they lie on. Pure.
[[nodiscard]] VolumeReport report_volumes(const HostPlan& plan, const AttachedDisks& disks);

}  // namespace dlm_freeze
