// SPDX-License-Identifier: Apache-2.0
#include <glob.h>
#include <pwd.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dlm_freeze/base/files.hpp"
#include "dlm_freeze/quiesce/registry.hpp"
#include "quiesce/foreign_detection.hpp"
#include "quiesce/mysql/mysql_quiescer.hpp"
#include "quiesce/mysql/server_process.hpp"
#include "quiesce/mysql/sockets.hpp"

namespace dlm_freeze::mysql {
namespace {

const OptionTable<MysqlSettings>& option_table() {
  const auto of_address = [](auto ServerAddress::*member) {
    return [member](auto& settings) -> auto& { return settings.address.*member; };
  };
  static const OptionTable<MysqlSettings> kTable = {
      {"socket", of_address(&ServerAddress::socket), "The server's Unix socket.", kAbsolutePath},
      {"container", &MysqlSettings::container,
       "The container that it runs in: name, id (12 digits or more), UID of the pod, or pid:N; socket is as the server "
       "names it there, and its only one when absent."},
      {"host", of_address(&ServerAddress::host), "Instead of a socket: by TCP."},
      {"port", of_address(&ServerAddress::port), "For host.", Range{1, 65535}},
      {"tls", of_address(&ServerAddress::tls),
       "For host: not encrypted, encrypted, or the certificate checked as well.",
       one_of({"off", "required", "verify"})},
      {"tls_ca", of_address(&ServerAddress::tls_ca), "File with the certificates to verify by.", kAbsolutePath},
      {"user", of_address(&ServerAddress::user), "The account; else that of the option files, else root."},
      {"password_file", &MysqlSettings::password_file, "File whose first line is the password; readable by root alone.",
       kAbsolutePath},
      {"defaults_file", of_address(&ServerAddress::defaults_file),
       "Option file to read, groups [client] and [dlm-freeze], instead of the standard ones.", kAbsolutePath},
      {"lock", &MysqlSettings::lock, "auto: BACKUP STAGE where there is one, else FLUSH TABLES WITH READ LOCK.",
       one_of({"auto", "flush_tables", "backup_stage", "none"})},
      {"long_query_seconds", &MysqlSettings::long_query,
       "Statements older than this are waited for before FLUSH TABLES WITH READ LOCK is issued; 0: do not look.",
       Range{0, 3600}},
      {"wait_seconds", &MysqlSettings::wait, "How long to wait for them.", Range{0, 120}},
      {"lock_wait_seconds", &MysqlSettings::lock_wait,
       "How long the lock may wait, and so how long a failed attempt can hold up writers.", Range{1, 120}},
      {"kill_long_queries", &MysqlSettings::kill_selects,
       "select: end long statements that only read, when waiting did not help.",
       Choices<bool>{{"none", false}, {"select", true}}},
      {"stop_replica_sql_thread", &MysqlSettings::stop_applier,
       "On a replica, stop the applier before the lock and start it after release."},
  };
  return kTable;
}

/// The client libraries look for ~/.my.cnf by HOME, which is not set under the SSM agent, and is somebody else's under
/// sudo(8); other variables name servers, passwords and plugins to load.
void clean_environment() {
  // NOLINTBEGIN(concurrency-mt-unsafe): no thread exists yet.
  const passwd* const self = ::getpwuid(::geteuid());
  ::setenv("HOME", self != nullptr ? self->pw_dir : "/", 1);
  std::vector<std::string> names;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    for (const std::string_view prefix : {"MYSQL_", "MARIADB_", "LIBMYSQL_"}) {
      if (text.starts_with(prefix)) names.emplace_back(text.substr(0, text.find('=')));
    }
  }
  for (const std::string& name : names) ::unsetenv(name.c_str());
  // NOLINTEND(concurrency-mt-unsafe)
}

Result<std::unique_ptr<Quiescer>> create(const QuiescerConfig& config) {
  MysqlSettings settings = option_table().read(config.options);
  settings.required = config.required;
  ServerAddress& address = settings.address;
  if (!settings.container.empty() && !address.host.empty()) {
    return failure("give either container or host: a port that the container publishes is reached by host alone");
  }
  if (settings.container.empty() && address.socket.empty() == address.host.empty())
    return failure("give either socket or host");
  for (const auto& [key, path] :
       {std::pair("defaults_file", &address.defaults_file), std::pair("password_file", &settings.password_file)}) {
    if (path->empty()) continue;
    if (auto trusted = check_trusted(*path); !trusted) return tl::unexpected(trusted.error().with_context(key));
  }
  clean_environment();
  static_cast<void>(prepare_library());  // Missed where there is a server: see locate.
  return std::make_unique<MysqlQuiescer>(std::move(settings));
}

/// The sockets of this host that are where packages put them.
std::vector<std::string> standard_sockets() {
  std::vector<std::string> sockets;
  for (const std::string_view pattern : kSockets) {
    glob_t found{};
    if (::glob(std::string(pattern).c_str(), 0, nullptr, &found) == 0) {
      for (std::size_t i = 0; i < found.gl_pathc; ++i) sockets.emplace_back(found.gl_pathv[i]);
    }
    ::globfree(&found);
  }
  return sockets;
}

std::vector<QuiescerConfig> detect() {
  const std::vector<std::string> sockets = standard_sockets();
  std::vector<QuiescerConfig> configs;
  for (const std::string& socket : sockets) {
    QuiescerConfig& config = configs.emplace_back();
    config.type = "mysql";
    config.name = sockets.size() == 1 ? "mysql" : "mysql at " + socket;
    config.required = false;
    config.options = Json::Object{{"socket", socket}};
  }
  return configs;
}

std::vector<QuiescerConfig> detect_foreign(std::vector<std::string>& problems) {
  return foreign_configs(
      "mysql", {kPrograms.begin(), kPrograms.end()}, standard_sockets(),
      [](const ForeignServer& server) {
        return Json::Object{{"socket", socket_of(server)}};
      },
      problems);
}

const QuiescerType& quiescer_type() {
  static const QuiescerType kType = {
      .name = "mysql",
      .description = "MySQL, MariaDB and Percona Server: docs/mysql.md.",
      .options = option_table().specs(),
      .create = create,
      .detect = detect,
      .detect_foreign = detect_foreign,
  };
  return kType;
}

}  // namespace
}  // namespace dlm_freeze::mysql

extern "C" [[gnu::visibility("default")]] const dlm_freeze::QuiescerModule* dlm_freeze_quiescer_module();

/// See kQuiescerModuleSymbol.
const dlm_freeze::QuiescerModule* dlm_freeze_quiescer_module() {
  static const dlm_freeze::QuiescerModule kModule = {dlm_freeze::kQuiescerInterface,
                                                     &dlm_freeze::mysql::quiescer_type()};
  return &kModule;
}
