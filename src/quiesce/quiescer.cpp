// SPDX-License-Identifier: Apache-2.0
#include "dlm_freeze/quiesce/quiescer.hpp"

namespace dlm_freeze {

std::string_view to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::completed:
      return "completed";
    case Outcome::auto_thawed:
      return "auto_thawed";
    case Outcome::rolled_back:
      return "rolled_back";
  }
  return "";
}

std::string_view to_string(DataRole role) {
  switch (role) {
    case DataRole::data:
      return "data";
    case DataRole::log:
      return "log";
    case DataRole::temporary:
      return "temporary";
  }
  return "";
}

Result<Presence> Quiescer::locate(StageContext& /*context*/) { return Presence{}; }

Result<std::vector<Fact>> Quiescer::prepare(StageContext& /*context*/) { return std::vector<Fact>(); }

Result<void> Quiescer::recover(StageContext& /*context*/, const std::vector<Fact>& /*facts*/) { return {}; }

}  // namespace dlm_freeze
