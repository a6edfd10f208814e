// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dlm_freeze/base/json.hpp"

namespace dlm_freeze {

/// Reads members of one object; the first that is missing or of another type is remembered.
class MemberReader {
 public:
  explicit MemberReader(const Json& object) : object_(object) {}

  std::string text(std::string_view key) {
    const Json* member = object_.find(key);
    const std::string* value = member != nullptr ? member->as_string() : nullptr;
    return value != nullptr ? *value : missing<std::string>(key);
  }
  /// Empty when it is absent: for what an earlier version did not write.
  std::string text_if_there(std::string_view key) const {
    const Json* member = object_.find(key);
    return member != nullptr && member->as_string() != nullptr ? *member->as_string() : "";
  }
  std::int64_t integer(std::string_view key) {
    const Json* member = object_.find(key);
    const std::int64_t* value = member != nullptr ? member->as_integer() : nullptr;
    return value != nullptr ? *value : missing<std::int64_t>(key);
  }
  /// 0 when it is absent.
  std::int64_t integer_if_there(std::string_view key) const {
    const Json* member = object_.find(key);
    const std::int64_t* value = member != nullptr ? member->as_integer() : nullptr;
    return value != nullptr ? *value : 0;
  }
  /// 0 when it is absent.
  double number_if_there(std::string_view key) const {
    const Json* member = object_.find(key);
    const double* value = member != nullptr ? std::get_if<double>(&member->value()) : nullptr;
    return value != nullptr ? std::max(*value, 0.0) : 0.0;
  }
  double number(std::string_view key) {
    const Json* member = object_.find(key);
    const double* value = member != nullptr ? std::get_if<double>(&member->value()) : nullptr;
    return value != nullptr ? *value : static_cast<double>(integer(key));
  }
  bool boolean(std::string_view key) {
    const Json* member = object_.find(key);
    const bool* value = member != nullptr ? member->as_bool() : nullptr;
    return value != nullptr ? *value : missing<bool>(key);
  }
  const Json::Array& array(std::string_view key) {
    if (object_.find(key) == nullptr || object_.find(key)->as_array() == nullptr) missing<int>(key);
    return array_if_there(key);
  }
  /// Empty when it is absent.
  const Json::Array& array_if_there(std::string_view key) const {
    static const Json::Array kNone;
    const Json* member = object_.find(key);
    const Json::Array* value = member != nullptr ? member->as_array() : nullptr;
    return value != nullptr ? *value : kNone;
  }
  /// The same, of texts.
  std::vector<std::string> texts_if_there(std::string_view key) const {
    std::vector<std::string> texts;
    for (const Json& element : array_if_there(key)) {
      if (element.as_string() != nullptr) texts.push_back(*element.as_string());
    }
    return texts;
  }
  const Json::Object& object(std::string_view key) {
    static const Json::Object kNone;
    const Json* member = object_.find(key);
    const Json::Object* value = member != nullptr ? member->as_object() : nullptr;
    if (value == nullptr) missing<int>(key);
    return value != nullptr ? *value : kNone;
  }

  [[nodiscard]] const std::string& first_missing() const { return first_missing_; }

 private:
  template <typename T>
  T missing(std::string_view key) {
    if (first_missing_.empty()) first_missing_ = key;
    return {};
  }

  const Json& object_;
  std::string first_missing_;
};

}  // namespace dlm_freeze
