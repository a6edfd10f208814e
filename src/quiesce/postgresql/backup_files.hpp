// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dlm_freeze/base/deadline.hpp"
#include "dlm_freeze/base/error.hpp"

namespace dlm_freeze::postgresql {

/// What a restore needs besides the snapshot, because it came into being after it.
struct BackupFiles {
  std::string label;           ///< The content of backup_label.
  std::string tablespace_map;  ///< Of tablespace_map; often empty.
  std::string wal_directory;   ///< Where the files of `wal` lie.
  std::vector<std::string> wal;
  std::string note = {};  ///< What else a restore needs, for whoever reads the directory; empty: nothing.
};

/// Makes a directory and those above it, for root alone. Errors: it cannot be made, or others could change it.
[[nodiscard]] Result<void> make_private_directory(const std::string& path);

/// Fails if that would fail, as far as it can be told without making anything.
[[nodiscard]] Result<void> check_private_directory(const std::string& path);

/// The first of `parent`/`name`, `parent`/`name`-2 and so on that does not exist.
[[nodiscard]] std::string new_name_in(const std::string& parent, const std::string& name);

/// Makes a directory and those above it, for root alone. Errors: it exists already, cannot be made, or could be changed
/// by others.
[[nodiscard]] Result<void> make_new_directory(const std::string& path);

/// Writes them into `directory`: backup_label, tablespace_map if it is not empty, pg_wal/ with copies of the WAL files,
/// and last `kComplete`, a line of size and name for each of them, after "# " and the note if there is one. For root
/// alone. On disk when this returns. Errors: the directory cannot be written; a WAL file is gone, or the deadline came:
/// then the label is there, what the directory lacks is said, and kComplete is not there.
[[nodiscard]] Result<void> save_backup_files(const std::string& directory, const BackupFiles& files, Deadline deadline);
inline constexpr const char* kComplete = "complete";

/// How many WAL files a backup can have.
inline constexpr std::size_t kMostWalFiles = 65536;

/// The names of the WAL files from `first` to `last`, both of one timeline, for a segment size in bytes. Empty when the
/// names make no sense or there are more than kMostWalFiles. ("000000010000000000000001": timeline, then the number of
/// the segment in two halves.)
[[nodiscard]] std::vector<std::string> wal_files_between(const std::string& first, const std::string& last,
                                                         std::uint64_t segment_size);

/// A position in the WAL, "16/B374D848", as a number; none when it is no such text.
[[nodiscard]] std::optional<std::uint64_t> parse_lsn(const std::string& text);

/// The WAL file that a backup_label says recovery begins with; empty when it says none.
[[nodiscard]] std::string first_wal_file(const std::string& label);

/// The WAL file with the last byte before `lsn`, on the timeline of the WAL file `other`; empty when that is no name.
[[nodiscard]] std::string wal_file_before(std::uint64_t lsn, const std::string& other, std::uint64_t segment_size);

/// How many WAL files in that directory wait for the archiver.
[[nodiscard]] std::size_t unarchived_files(const std::string& wal_directory);

/// A name that is safe as one of a directory, and no other name's: anything but letters, digits, '.', '-' and '_' is
/// written as %XX.
[[nodiscard]] std::string directory_name(const std::string& name);

}  // namespace dlm_freeze::postgresql
