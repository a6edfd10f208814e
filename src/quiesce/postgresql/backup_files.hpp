// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dlm_freeze/base/deadline.hpp"
#include "dlm_freeze/base/error.hpp"

namespace dlm_freeze {

/// What a restore needs besides the snapshot, because it came into being after it.
struct BackupFiles {
  std::string label;           ///< The content of backup_label.
  std::string tablespace_map;  ///< Of tablespace_map; often empty.
  std::string wal_directory;   ///< Where the files of `wal` lie.
  std::vector<std::string> wal;
};

/// Makes a directory and those above it, for root alone. Errors: it cannot be made, or others could change it.
[[nodiscard]] Result<void> make_private_directory(const std::string& path);

/// Writes them into the new directory `directory`: backup_label, tablespace_map if it is not empty, and pg_wal/ with
/// copies of the WAL files. For root alone. On disk when this returns. Errors: the directory cannot be written; a WAL
/// file is gone, or the deadline came: then the label is there and what the directory lacks is said.
[[nodiscard]] Result<void> save_backup_files(const std::string& directory, const BackupFiles& files, Deadline deadline);

/// How many WAL files are kept with a backup at most.
inline constexpr std::size_t kMostWalFiles = 256;

/// The names of the WAL files from `first` to `last`, both of one timeline, for a segment size in bytes. Empty when the
/// names make no sense or there are more than kMostWalFiles. ("000000010000000000000001": timeline, then the number of
/// the segment in two halves.)
[[nodiscard]] std::vector<std::string> wal_files_between(const std::string& first, const std::string& last,
                                                         std::uint64_t segment_size);

/// A name that is safe as one of a directory: anything but letters, digits, '.', '-' and '_' becomes '_'.
[[nodiscard]] std::string directory_name(const std::string& name);

}  // namespace dlm_freeze
