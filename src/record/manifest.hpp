// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dlm_freeze/base/deadline.hpp"
#include "dlm_freeze/base/error.hpp"
#include "dlm_freeze/base/json.hpp"
#include "record/session_record.hpp"

namespace dlm_freeze {

/// A filesystem that a session is about to freeze.
struct ManifestMember {
  std::string mount_point;
  std::string type;
  std::string uuid;                     ///< Empty where the filesystem does not tell it.
  std::string device;                   ///< "259:1"
  std::vector<std::string> devices;     ///< "nvme1n1p1"
  std::vector<std::string> volume_ids;  ///< "vol-0123456789abcdef0"
  std::uint64_t size_bytes = 0;         ///< 0 when unknown.
  std::string directory;                ///< Where its manifest lies in it: "/", "/@data". Empty: it has none.
  std::string why_none;
};

/// A filesystem that is not frozen and can be written.
struct ManifestGap {
  std::string name;  ///< Its mount point or, without one, its source.
  std::string type;
  std::string why;
  bool is_expected = false;  ///< The root filesystem or /boot, or the configuration leaves it out.
};

struct ManifestDatabase {
  std::string name;
  std::string type;
  std::vector<Fact> facts;
};

/// What every filesystem of a session carries into its snapshot: which session that is, what belongs to it, and what
/// its databases said. packaging/manifest.schema.json is the document's schema.
struct Manifest {
  std::string program;  ///< "dlm-freeze 0.1.0"
  std::string session_id;
  std::string execution_id;
  std::string group_id;  ///< As in SessionRecord.
  std::string host;
  std::string boot_id;
  WallTime started_at;
  BootClock::time_point started_boot;
  WallTime written_at;  ///< When the databases were held and nothing was frozen yet.
  BootClock::time_point written_boot;
  std::optional<std::chrono::microseconds> clock_error;  ///< Of the wall clock then; nothing: not known.
  std::vector<ManifestMember> members;                   ///< In freeze order.
  std::vector<ManifestGap> not_covered;
  std::vector<ManifestDatabase> databases;

  /// The document without the number of the filesystem that it lies on; the same for all of a session.
  [[nodiscard]] std::string common_text() const;

  /// The document for the filesystem members[`member`], of the common part.
  [[nodiscard]] static std::string text_for(std::size_t member, const std::string& common);
};

/// A manifest that was read, and on which of its members.
struct FoundManifest {
  Manifest manifest;
  std::size_t member = 0;
  std::string common_text;  ///< The same for all of a session, byte for byte, unless one was altered.
};

/// Errors: the text is no manifest, or of a version that this program does not know. The mount points of its members
/// are absolute, without "." and "..", and differ where there is a manifest; where they lead is whoever's who could
/// write it.
[[nodiscard]] Result<FoundManifest> parse_manifest(const std::string& text);

}  // namespace dlm_freeze
