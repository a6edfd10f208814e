// SPDX-License-Identifier: Apache-2.0
#include "fs/freeze_plan.hpp"

namespace dlm_freeze {

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::freeze:
      return "freeze";
    case Verdict::same_filesystem:
      return "same";
    case Verdict::pass_over:
      return "pass over";
  }
  return "";
}

std::string_view to_string(Reason reason) {
  switch (reason) {
    case Reason::data:
      return "data";
    case Reason::root_or_boot:
      return "root_or_boot";
    case Reason::holds_root:
      return "holds_root";
    case Reason::only_files:
      return "only_files";
    case Reason::not_block_backed:
      return "not_block_backed";
    case Reason::unknown_type:
      return "unknown_type";
    case Reason::broken:
      return "broken";
    case Reason::read_only:
      return "read_only";
    case Reason::cannot_freeze:
      return "cannot_freeze";
    case Reason::protected_path:
      return "protected_path";
    case Reason::unseen:
      return "unseen";
    case Reason::ignored:
      return "ignored";
    case Reason::excluded:
      return "excluded";
    case Reason::not_included:
      return "not_included";
    case Reason::freezing_disabled:
      return "freezing_disabled";
    case Reason::hidden:
      return "hidden";
    case Reason::behind_network:
      return "behind_network";
  }
  return "";
}

std::string PlannedMount::name() const {
  if (mount.mount_point.empty()) return mount.source;
  return elsewhere ? elsewhere->name() : mount.mount_point;
}

}  // namespace dlm_freeze
