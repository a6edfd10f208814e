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
    if (instance.status_text.starts_with("running")) instance.status = IrisInstance::Status::running;
    if (instance.status_text.starts_with("down")) instance.status = IrisInstance::Status::down;
    instance.cpf = field(fields, 4);
    instance.state = field(fields, 8);
    instance.data_directory = field(fields, 12);
    instances.push_back(std::move(instance));
  }
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
