// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "dlm_freeze/base/json.hpp"

namespace dlm_freeze {

/// Reads members of one object; the first that is missing or of another type is remembered. What an earlier version did
/// not write may be absent or null (`..._if_there`), but not of another type either.
class MemberReader {
 public:
  explicit MemberReader(const Json& object) : object_(object) {}

  std::string text(std::string_view key) { return required(key, text_of(object_.find(key))); }
  std::string text_if_there(std::string_view key) { return optional(key, text_of(object_.find(key))); }
  std::int64_t integer(std::string_view key) { return required(key, integer_of(object_.find(key))); }
  std::int64_t integer_if_there(std::string_view key) { return optional(key, integer_of(object_.find(key))); }
  double number(std::string_view key) { return required(key, number_of(object_.find(key))); }
  /// None is negative.
  double number_if_there(std::string_view key) { return std::max(optional(key, number_of(object_.find(key))), 0.0); }
  bool boolean(std::string_view key) {
    const Json* member = object_.find(key);
    const bool* value = member != nullptr ? member->as_bool() : nullptr;
    return required(key, value != nullptr ? std::optional(*value) : std::nullopt);
  }
  const Json::Array& array(std::string_view key) {
    if (is_absent(object_.find(key))) note(key);
    return array_if_there(key);
  }
  const Json::Array& array_if_there(std::string_view key) {
    static const Json::Array kNone;
    const Json* member = object_.find(key);
    if (is_absent(member)) return kNone;
    if (member->as_array() != nullptr) return *member->as_array();
    note(key);
    return kNone;
  }
  std::vector<std::string> texts(std::string_view key) { return texts_in(key, array(key)); }
  std::vector<std::string> texts_if_there(std::string_view key) { return texts_in(key, array_if_there(key)); }
  const Json::Object& object(std::string_view key) {
    static const Json::Object kNone;
    const Json* member = object_.find(key);
    const Json::Object* value = member != nullptr ? member->as_object() : nullptr;
    if (value == nullptr) note(key);
    return value != nullptr ? *value : kNone;
  }

  [[nodiscard]] const std::string& first_missing() const { return first_missing_; }

 private:
  static bool is_absent(const Json* member) {
    return member == nullptr || std::holds_alternative<std::nullptr_t>(member->value());
  }
  static std::optional<std::string> text_of(const Json* member) {
    const std::string* value = member != nullptr ? member->as_string() : nullptr;
    return value != nullptr ? std::optional(*value) : std::nullopt;
  }
  static std::optional<std::int64_t> integer_of(const Json* member) {
    const std::int64_t* value = member != nullptr ? member->as_integer() : nullptr;
    return value != nullptr ? std::optional(*value) : std::nullopt;
  }
  static std::optional<double> number_of(const Json* member) {
    const double* value = member != nullptr ? std::get_if<double>(&member->value()) : nullptr;
    if (value != nullptr) return *value;
    const auto integer = integer_of(member);
    return integer ? std::optional(static_cast<double>(*integer)) : std::nullopt;
  }

  std::vector<std::string> texts_in(std::string_view key, const Json::Array& array) {
    std::vector<std::string> texts;
    for (const Json& element : array) texts.push_back(required(key, text_of(&element)));
    return texts;
  }

  template <typename T>
  T required(std::string_view key, std::optional<T> value) {
    if (!value) note(key);
    return std::move(value).value_or(T{});
  }
  template <typename T>
  T optional(std::string_view key, std::optional<T> value) {
    return is_absent(object_.find(key)) ? T{} : required(key, std::move(value));
  }
  void note(std::string_view key) {
    if (first_missing_.empty()) first_missing_ = key;
  }

  const Json& object_;
  std::string first_missing_;
};

}  // namespace dlm_freeze
