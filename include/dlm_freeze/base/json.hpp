// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "dlm_freeze/base/error.hpp"

namespace dlm_freeze {

/// A JSON value that remembers the line it was read from. Objects keep the order of their keys.
class Json {
 public:
  using Array = std::vector<Json>;
  using Member = std::pair<std::string, Json>;
  using Object = std::vector<Member>;
  using Value = std::variant<std::nullptr_t, bool, std::int64_t, double, std::string, Array, Object>;

  Json();
  Json(const Json& other);
  Json(Json&& other) noexcept;
  Json& operator=(const Json& other);
  Json& operator=(Json&& other) noexcept;
  ~Json();
  Json(bool value) : value_(value) {}                           // NOLINT(google-explicit-constructor)
  Json(int value) : value_(std::int64_t{value}) {}              // NOLINT(google-explicit-constructor)
  Json(std::int64_t value) : value_(value) {}                   // NOLINT(google-explicit-constructor)
  Json(double value) : value_(value) {}                         // NOLINT(google-explicit-constructor)
  Json(const char* value) : value_(std::string(value)) {}       // NOLINT(google-explicit-constructor)
  Json(std::string value) : value_(std::move(value)) {}         // NOLINT(google-explicit-constructor)
  Json(std::string_view value) : value_(std::string(value)) {}  // NOLINT(google-explicit-constructor)
  Json(Array value) : value_(std::move(value)) {}               // NOLINT(google-explicit-constructor)
  Json(Object value) : value_(std::move(value)) {}              // NOLINT(google-explicit-constructor)
  Json(const std::vector<std::string>& values) : value_(Array(values.begin(), values.end())) {}  // NOLINT

  /// Reads one document. Comments (`//` and `/* */`) are allowed; duplicate keys, trailing text, integers
  /// outside 64 bits and NUL bytes are errors. The message names the line.
  [[nodiscard]] static Result<Json> parse(std::string_view text);

  /// Writes the document, indented by two blanks, with a final newline. Bytes that are not UTF-8 (a mount point
  /// may hold any) become U+FFFD; characters that could fool a terminal are escaped.
  [[nodiscard]] std::string dump() const;

  /// The same on a single line.
  [[nodiscard]] std::string dump_line() const;

  [[nodiscard]] const Value& value() const { return value_; }
  [[nodiscard]] int line() const { return line_; }  ///< 1-based; 0 when not read from a text.

  // Each gives null when the value is of another type.
  [[nodiscard]] const bool* as_bool() const { return std::get_if<bool>(&value_); }
  [[nodiscard]] const std::int64_t* as_integer() const { return std::get_if<std::int64_t>(&value_); }
  [[nodiscard]] const std::string* as_string() const { return std::get_if<std::string>(&value_); }
  [[nodiscard]] const Array* as_array() const { return std::get_if<Array>(&value_); }
  [[nodiscard]] const Object* as_object() const { return std::get_if<Object>(&value_); }

  /// A copy of an object that lacks the members `keys`.
  [[nodiscard]] Json without(std::initializer_list<std::string_view> keys) const;

  /// The member `key` of an object; null when there is none or this is no object.
  [[nodiscard]] const Json* find(std::string_view key) const;

 private:
  friend class JsonReader;
  Value value_ = nullptr;
  int line_ = 0;
};

}  // namespace dlm_freeze
