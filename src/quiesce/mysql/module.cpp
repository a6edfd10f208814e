// SPDX-License-Identifier: Apache-2.0
#include <glob.h>
#include <pwd.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dlm_freeze/base/files.hpp"
#include "dlm_freeze/quiesce/registry.hpp"
#include "quiesce/mysql/mysql_quiescer.hpp"
#include "quiesce/mysql/sockets.hpp"

namespace dlm_freeze::mysql {
namespace {

using std::chrono::seconds;

constexpr std::int64_t kDefaultLongQuery = 2;
constexpr std::int64_t kDefaultWait = 3;
constexpr std::int64_t kDefaultLockWait = 3;

/// The client libraries look for ~/.my.cnf by HOME, which is not set under the SSM agent.
void provide_home() {
  if (::getenv("HOME") != nullptr) return;                 // NOLINT(concurrency-mt-unsafe): no thread exists yet.
  const passwd* const self = ::getpwuid(::geteuid());      // NOLINT(concurrency-mt-unsafe)
  if (self != nullptr) ::setenv("HOME", self->pw_dir, 1);  // NOLINT(concurrency-mt-unsafe)
}

Result<std::unique_ptr<Quiescer>> create(const QuiescerConfig& config) {
  MysqlSettings settings;
  settings.address.socket = config.text("socket");
  settings.address.host = config.text("host");
  settings.address.port = static_cast<unsigned>(config.integer("port", 0));
  settings.address.user = config.text("user");
  settings.address.defaults_file = config.text("defaults_file");
  settings.address.tls = config.text("tls", "required");
  settings.address.tls_ca = config.text("tls_ca");
  settings.password_file = config.text("password_file");
  settings.lock = config.text("lock", "auto");
  settings.long_query = seconds(config.integer("long_query_seconds", kDefaultLongQuery));
  settings.wait = seconds(config.integer("wait_seconds", kDefaultWait));
  settings.lock_wait = seconds(config.integer("lock_wait_seconds", kDefaultLockWait));
  settings.kill_selects = config.text("kill_long_queries", "none") == "select";
  settings.stop_applier = config.boolean("stop_replica_sql_thread", false);
  settings.required = config.required;

  if (settings.address.socket.empty() == settings.address.host.empty()) {
    return failure("give either socket or host");
  }
  for (const char* key : {"socket", "defaults_file", "password_file", "tls_ca"}) {
    if (config.has(key) && !config.text(key).starts_with('/'))
      return failure(std::string(key) + " must be an absolute path");
  }
  for (const char* key : {"defaults_file", "password_file"}) {
    if (!config.has(key)) continue;
    if (auto trusted = check_trusted(config.text(key)); !trusted)
      return tl::unexpected(trusted.error().with_context(key));
  }
  provide_home();
  prepare_library();
  return std::make_unique<MysqlQuiescer>(std::move(settings));
}

std::vector<QuiescerConfig> detect() {
  std::vector<std::string> sockets;
  for (const std::string_view pattern : kSockets) {
    glob_t found{};
    if (::glob(std::string(pattern).c_str(), 0, nullptr, &found) == 0) {
      for (std::size_t i = 0; i < found.gl_pathc; ++i) sockets.emplace_back(found.gl_pathv[i]);
    }
    ::globfree(&found);
  }
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

const QuiescerType& quiescer_type() {
  constexpr std::int64_t kLongest = 120;
  static const QuiescerType kType = {
      .name = "mysql",
      .description = "MySQL, MariaDB and Percona Server",
      .options =
          {
              {.name = "socket", .type = OptionType::text, .description = "the server's Unix socket"},
              {.name = "host", .type = OptionType::text, .description = "instead of a socket: by TCP"},
              {.name = "port", .type = OptionType::integer, .description = "for host", .minimum = 1, .maximum = 65535},
              {.name = "tls",
               .type = OptionType::text,
               .description = "for host",
               .choices = {"off", "required", "verify"}},
              {.name = "tls_ca", .type = OptionType::text, .description = "file with the certificates to verify by"},
              {.name = "user",
               .type = OptionType::text,
               .description = "the account; else that of the option files, else root"},
              {.name = "password_file",
               .type = OptionType::text,
               .description = "file whose first line is the password"},
              {.name = "defaults_file",
               .type = OptionType::text,
               .description = "option file to read, groups [client] and [dlm-freeze], instead of "
                              "the standard ones"},
              {.name = "lock",
               .type = OptionType::text,
               .description = "auto: BACKUP STAGE where there is one, else FLUSH TABLES WITH READ LOCK",
               .choices = {"auto", "flush_tables", "backup_stage", "none"}},
              {.name = "long_query_seconds",
               .type = OptionType::integer,
               .description = "statements older than this are waited for before FLUSH TABLES WITH "
                              "READ LOCK is said; 0: do not look",
               .minimum = 0,
               .maximum = 3600},
              {.name = "wait_seconds",
               .type = OptionType::integer,
               .description = "how long to wait for them",
               .minimum = 0,
               .maximum = kLongest},
              {.name = "lock_wait_seconds",
               .type = OptionType::integer,
               .description = "how long the lock may wait, and so how long a failed attempt can "
                              "hold up writers",
               .minimum = 1,
               .maximum = kLongest},
              {.name = "kill_long_queries",
               .type = OptionType::text,
               .description = "select: end long statements that only read, when waiting did not help",
               .choices = {"none", "select"}},
              {.name = "stop_replica_sql_thread",
               .type = OptionType::boolean,
               .description = "on a replica, stop the applier before the lock and start it after release"},
          },
      .create = create,
      .detect = detect,
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
