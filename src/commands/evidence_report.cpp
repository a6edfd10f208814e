// SPDX-License-Identifier: Apache-2.0
#include "commands/evidence_report.hpp"

#include <cerrno>

#include "dlm_freeze/base/files.hpp"
#include "record/history.hpp"

namespace dlm_freeze {
namespace {

Error unreadable(const Error& error, const std::string& what = "") {
  return {ErrorKind::not_ready, what.empty() ? error.message : what + ": " + error.message, error.errno_value};
}

}  // namespace

Result<History> read_history_of_host(const std::string& path) {
  const auto older = read_file(previous_history(path));
  if (!older && older.error().errno_value != ENOENT) return tl::unexpected(unreadable(older.error()));
  const auto text = read_file(path);
  if (!text) return tl::unexpected(unreadable(text.error()));
  return parse_history(older ? *older + "\n" + *text : *text);
}

Result<std::vector<Snapshot>> read_snapshots(const std::string& path) {
  const auto text = read_file(path);
  if (!text) return tl::unexpected(unreadable(text.error()));
  const auto json = Json::parse(*text);
  if (!json) return tl::unexpected(unreadable(json.error(), path));
  auto snapshots = parse_snapshots(*json);
  if (!snapshots) return tl::unexpected(unreadable(snapshots.error(), path));
  return snapshots;
}

std::string margin_text(std::optional<std::chrono::microseconds> margin) {
  return margin ? std::to_string(std::chrono::floor<std::chrono::milliseconds>(*margin).count()) + " ms" : "-";
}

Json margin_json(std::optional<std::chrono::microseconds> margin) {
  return margin ? Json(std::chrono::duration<double, std::milli>(*margin).count()) : Json();
}

Result<void> result_of(CutProof proof, const char* if_unknown, const char* if_disproven) {
  switch (proof) {
    case CutProof::proven:
      return {};
    case CutProof::unknown:
      return failure(if_unknown, ErrorKind::not_ready);
    case CutProof::disproven:
      break;
  }
  return failure(if_disproven, ErrorKind::failed);
}

}  // namespace dlm_freeze
