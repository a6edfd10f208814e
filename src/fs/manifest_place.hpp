// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "dlm_freeze/base/error.hpp"
#include "dlm_freeze/base/unique_fd.hpp"
#include "fs/freeze_plan.hpp"

namespace dlm_freeze {

/// What a snapshot says of itself lies here, below the root directory of a mount.
inline constexpr const char* kManifestDirectory = ".dlm-freeze";
inline constexpr const char* kManifestFile = "manifest.json";

/// Where the manifest of one filesystem goes.
struct ManifestPlace {
  UniqueFd directory;  ///< The root directory of a mount of it; empty where there is no place, nor could one have been.
  std::string mount_point;
  std::string root;           ///< What of the filesystem that mount shows: "/", "/@data".
  std::string why_not;        ///< Where there is none, for a person.
  bool is_meant = false;      ///< There is none by rule, and nothing is wrong.
  bool is_removal = false;    ///< Nothing is written, and what an earlier session has left there is removed.
  bool is_elsewhere = false;  ///< The rule is that nothing is written in other mount namespaces.
};

/// Chooses the place in the filesystem of `planned`: of the mounts that can be written through, the one that is nearest
/// to the filesystem's own root. Its root directory has to be root's own, and none of `data_directories`: a directory
/// that a database (or any account but root) calls its own gets nothing put into it. MariaDB takes a directory there
/// for a database, and mariadb-dump and mariadb-check then fail; pg_basebackup fails on one that it cannot read.
/// Where it is mounted only in another mount namespace, there is none: nobody on the host would look for it there.
/// `data_directories` are absolute, with symbolic links resolved.
[[nodiscard]] ManifestPlace find_manifest_place(const PlannedFilesystem& planned,
                                                const std::set<std::string>& data_directories);

/// Puts `text` in place as the manifest below the directory open as `root`: whole, or not at all. Follows no symbolic
/// link and trusts no directory that anybody else could have put there. When it fails, an earlier session's manifest is
/// removed if that is possible, so that no snapshot says it is another one's.
/// Nothing is synchronised: FIFREEZE writes back all that is dirty before it returns (sync_filesystem and freeze_fs in
/// freeze_super, fs/super.c), and what it says nothing of, the syncfs(2) after it does.
[[nodiscard]] Result<void> write_manifest(int root, std::string_view text);

/// Removes what an earlier session has left below the directory open as `root`, so that no snapshot says it is of that.
/// Nothing there, or nothing that read_manifest would take, is no error.
[[nodiscard]] Result<void> remove_manifest(int root);

/// The text of the manifest below the directory open as `root`. Errors: there is none (ENOENT), or it may be anybody's:
/// it, or its directory, is not owned by root, or can be written by others, or is a symbolic link or no such thing.
[[nodiscard]] Result<std::string> read_manifest(int root);

}  // namespace dlm_freeze
