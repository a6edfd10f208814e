// SPDX-License-Identifier: Apache-2.0
#include "quiesce/iris/instances.hpp"

#include <algorithm>
#include <cctype>

#include "base/text.hpp"

namespace dlm_freeze::iris {
namespace {

constexpr std::size_t kLongestName = 64;

bool is_known(const std::vector<IrisInstance>& instances, std::string_view name) {
  return std::any_of(instances.begin(), instances.end(),
                     [&](const IrisInstance& instance) { return instance.name == name; });
}

std::string field(const std::vector<std::string_view>& fields, std::size_t index) {
  return index < fields.size() ? std::string(trimmed(fields[index])) : "";
}

IrisInstance::Status status_of(std::string_view text) {
  if (text.starts_with("running")) return IrisInstance::Status::running;
  return text.starts_with("down") ? IrisInstance::Status::down : IrisInstance::Status::other;
}

std::string mirror_of(const std::string& type, const std::string& status) {
  return type.empty() || status.empty() ? type + status : type + ", " + status;
}

/// What stands behind `name` and the equals sign, up to `end`: of "Member Type = Failover; Status = Primary".
std::string assigned(std::string_view text, std::string_view name) {
  const std::size_t at = text.find(name);
  if (at == std::string_view::npos) return "";
  std::string_view rest = trimmed(text.substr(at + name.size()));
  if (!rest.starts_with('=')) return "";
  rest.remove_prefix(1);
  return std::string(trimmed(rest.substr(0, rest.find(';'))));
}

/// A line of such a paragraph: "conf file:    iris.cpf  (SuperServer port = 1972, WebServer = 52773)".
void read_line(std::string_view line, IrisInstance& instance) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return;
  const std::string_view what = trimmed(line.substr(0, colon));
  const std::string_view value = trimmed(line.substr(colon + 1));
  if (what == "directory") instance.directory = value;
  if (what == "versionid") instance.version = value;
  if (what == "datadir" && value != instance.directory) instance.data_directory = value;
  if (what == "conf file") instance.cpf = trimmed(value.substr(0, value.find('(')));
  if (what == "state") instance.state = value;
  if (what == "mirroring") instance.mirror = mirror_of(assigned(value, "Member Type"), assigned(value, "Status"));
  if (what == "status") {
    instance.status_text = value;
    instance.status = status_of(value);
  }
}

/// The name without the mark of the default instance.
std::string_view without_mark(std::string_view name) {
  if (name.starts_with('>')) name.remove_prefix(1);
  return name;
}

}  // namespace

bool is_instance_name(std::string_view text) {
  const auto is_letter_or_digit = [](char letter) { return std::isalnum(static_cast<unsigned char>(letter)) != 0; };
  return !text.empty() && text.size() <= kLongestName && is_letter_or_digit(text.front()) &&
         std::all_of(text.begin(), text.end(), [&](char letter) {
           return is_letter_or_digit(letter) || letter == '_' || letter == '-' || letter == '.';
         });
}

std::vector<IrisInstance> parse_qlist(std::string_view text) {
  std::vector<IrisInstance> instances;
  for (const std::string_view line : split(text, '\n')) {
    const std::vector<std::string_view> fields = split(line, '^');
    IrisInstance instance;
    instance.name = without_mark(trimmed(fields[0]));
    if (fields.size() < 4 || !is_instance_name(instance.name) || is_known(instances, instance.name)) continue;
    instance.directory = field(fields, 1);
    instance.version = field(fields, 2);
    instance.status_text = field(fields, 3);
    instance.status = status_of(instance.status_text);
    instance.cpf = field(fields, 4);
    instance.state = field(fields, 8);
    instance.mirror = mirror_of(field(fields, 10), field(fields, 11));
    instance.data_directory = field(fields, 12);
    instances.push_back(std::move(instance));
  }
  return instances;
}

std::vector<IrisInstance> parse_list(std::string_view text) {
  constexpr std::string_view kFirst = "Configuration '";
  std::vector<IrisInstance> instances;
  bool is_within = false;
  for (const std::string_view line : split(text, '\n')) {
    std::string_view rest = trimmed(line);
    if (rest.starts_with(kFirst)) {
      rest.remove_prefix(kFirst.size());
      const std::string_view name = rest.substr(0, rest.find('\''));
      is_within = is_instance_name(name) && !is_known(instances, name);
      if (is_within) instances.emplace_back().name = name;
    } else if (is_within) {
      read_line(rest, instances.back());
    }
  }
  std::erase_if(instances, [](const IrisInstance& instance) { return instance.status_text.empty(); });
  return instances;
}

std::vector<IrisInstance> parse_qall(std::string_view text) {
  std::vector<IrisInstance> instances;
  for (std::string_view line : split(text, '\n')) {
    const std::string_view status = next_word(line);
    if (status != "up" && status != "dn") continue;
    IrisInstance instance;
    instance.name = without_mark(next_word(line));
    if (!is_instance_name(instance.name) || is_known(instances, instance.name)) continue;
    instance.status = status == "up" ? IrisInstance::Status::running : IrisInstance::Status::down;
    instance.status_text = status == "up" ? "running" : "down";
    instance.version = next_word(line);
    static_cast<void>(next_word(line));  // The port of the superserver.
    instance.directory = trimmed(line);
    instances.push_back(std::move(instance));
  }
  return instances;
}

}  // namespace dlm_freeze::iris
