// SPDX-License-Identifier: Apache-2.0
#include "dlm_freeze/quiesce/options.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "dlm_freeze/quiesce/registry.hpp"

namespace dlm_freeze {
namespace {

Failure bad(const Json& value, std::string_view where, std::string_view key, const std::string& what) {
  std::string message = value.line() > 0 ? "line " + std::to_string(value.line()) + ": " : "";
  message += std::string(where) + "." + std::string(key) + " " + what;
  return failure(std::move(message));
}

/// What a value has to be; empty when it is that.
std::string wanted(const OptionSpec& spec, const Json& value) {
  switch (spec.type) {
    case OptionType::boolean:
      return value.as_bool() != nullptr ? "" : "true or false";
    case OptionType::integer: {
      const std::int64_t* number = value.as_integer();
      if (number != nullptr && *number >= spec.range.minimum && *number <= spec.range.maximum) return "";
      return "a whole number from " + std::to_string(spec.range.minimum) + " to " + std::to_string(spec.range.maximum);
    }
    case OptionType::text: {
      const std::string* text = value.as_string();
      if (text == nullptr || text->empty()) return "a non-empty string";
      if (spec.form.fits != nullptr && !spec.form.fits(*text)) return std::string(spec.form.what);
      const bool is_choice = std::find(spec.choices.begin(), spec.choices.end(), *text) != spec.choices.end();
      if (spec.choices.empty() || is_choice) return "";
      return "one of: " + join({spec.choices.begin(), spec.choices.end()}, ", ");
    }
    case OptionType::text_list: {
      const Json::Array* list = value.as_array();
      const bool all_text =
          list != nullptr && !list->empty() &&
          std::all_of(list->begin(), list->end(), [](const Json& element) { return element.as_string() != nullptr; });
      return all_text ? "" : "a non-empty list of strings";
    }
  }
  return "";
}

}  // namespace

Result<void> check_options(const QuiescerType& type, const Json& options, std::string_view where) {
  for (const Json::Member& member : *options.as_object()) {
    const auto& [key, value] = member;
    const auto spec = std::find_if(type.options.begin(), type.options.end(),
                                   [&](const OptionSpec& known) { return known.name == member.first; });
    if (spec == type.options.end()) {
      return bad(value, where, key, "is not known for a quiescer of type '" + std::string(type.name) + "'");
    }
    if (const std::string what = wanted(*spec, value); !what.empty()) return bad(value, where, key, "must be " + what);
  }
  for (const OptionSpec& spec : type.options) {
    if (spec.mandatory && options.find(spec.name) == nullptr) {
      return bad(options, where, spec.name, "is missing");
    }
  }
  return {};
}

Choices<std::string> one_of(std::initializer_list<const char*> texts) {
  Choices<std::string> choices{};
  for (const char* text : texts) choices.all.emplace_back(text, text);
  return choices;
}

namespace option_values {

void describe(OptionSpec& spec, Any /*limits*/, const std::string& otherwise) { describe(spec, TextForm(), otherwise); }

void describe(OptionSpec& spec, Any /*limits*/, bool otherwise) {
  spec.type = OptionType::boolean;
  spec.otherwise = otherwise;
}

void describe(OptionSpec& spec, Any /*limits*/, const std::vector<std::string>& otherwise) {
  spec.type = OptionType::text_list;
  if (!otherwise.empty()) spec.otherwise = otherwise;
}

void describe(OptionSpec& spec, const TextForm& limits, const std::string& otherwise) {
  spec.form = limits;
  if (!otherwise.empty()) spec.otherwise = otherwise;
}

void describe(OptionSpec& spec, const Range& limits, std::int64_t otherwise) {
  spec.type = OptionType::integer;
  spec.range = limits;
  if (otherwise >= limits.minimum && otherwise <= limits.maximum) spec.otherwise = otherwise;
}

void read(const Json& from, Any /*limits*/, std::string& to) {
  if (const std::string* text = from.as_string(); text != nullptr) to = *text;
}

void read(const Json& from, Any /*limits*/, bool& to) {
  if (const bool* value = from.as_bool(); value != nullptr) to = *value;
}

void read(const Json& from, Any /*limits*/, std::vector<std::string>& to) {
  if (from.as_array() == nullptr) return;
  to.clear();
  for (const Json& element : *from.as_array()) {
    if (element.as_string() != nullptr) to.push_back(*element.as_string());
  }
}

void read(const Json& from, const TextForm& /*limits*/, std::string& to) { read(from, Any(), to); }

}  // namespace option_values
}  // namespace dlm_freeze
