// SPDX-License-Identifier: Apache-2.0
#include "record/inventory.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <string>
#include <system_error>

#include "base/text.hpp"
#include "dlm_freeze/base/files.hpp"
#include "dlm_freeze/base/json.hpp"

namespace dlm_freeze {
namespace {

constexpr const char* kTypeName = "Custom:DlmFreeze";
constexpr const char* kSchemaVersion = "1.0";
/// Attributes of the last session begin with it.
constexpr std::string_view kOfSession = "Last";

bool is_instance_id(std::string_view name) {
  const std::size_t dash = name.find('-');
  const std::string_view kind = name.substr(0, dash);
  if (dash == std::string_view::npos || (kind != "i" && kind != "mi")) return false;
  const std::string_view digits = name.substr(dash + 1);
  return digits.size() >= 8 && digits.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

Result<UniqueFd> open_directory(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return system_failure("cannot open the inventory's directory " + path, errno);
  return fd;
}

}  // namespace

bool was_good(const SessionRecord& record) {
  return record.end == SessionEnd::completed && record.problems.empty() && !record.has_leftovers();
}

Result<InventoryItem> InventoryItem::parse(std::string_view text) {
  const auto json = Json::parse(text);
  if (!json) return tl::unexpected(json.error());
  const Json* type = json->find("TypeName");
  const Json* content = json->find("Content");
  const bool is_ours = type != nullptr && type->as_string() != nullptr && *type->as_string() == kTypeName;
  if (!is_ours || content == nullptr || content->as_object() == nullptr)
    return failure("it is no item of the type " + std::string(kTypeName));
  InventoryItem item;
  for (const auto& [name, value] : *content->as_object()) {
    if (value.as_string() != nullptr) item.set(name, *value.as_string());
  }
  return item;
}

void InventoryItem::set(std::string_view attribute, std::string_view value) {
  const std::string text = without_middle(printable(value), kLongestValue);
  const auto known =
      std::find_if(attributes_.begin(), attributes_.end(), [&](const auto& one) { return one.first == attribute; });
  if (known != attributes_.end()) {
    known->second = text;
  } else {
    attributes_.emplace_back(attribute, text);
  }
}

std::string InventoryItem::get(std::string_view attribute) const {
  const auto known =
      std::find_if(attributes_.begin(), attributes_.end(), [&](const auto& one) { return one.first == attribute; });
  return known != attributes_.end() ? known->second : std::string();
}

void InventoryItem::note_session(const SessionRecord& record) {
  set("LastOutcome", to_string(record.end));
  set("LastExecutionId", record.execution_id);
  set("LastEndedAt", format_utc(record.ended_at));
  set("LastProblems", std::to_string(record.problems.size()));
  if (was_good(record)) set("LastGoodAt", format_utc(record.ended_at));
}

void InventoryItem::keep_session_of(const InventoryItem& earlier) {
  for (const auto& [name, value] : earlier.attributes_) {
    if (name.starts_with(kOfSession)) set(name, value);
  }
}

std::string InventoryItem::text() const {
  Json::Object content;
  for (const auto& [name, value] : attributes_) content.emplace_back(name, Json(value));
  return Json(Json::Object{{"SchemaVersion", kSchemaVersion}, {"TypeName", kTypeName}, {"Content", std::move(content)}})
      .dump();
}

Result<std::string> find_inventory_directory(const std::string& agent, const std::string& instance) {
  std::vector<std::string> instances;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(agent, error)) {
    const std::string name = entry.path().filename().string();
    if (is_instance_id(name) && std::filesystem::is_directory(entry.path() / "inventory", error))
      instances.push_back(name);
  }
  const bool is_known = std::find(instances.begin(), instances.end(), instance) != instances.end();
  if (instances.empty()) {
    return failure("there is no directory for inventory below " + agent +
                   ": has the SSM agent been registered? Give the directory with --inventory DIR");
  }
  if (instances.size() > 1 && !is_known) {
    return failure("several instances have directories below " + agent + " (" + list_of(instances) +
                   "), and which of them this host is cannot be told: give the directory with --inventory DIR");
  }
  return agent + "/" + (is_known ? instance : instances.front()) + "/inventory/custom";
}

std::string instance_id() {
  const auto tag = read_file("/sys/devices/virtual/dmi/id/board_asset_tag");
  const std::string_view id = tag ? trimmed(*tag) : std::string_view();
  return is_instance_id(id) ? std::string(id) : std::string();
}

InventoryItem read_inventory(const std::string& directory) {
  const auto text = read_file(directory + "/" + std::string(InventoryItem::kFileName));
  auto item = text ? InventoryItem::parse(*text) : tl::unexpected(text.error());
  return item ? std::move(*item) : InventoryItem();
}

std::string inventory_in_use() {
  auto directory = find_inventory_directory(kAgentDirectory, instance_id());
  const bool is_used = directory && !read_inventory(*directory).get("ProbedAt").empty();
  return is_used ? std::move(*directory) : std::string();
}

Result<void> write_inventory(const std::string& directory, const InventoryItem& item) {
  ::mkdir(directory.c_str(), S_IRWXU);
  const auto fd = open_directory(directory);
  if (!fd) return tl::unexpected(fd.error());
  auto file = AtomicFile::create(fd->get(), std::string(InventoryItem::kFileName), "new", 0);
  if (!file) return tl::unexpected(file.error().with_context("the inventory in " + directory));
  return file->commit(item.text());
}

Result<void> note_in_inventory(const std::string& directory, const SessionRecord& record) {
  InventoryItem item = read_inventory(directory);
  if (item.get("ProbedAt").empty()) return {};  // Nobody has asked for one, or it was removed.
  item.note_session(record);
  return write_inventory(directory, item);
}

}  // namespace dlm_freeze
