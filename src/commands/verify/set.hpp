// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "dlm_freeze/base/error.hpp"
#include "record/manifest.hpp"

namespace dlm_freeze {

/// The worst last.
enum class Proof {
  good,
  unchecked,  ///< It could not be told.
  bad,
};

[[nodiscard]] std::string_view to_string(Proof proof);

/// A mounted directory, and what was found in it.
struct Candidate {
  std::string path;
  std::string uuid;                ///< Of the filesystem that it is on; empty where that is not known.
  Result<FoundManifest> manifest;  ///< ENOENT: there is none; ENOTUNIQ: several.
};

/// What became of a filesystem of the session, or of a directory that is of none.
struct VerifiedMember {
  std::string mount_point;  ///< On the host of the session; empty for a stranger.
  std::string uuid;
  std::vector<std::string> volume_ids;
  std::string path;  ///< Where it was found; empty: nowhere.
  Proof proof = Proof::good;
  std::string why = {};      ///< Unless it is good.
  bool is_stranger = false;  ///< It is of no filesystem of the session.
};

struct VerifiedSet {
  Manifest session;                     ///< What most of the manifests say; the latest of two that are as many.
  std::vector<VerifiedMember> members;  ///< Those of the session in freeze order, then the directories of none.

  [[nodiscard]] Proof proof() const;
};

/// Whether `candidates` are the filesystems of one session, all of them, each once. Errors: none has a manifest. Pure.
[[nodiscard]] Result<VerifiedSet> verify_set(const std::vector<Candidate>& candidates);

}  // namespace dlm_freeze
