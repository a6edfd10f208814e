// SPDX-License-Identifier: Apache-2.0
#include "dlm_freeze/base/json.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <iterator>
#include <nlohmann/json.hpp>
#include <type_traits>

#include "base/text.hpp"

namespace dlm_freeze {
namespace {

/// Iterates over a text and counts the lines in a counter that all copies share, since the parser copies iterators. A
/// line begins when its first character is read: the parser reads one character beyond a number, often a line's end.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, const char* begin, int* line) : at_(at), begin_(begin), line_(line) {}
  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    if (at_ != begin_ && at_[-1] == '\n') ++*line_;
    ++at_;
    return *this;
  }
  bool operator==(const CountingIterator& other) const { return at_ == other.at_; }

 private:
  const char* at_;
  const char* begin_;
  int* line_;
};

std::string at_line(int line, std::string_view what) {
  return "line " + std::to_string(line) + ": " + std::string(what);
}

nlohmann::ordered_json to_library(const Json& json) {
  return std::visit(
      [](const auto& value) -> nlohmann::ordered_json {
        using T = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<T, Json::Array>) {
          auto array = nlohmann::ordered_json::array();
          for (const Json& element : value) array.push_back(to_library(element));
          return array;
        } else if constexpr (std::is_same_v<T, Json::Object>) {
          auto object = nlohmann::ordered_json::object();
          for (const auto& [key, member] : value) object.push_back({key, to_library(member)});
          return object;
        } else {
          return value;
        }
      },
      json.value());
}

/// A document of the library's. Characters that no terminal should get are in strings only, and become \\uXXXX there.
std::string write(const Json& json, int indent) {
  const std::string text =
      to_library(json).dump(indent, ' ', /*ensure_ascii=*/false, nlohmann::json::error_handler_t::replace);
  std::string safe;
  for (std::string_view rest = text; !rest.empty();) {
    std::size_t size = 0;
    const auto character = first_character(rest, size);
    if (character && *character >= 0x7F && is_treacherous(*character)) {
      std::array<char, 16> escaped{};
      std::snprintf(escaped.data(), escaped.size(), "\\u%04x", static_cast<unsigned>(*character));
      safe += escaped.data();
    } else {
      safe += rest.substr(0, size);
    }
    rest.remove_prefix(size);
  }
  return safe + "\n";
}

}  // namespace

/// Builds a Json from the parser's events. (The names of the event functions are the library's.)
class JsonReader {
 public:
  explicit JsonReader(const int* line) : line_(line) {}

  Json root;
  std::string error;

  bool null() { return place(nullptr); }
  bool boolean(bool value) { return place(value); }
  bool number_integer(std::int64_t value) { return place(value); }
  bool number_unsigned(std::uint64_t value) {
    if (!std::in_range<std::int64_t>(value)) return fail("the number is too large");
    return place(static_cast<std::int64_t>(value));
  }
  bool number_float(double value, const std::string& /*text*/) { return place(value); }
  bool string(std::string& value) { return place(std::move(value)); }
  bool binary(std::vector<std::uint8_t>& /*value*/) { return fail("binary values are not JSON"); }
  bool start_object(std::size_t /*size*/) { return open(Json::Object()); }
  bool start_array(std::size_t /*size*/) { return open(Json::Array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool key(std::string& name) {
    auto& object = std::get<Json::Object>(open_.back()->value_);
    if (open_.back()->find(name) != nullptr) return fail("the key '" + name + "' appears twice");
    object.emplace_back(std::move(name), Json());
    object.back().second.line_ = *line_;
    return true;
  }
  bool parse_error(std::size_t /*position*/, const std::string& token, const nlohmann::json::exception& /*cause*/) {
    return fail(token.empty() ? "this is not JSON" : "this is not JSON, at '" + token + "'");
  }

 private:
  bool fail(std::string_view what) {
    error = at_line(*line_, what);
    return false;
  }

  /// The value that the event just read belongs to.
  Json* slot() {
    if (open_.empty()) return &root;
    if (auto* array = std::get_if<Json::Array>(&open_.back()->value_)) return &array->emplace_back();
    return &std::get<Json::Object>(open_.back()->value_).back().second;
  }

  bool place(Json::Value value) {
    Json* target = slot();
    target->value_ = std::move(value);
    if (target->line_ == 0) target->line_ = *line_;
    return true;
  }

  bool open(Json::Value container) {
    constexpr std::size_t kDeepest = 64;
    if (open_.size() == kDeepest) return fail("this is nested too deeply");
    Json* target = slot();
    target->value_ = std::move(container);
    if (target->line_ == 0) target->line_ = *line_;
    open_.push_back(target);
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  const int* line_;
  /// The containers being read, outermost first. A container grows only at its end and only while it is the
  /// innermost, so the pointers to the outer ones stay good.
  std::vector<Json*> open_;
};

Json::Json() = default;
Json::Json(const Json& other) = default;
Json::Json(Json&& other) noexcept = default;
Json& Json::operator=(const Json& other) = default;
Json& Json::operator=(Json&& other) noexcept = default;
Json::~Json() = default;

Result<Json> Json::parse(std::string_view text) {
  int line = 1;
  JsonReader reader(&line);
  const char* begin = text.data();
  const bool read = nlohmann::json::sax_parse(
      CountingIterator(begin, begin, &line), CountingIterator(begin + text.size(), begin, &line), &reader,
      nlohmann::json::input_format_t::json, /*strict=*/true, /*ignore_comments=*/true);
  if (!read) return failure(reader.error);
  return std::move(reader.root);
}

std::string Json::dump() const {
  constexpr int kIndent = 2;
  return write(*this, kIndent);
}

std::string Json::dump_line() const {
  constexpr int kOneLine = -1;
  return write(*this, kOneLine);
}

Json Json::without(std::initializer_list<std::string_view> keys) const {
  Json copy = *this;
  if (auto* object = std::get_if<Object>(&copy.value_)) {
    std::erase_if(
        *object, [&](const Member& member) { return std::find(keys.begin(), keys.end(), member.first) != keys.end(); });
  }
  return copy;
}

const Json* Json::find(std::string_view key) const {
  const Object* object = as_object();
  if (object == nullptr) return nullptr;
  const auto found =
      std::find_if(object->begin(), object->end(), [&](const Member& member) { return member.first == key; });
  return found == object->end() ? nullptr : &found->second;
}

}  // namespace dlm_freeze
