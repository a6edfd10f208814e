// SPDX-License-Identifier: Apache-2.0
#include "record/manifest.hpp"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include "base/text.hpp"
#include "record/member_reader.hpp"
#include "record/moments.hpp"

namespace dlm_freeze {
namespace {

constexpr std::int64_t kVersion = 1;

Json to_json(const ManifestMember& member) {
  return Json::Object{{"mount_point", member.mount_point},
                      {"type", member.type},
                      {"uuid", member.uuid},
                      {"device", member.device},
                      {"devices", member.devices},
                      {"volume_ids", member.volume_ids},
                      {"size_bytes", static_cast<std::int64_t>(member.size_bytes)},
                      {"directory", member.directory.empty() ? Json() : Json(member.directory)},
                      {"why_none", member.why_none}};
}

Json to_json(const ManifestGap& gap) {
  return Json::Object{{"name", gap.name}, {"type", gap.type}, {"why", gap.why}, {"expected", gap.is_expected}};
}

Json to_json(const ManifestDatabase& database) {
  Json::Object facts;
  for (const Fact& fact : database.facts) facts.emplace_back(fact.key, fact.value);
  return Json::Object{{"name", database.name}, {"type", database.type}, {"facts", facts}};
}

template <typename Element>
Json::Array to_array(const std::vector<Element>& elements) {
  Json::Array array;
  for (const Element& element : elements) array.push_back(to_json(element));
  return array;
}

std::vector<std::string> strings_of(const Json::Array& array) {
  std::vector<std::string> strings;
  for (const Json& element : array) strings.push_back(element.as_string() != nullptr ? *element.as_string() : "");
  return strings;
}

ManifestMember member_from(MemberReader& reader) {
  return {reader.text("mount_point"),
          reader.text("type"),
          reader.text("uuid"),
          reader.text("device"),
          strings_of(reader.array("devices")),
          strings_of(reader.array("volume_ids")),
          static_cast<std::uint64_t>(reader.integer("size_bytes")),
          reader.text_if_there("directory"),
          reader.text_if_there("why_none")};
}

ManifestGap gap_from(MemberReader& reader) {
  return {reader.text("name"), reader.text("type"), reader.text("why"), reader.boolean("expected")};
}

ManifestDatabase database_from(MemberReader& reader) {
  ManifestDatabase database{reader.text("name"), reader.text("type"), {}};
  for (const auto& [key, value] : reader.object("facts"))
    database.facts.push_back({key, value.as_string() != nullptr ? *value.as_string() : ""});
  return database;
}

/// Reads the elements of a list; notes in `missing` what one of them lacks.
template <typename Element>
std::vector<Element> read_list(const Json::Array& array, Element (*read)(MemberReader&), std::string& missing) {
  std::vector<Element> elements;
  for (const Json& json : array) {
    MemberReader reader(json);
    elements.push_back(read(reader));
    if (missing.empty()) missing = reader.first_missing();
  }
  return elements;
}

bool is_normalised(std::string_view path) {
  if (path == "/") return true;
  if (!path.starts_with('/')) return false;
  const auto parts = split(path.substr(1), '/');
  return std::none_of(parts.begin(), parts.end(),
                      [](std::string_view part) { return part.empty() || part == "." || part == ".."; });
}

/// What is wrong with the mount points; empty: nothing. In another mount namespace, where no manifest is written, one
/// may be called as one of the host's.
std::string wrong_mount_point(const std::vector<ManifestMember>& members) {
  std::set<std::string_view> seen;
  for (const ManifestMember& member : members) {
    if (!is_normalised(member.mount_point)) return "'" + member.mount_point + "' is no mount point";
    if (!member.directory.empty() && !seen.insert(member.mount_point).second)
      return "the mount point " + member.mount_point + " is there twice";
  }
  return "";
}

constexpr std::string_view kBegin = "{\n";

std::string head_for(std::size_t member) { return "{\n  \"member\": " + std::to_string(member) + ",\n"; }

}  // namespace

std::string Manifest::common_text() const {
  const Json json = Json::Object{
      {"version", kVersion},
      {"program", program},
      {"session_id", session_id},
      {"execution_id", execution_id},
      {"group_id", group_id},
      {"host", host},
      {"boot_id", boot_id},
      {"started_at", format_utc(started_at)},
      {"started_at_ms", to_count(started_at)},
      {"started_boot_ns", to_count(started_boot)},
      {"written_at", format_utc(written_at)},
      {"written_at_ms", to_count(written_at)},
      {"written_boot_ns", to_count(written_boot)},
      {"clock_error_us", clock_error_json(clock_error)},
      {"members", to_array(members)},
      {"not_covered", to_array(not_covered)},
      {"databases", to_array(databases)},
  };
  return json.dump();
}

std::string Manifest::text_for(std::size_t member, const std::string& common) {
  return head_for(member) + common.substr(kBegin.size());
}

Result<FoundManifest> parse_manifest(const std::string& text) {
  const auto json = Json::parse(text);
  if (!json) return tl::unexpected(json.error().with_context("the manifest"));
  MemberReader reader(*json);
  if (const std::int64_t version = reader.integer("version"); reader.first_missing().empty() && version != kVersion) {
    return failure("the manifest is of version " + std::to_string(version) + "; this program knows version " +
                   std::to_string(kVersion));
  }
  FoundManifest found;
  Manifest& manifest = found.manifest;
  const std::int64_t member = reader.integer("member");
  manifest.program = reader.text("program");
  manifest.session_id = reader.text("session_id");
  manifest.execution_id = reader.text("execution_id");
  manifest.group_id = reader.text_if_there("group_id");
  manifest.host = reader.text("host");
  manifest.boot_id = reader.text("boot_id");
  manifest.started_at = from_count(reader.integer("started_at_ms"));
  manifest.started_boot = boot_from_count(reader.integer("started_boot_ns"));
  manifest.written_at = from_count(reader.integer("written_at_ms"));
  manifest.written_boot = boot_from_count(reader.integer("written_boot_ns"));
  manifest.clock_error = clock_error_from(*json, "clock_error_us");
  std::string missing;
  manifest.members = read_list(reader.array("members"), member_from, missing);
  manifest.not_covered = read_list(reader.array("not_covered"), gap_from, missing);
  manifest.databases = read_list(reader.array("databases"), database_from, missing);
  if (!reader.first_missing().empty()) missing = reader.first_missing();
  if (!missing.empty()) return failure("the manifest is damaged: '" + missing + "' is missing or wrong");
  if (const std::string wrong = wrong_mount_point(manifest.members); !wrong.empty())
    return failure("the manifest is damaged: " + wrong);
  if (member < 0 || static_cast<std::size_t>(member) >= manifest.members.size())
    return failure("the manifest is damaged: it has no member " + std::to_string(member));
  found.member = static_cast<std::size_t>(member);
  const std::string head = head_for(found.member);
  found.common_text = text.starts_with(head) ? std::string(kBegin) + text.substr(head.size()) : text;
  return found;
}

}  // namespace dlm_freeze
