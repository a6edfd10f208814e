// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dlm_freeze/base/json.hpp"

// The options of a type of quiescer are the members of a struct, whose initialisers are the defaults. One OptionTable
// maps each key of the configuration to a member, with its range and its description. The configuration is checked and
// read by that table, and scripts/options makes the schema and the tables of the documentation from it.

namespace dlm_freeze {

enum class OptionType { text, boolean, integer, text_list };

/// What a text must be, besides not empty.
struct TextForm {
  std::string_view what{};     ///< For people: "an absolute path". Empty: anything.
  std::string_view pattern{};  ///< The same for JSON Schema: a regular expression.
  bool (*fits)(std::string_view text) = nullptr;
};

inline constexpr TextForm kAbsolutePath = {"an absolute path", "^/",
                                           [](std::string_view text) { return text.starts_with('/'); }};

/// For arguments of a program, which would take one that begins with a dash for an option.
inline constexpr TextForm kArgument = {"a string that does not begin with '-'", "^[^-]",
                                       [](std::string_view text) { return !text.starts_with('-'); }};

/// The whole numbers that an option may have, both ends included.
struct Range {
  std::int64_t minimum = 0;
  std::int64_t maximum = 0;
};

/// The texts that an option may have, and the value of each in the program.
template <typename Value>
struct Choices {
  Choices(std::initializer_list<std::pair<std::string_view, Value>> choices) : all(choices) {}
  std::vector<std::pair<std::string_view, Value>> all;
};

/// The same where they are no more than texts.
[[nodiscard]] Choices<std::string> one_of(std::initializer_list<const char*> texts);

enum class Need { optional, mandatory };

/// One key that a type of quiescer understands, besides `type`, `name` and `required`, which all have.
struct OptionSpec {
  std::string_view name;
  OptionType type = OptionType::text;
  std::string_view description;             ///< A sentence.
  TextForm form{};                          ///< Of a text.
  std::vector<std::string_view> choices{};  ///< Of a text; empty: any.
  Range range{};                            ///< Of an integer.
  bool mandatory = false;
  Json otherwise{};  ///< The default; null: none.
};

/// For each type of value: the OptionSpec that it makes, and how it is read. An OptionTable consists of these. A value
/// that check_options would refuse is not read.
namespace option_values {

struct Any {};

void describe(OptionSpec& spec, Any limits, const std::string& otherwise);
void describe(OptionSpec& spec, Any limits, bool otherwise);
void describe(OptionSpec& spec, Any limits, const std::vector<std::string>& otherwise);
void describe(OptionSpec& spec, const TextForm& limits, const std::string& otherwise);
void describe(OptionSpec& spec, const Range& limits, std::int64_t otherwise);

template <typename Rep, typename Period>
void describe(OptionSpec& spec, const Range& limits, std::chrono::duration<Rep, Period> otherwise) {
  describe(spec, limits, std::int64_t{otherwise.count()});
}

template <typename Value>
void describe(OptionSpec& spec, const Choices<Value>& limits, const Value& otherwise) {
  for (const auto& [text, value] : limits.all) {
    spec.choices.push_back(text);
    if (value == otherwise) spec.otherwise = text;
  }
}

void read(const Json& from, Any limits, std::string& to);
void read(const Json& from, Any limits, bool& to);
void read(const Json& from, Any limits, std::vector<std::string>& to);
void read(const Json& from, const TextForm& limits, std::string& to);

template <typename Number>
void read(const Json& from, const Range& /*limits*/, Number& to) {
  if (const std::int64_t* number = from.as_integer(); number != nullptr) to = static_cast<Number>(*number);
}

template <typename Value>
void read(const Json& from, const Choices<Value>& limits, Value& to) {
  for (const auto& [text, value] : limits.all) {
    if (const std::string* given = from.as_string(); given != nullptr && *given == text) to = value;
  }
}

}  // namespace option_values

/// One option, and the member of `Options` that it is read into (a pointer to it, or a function that gives a
/// reference): a text, of a TextForm perhaps; a boolean; a list of texts; a whole number or duration with a Range;
/// anything with Choices. An empty text or list, and a number out of its range, mean that there is no default.
template <typename Options>
class Option {
 public:
  template <typename Member, typename Limits = option_values::Any>
  Option(std::string_view name, Member member, std::string_view description, const Limits& limits = {},
         Need need = Need::optional)
      : spec_{.name = name, .description = description, .mandatory = need == Need::mandatory},
        read_([member, limits](const Json& from, Options& to) {
          option_values::read(from, limits, std::invoke(member, to));
        }) {
    const Options defaults{};
    option_values::describe(spec_, limits, std::invoke(member, defaults));
  }

  [[nodiscard]] const OptionSpec& spec() const { return spec_; }
  void read(const Json& from, Options& to) const { read_(from, to); }

 private:
  OptionSpec spec_;
  std::function<void(const Json& from, Options& to)> read_;
};

/// All options of a type.
template <typename Options>
class OptionTable {
 public:
  OptionTable(std::initializer_list<Option<Options>> options) : options_(options) {}

  /// For QuiescerType::options.
  [[nodiscard]] std::vector<OptionSpec> specs() const {
    std::vector<OptionSpec> specs;
    for (const Option<Options>& option : options_) specs.push_back(option.spec());
    return specs;
  }

  /// What is given, and the defaults.
  [[nodiscard]] Options read(const Json& given) const {
    Options options{};
    for (const Option<Options>& option : options_) {
      if (const Json* value = given.find(option.spec().name); value != nullptr) option.read(*value, options);
    }
    return options;
  }

 private:
  std::vector<Option<Options>> options_;
};

}  // namespace dlm_freeze
