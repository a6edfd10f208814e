// SPDX-License-Identifier: Apache-2.0
#include "quiesce/postgresql/connection_options.hpp"

#include <libpq-fe.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

namespace dlm_freeze::postgresql {
namespace {

struct FreeOptions {
  void operator()(PQconninfoOption* options) const noexcept { ::PQconninfoFree(options); }
};
using OptionList = std::unique_ptr<PQconninfoOption, FreeOptions>;

struct FreeText {
  void operator()(char* text) const noexcept { ::PQfreemem(text); }
};

}  // namespace

Result<ConnectionOptions> ConnectionOptions::parse(const std::string& conninfo) {
  char* complaint = nullptr;
  const OptionList list(::PQconninfoParse(conninfo.c_str(), &complaint));
  const std::unique_ptr<char, FreeText> said(complaint);
  if (!list) {
    std::string message = said ? said.get() : "out of memory";
    while (message.ends_with('\n')) message.pop_back();
    return failure("conninfo is not a connection string: " + message);
  }
  ConnectionOptions options;
  for (const PQconninfoOption* option = list.get(); option->keyword != nullptr; ++option) {
    if (option->val == nullptr) continue;
    const std::string_view keyword = option->keyword;
    if (keyword == "password" || keyword == "sslpassword") {
      return failure("conninfo must not hold a secret (" + std::string(keyword) +
                     "): put it into the password file of os_user, or name one by passfile=");
    }
    options.options_.emplace_back(option->keyword, option->val);
  }
  return options;
}

bool ConnectionOptions::has(std::string_view keyword) const {
  return std::any_of(options_.begin(), options_.end(), [&](const auto& option) { return option.first == keyword; });
}

void ConnectionOptions::set_default(std::string keyword, std::string value) {
  if (!has(keyword)) options_.emplace_back(std::move(keyword), std::move(value));
}

void ConnectionOptions::set(std::string keyword, std::string value) {
  std::erase_if(options_, [&](const auto& option) { return option.first == keyword; });
  options_.emplace_back(std::move(keyword), std::move(value));
}

std::string ConnectionOptions::value_of(std::string_view keyword) const {
  const auto found =
      std::find_if(options_.begin(), options_.end(), [&](const auto& option) { return option.first == keyword; });
  return found == options_.end() ? "" : found->second;
}

void ConnectionOptions::add_startup_settings(const std::string& settings) {
  const auto given =
      std::find_if(options_.begin(), options_.end(), [](const auto& option) { return option.first == "options"; });
  if (given == options_.end()) {
    options_.emplace_back("options", settings);
  } else {
    given->second += " " + settings;
  }
}

void ignore_environment() {
  const OptionList list(::PQconninfoParse("", nullptr));
  for (const PQconninfoOption* option = list.get(); option != nullptr && option->keyword != nullptr; ++option) {
    if (option->envvar != nullptr) ::unsetenv(option->envvar);  // NOLINT(concurrency-mt-unsafe): no thread exists yet.
  }
  for (const char* name : {"PGSERVICEFILE", "PGSYSCONFDIR", "HOME"}) {
    ::unsetenv(name);  // NOLINT(concurrency-mt-unsafe)
  }
}

}  // namespace dlm_freeze::postgresql
