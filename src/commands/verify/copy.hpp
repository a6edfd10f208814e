// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "commands/verify/loop.hpp"
#include "commands/verify/set.hpp"
#include "commands/verify/superblock.hpp"
#include "dlm_freeze/base/error.hpp"

namespace dlm_freeze {

/// A copy of a filesystem: a directory where somebody has mounted it, or a block device or an image.
struct Copy {
  std::string path;                        ///< As it was given.
  UniqueFd file;                           ///< What is there.
  bool is_directory = false;               ///< Mounted by somebody.
  std::optional<Superblock> superblock{};  ///< Of a device or image.
  std::optional<Loop> loop{};              ///< A read-only one on that.
  std::string why_no_device{};             ///< Why a directory has none that can be checked.
  std::string root{};                      ///< Where its manifest's directory can be seen; empty: nowhere.
  std::optional<Error> error{};            ///< Why it cannot be looked at.
};

/// Opens what was named. Nothing is mounted yet.
[[nodiscard]] Copy open_copy(const std::string& path);

/// Lets a device or image be seen at the directory `place`: read-only, and nothing is replayed. A directory is bound
/// there. With `for_checks`, the device of a directory is looked for as well. Only in namespaces of one's own.
void mount_copy(Copy& copy, const std::string& place, bool for_checks);

/// What is known of it: its UUID, and its manifest: in the directory that was named or, of a device or image, in the
/// directory that the manifest itself names; if that is not the root, it is what is seen at `root` from then on. Errors
/// of the manifest: ENOENT, there is none; ENOTUNIQ, there are several.
[[nodiscard]] Candidate candidate_of(const Copy& copy);

}  // namespace dlm_freeze
