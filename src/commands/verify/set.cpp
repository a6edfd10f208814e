// SPDX-License-Identifier: Apache-2.0
#include "commands/verify/set.hpp"

#include <algorithm>
#include <cerrno>
#include <map>
#include <utility>

namespace dlm_freeze {
namespace {

/// The manifest that most candidates agree with.
const FoundManifest* reference(const std::vector<Candidate>& candidates) {
  std::map<std::string, int> sessions;
  std::map<std::string, int> texts;
  for (const Candidate& candidate : candidates) {
    if (!candidate.manifest) continue;
    ++sessions[candidate.manifest->manifest.session_id];
    ++texts[candidate.manifest->common_text];
  }
  const auto rank = [&](const FoundManifest& found) {
    return std::tuple(sessions[found.manifest.session_id], texts[found.common_text], found.manifest.started_at);
  };
  const FoundManifest* best = nullptr;
  for (const Candidate& candidate : candidates) {
    if (candidate.manifest && (best == nullptr || rank(*best) < rank(*candidate.manifest))) best = &*candidate.manifest;
  }
  return best;
}

class Verifier {
 public:
  Verifier(const std::vector<Candidate>& candidates, const FoundManifest& reference)
      : candidates_(candidates), reference_(reference) {
    set_.session = reference.manifest;
    for (const ManifestMember& member : reference.manifest.members)
      set_.members.push_back({member.mount_point, member.uuid, member.volume_ids, "", Proof::bad, "missing"});
  }

  VerifiedSet verify() {
    for (const Candidate& candidate : candidates_) {
      candidate.manifest ? place(candidate, *candidate.manifest) : place_without(candidate);
    }
    return std::move(set_);
  }

 private:
  void place(const Candidate& candidate, const FoundManifest& found) {
    if (found.manifest.session_id != reference_.manifest.session_id) {
      return add_stranger(candidate, "of another session, " + found.manifest.session_id + " of " + found.manifest.host +
                                         ", started at " + format_utc(found.manifest.started_at));
    }
    if (found.common_text != reference_.common_text)
      return add_stranger(candidate, "its manifest differs from the others of the session: one was altered");
    VerifiedMember& member = set_.members[found.member];
    if (!member.path.empty()) return add_stranger(candidate, "the same filesystem as " + member.path);
    member.path = candidate.path;
    if (candidate.uuid.empty() || member.uuid.empty()) {
      judge(member, Proof::unchecked, "its UUID is not known");
    } else if (candidate.uuid != member.uuid) {
      judge(member, Proof::bad, "the filesystem has the UUID " + candidate.uuid);
    } else {
      judge(member, Proof::good, "");
    }
  }

  /// By its UUID it may be known all the same.
  void place_without(const Candidate& candidate) {
    const auto member = std::find_if(set_.members.begin(), set_.members.end(), [&](const VerifiedMember& one) {
      return one.path.empty() && !one.uuid.empty() && one.uuid == candidate.uuid;
    });
    const Error& error = candidate.manifest.error();
    if (member == set_.members.end()) return add_stranger(candidate, error.message);
    member->path = candidate.path;
    const auto at = static_cast<std::size_t>(member - set_.members.begin());
    const bool is_by_rule = error.errno_value == ENOENT && reference_.manifest.members[at].directory.empty();
    if (is_by_rule) {
      judge(*member, Proof::unchecked,
            "has no manifest (" + reference_.manifest.members[at].why_none + "), so that its session is not known");
    } else if (error.errno_value == ENOTUNIQ) {
      judge(*member, Proof::unchecked, error.message);
    } else {
      judge(*member, Proof::bad, error.message);
    }
  }

  static void judge(VerifiedMember& member, Proof proof, std::string why) {
    member.proof = proof;
    member.why = std::move(why);
  }

  void add_stranger(const Candidate& candidate, std::string why) {
    set_.members.push_back({"", candidate.uuid, {}, candidate.path, Proof::bad, std::move(why), true});
  }

  const std::vector<Candidate>& candidates_;
  const FoundManifest& reference_;
  VerifiedSet set_;
};

}  // namespace

Proof VerifiedSet::proof() const {
  Proof worst = Proof::good;
  for (const VerifiedMember& member : members) worst = std::max(worst, member.proof);
  return worst;
}

Result<VerifiedSet> verify_set(const std::vector<Candidate>& candidates) {
  const FoundManifest* found = reference(candidates);
  if (found != nullptr) return Verifier(candidates, *found).verify();
  Error error{ErrorKind::not_ready, "no directory was given", 0};
  // One that is damaged or of anybody's is bad; where there is none, or are several, nothing can be told.
  for (const Candidate& candidate : candidates) {
    const int why = candidate.manifest.error().errno_value;
    const bool is_bad = why != ENOENT && why != ENOTUNIQ;
    error = {is_bad ? ErrorKind::failed : ErrorKind::not_ready,
             candidate.path + ": " + candidate.manifest.error().message, 0};
    if (is_bad) break;
  }
  return tl::unexpected(error);
}

std::string_view to_string(Proof proof) {
  switch (proof) {
    case Proof::good:
      return "good";
    case Proof::unchecked:
      return "unchecked";
    case Proof::bad:
      return "bad";
  }
  return "";
}

}  // namespace dlm_freeze
