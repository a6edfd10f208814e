// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <ostream>
#include <utility>

#include "commands/command_context.hpp"
#include "commands/report.hpp"
#include "commands/verify_set.hpp"
#include "fs/attached_disks.hpp"
#include "fs/filesystem_uuid.hpp"
#include "fs/manifest_place.hpp"

namespace dlm_freeze {
namespace {

Result<FoundManifest> find_manifest(int directory) {
  const auto text = read_manifest(directory);
  if (!text && text.error().errno_value == ENOENT)
    return tl::unexpected(Error{ErrorKind::failed, "has no manifest", ENOENT});
  if (!text) return tl::unexpected(text.error());
  return parse_manifest(*text);
}

Candidate look_into(const std::string& path, const AttachedDisks& disks) {
  const UniqueFd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  struct stat info {};
  if (!directory || ::fstat(directory.get(), &info) != 0)
    return {path, "", tl::unexpected(Error{ErrorKind::failed, "cannot be opened: " + errno_text(errno), errno})};
  return {path, filesystem_uuid(directory.get(), {disks.name_of(info.st_dev)}), find_manifest(directory.get())};
}

/// What no manifest tells, so that nobody takes a good set for more.
constexpr std::string_view kNotChecked = "Not checked: the filesystems themselves, and that the databases start.";

std::string to_text(const VerifiedSet& set) {
  const Manifest& session = set.session;
  std::string text = text_line("Session " + session.session_id + " of " + session.host + ", execution " +
                               session.execution_id + ", started at " + format_utc(session.started_at) + ".");
  TextTable table({"FILESYSTEM", "UUID", "VOLUMES", "FOUND IN", "VERDICT"});
  for (const VerifiedMember& member : set.members) {
    const auto or_dash = [](const std::string& cell) { return cell.empty() ? "-" : cell; };
    table.add({or_dash(member.mount_point), or_dash(member.uuid), or_dash(join(member.volume_ids, ", ")),
               or_dash(member.path),
               std::string(to_string(member.proof)) + (member.why.empty() ? "" : ": " + member.why)});
  }
  text += "\n" + table.text() + "\n";
  for (const ManifestDatabase& database : session.databases) {
    std::vector<std::string> facts;
    for (const Fact& fact : database.facts) facts.push_back(fact.key + "=" + fact.value);
    text += text_line(database.name + " (" + database.type + ") was held: " + join(facts, " "));
  }
  for (const ManifestGap& gap : session.not_covered) {
    if (!gap.is_expected) text += text_line(gap.name + " of " + session.host + " was not frozen: " + gap.why);
  }
  return text + text_line(kNotChecked);
}

Json to_json(const VerifiedSet& set) {
  Json::Array members;
  for (const VerifiedMember& member : set.members) {
    members.emplace_back(Json::Object{{"mount_point", member.mount_point},
                                      {"uuid", member.uuid},
                                      {"volume_ids", member.volume_ids},
                                      {"path", member.path},
                                      {"verdict", to_string(member.proof)},
                                      {"why", member.why}});
  }
  return Json::Object{{"verdict", to_string(set.proof())},
                      {"session_id", set.session.session_id},
                      {"execution_id", set.session.execution_id},
                      {"host", set.session.host},
                      {"started_at", format_utc(set.session.started_at)},
                      {"members", members},
                      {"not_checked", Json::Array{"filesystems", "databases"}}};
}

}  // namespace

Result<void> verify(const Settings& settings, CommandContext& context) {
  const AttachedDisks disks = AttachedDisks::read();
  std::vector<Candidate> candidates;
  for (const std::string& path : settings.verify_paths) candidates.push_back(look_into(path, disks));
  const auto set = verify_set(candidates);
  if (!set) return tl::unexpected(set.error());
  context.out << (settings.json ? to_json(*set).dump_line() : to_text(*set)) << std::flush;
  switch (set->proof()) {
    case Proof::good:
      return {};
    case Proof::unchecked:
      return failure("not all of it could be checked", ErrorKind::not_ready);
    case Proof::bad:
      break;
  }
  return failure("these are not all filesystems of one session");
}

}  // namespace dlm_freeze
