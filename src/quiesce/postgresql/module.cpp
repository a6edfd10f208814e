// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <filesystem>
#include <memory>
#include <set>
#include <system_error>

#include "dlm_freeze/quiesce/registry.hpp"
#include "quiesce/postgresql/patroni.hpp"
#include "quiesce/postgresql/postgresql_quiescer.hpp"
#include "quiesce/server_socket.hpp"

namespace dlm_freeze::postgresql {
namespace {

constexpr const char* kBackupDirectory = "/var/lib/dlm-freeze/postgresql";
constexpr std::array<const char*, 2> kSocketDirectories = {"/run/postgresql",
                                                           "/tmp"};  // Debian, RHEL; as compiled from source

/// Of sockets that anybody could have made no more are named.
constexpr std::size_t kMostStrangers = 3;

PostgresqlMode mode_of(const std::string& text) {
  if (text == "checkpoint") return PostgresqlMode::checkpoint;
  if (text == "backup") return PostgresqlMode::backup;
  if (text == "none") return PostgresqlMode::none;
  return PostgresqlMode::automatic;
}

Result<std::unique_ptr<Quiescer>> create(const QuiescerConfig& config) {
  ignore_environment();
  PostgresqlSettings settings;
  settings.name = config.name;
  auto options = ConnectionOptions::parse(config.text("conninfo"));
  if (!options) return tl::unexpected(options.error().with_context(config.name));
  settings.options = std::move(*options);
  if (!settings.options.has("service")) {
    // There is no database of every login's name, and "postgres" is there unless somebody removed it.
    settings.options.set_default("dbname", "postgres");
    // libpq would take the name that the owner of the socket has on this host, where a container's has another or none.
    if (!config.has("os_user")) settings.options.set_default("user", "postgres");
  }
  settings.options.set_default("application_name", "dlm-freeze");
  settings.options.set_default("client_encoding", "UTF8");
  settings.options.set_default("gssencmode",
                               "disable");  // Asks a KDC before anything else; nothing to gain on one host.

  if (const std::string user = config.text("os_user"); !user.empty()) {
    const auto account = account_named(user);
    if (!account) return tl::unexpected(account.error().with_context(config.name + ".os_user"));
    settings.account = *account;
  }
  settings.mode = mode_of(config.text("mode"));
  settings.require_checkpoint = config.boolean("require_checkpoint", false);
  settings.backup_directory = config.text("backup_directory", kBackupDirectory);
  if (!settings.backup_directory.starts_with('/'))
    return failure(config.name + ".backup_directory must be an absolute path");
  const std::string patroni = config.text("patroni");
  settings.ignores_patroni = patroni == "none";
  if (!patroni.empty() && !settings.ignores_patroni) {
    auto place = parse_http_place(patroni, kPatroniPort);
    if (!place) return tl::unexpected(place.error().with_context(config.name + ".patroni"));
    settings.patroni = std::move(*place);
  }
  return std::make_unique<PostgresqlQuiescer>(std::move(settings));
}

/// One entry for each cluster, also if it has a socket in both directories. A socket without a lock file is not a
/// PostgreSQL server's but, say, a connection pooler's. One that anybody could have made is an entry of its own, which
/// says so when it is looked for.
std::vector<QuiescerConfig> detect() {
  std::vector<QuiescerConfig> found;
  std::set<std::string> seen;
  std::set<std::string> names;
  std::size_t strange = 0;
  const std::vector<uid_t> servers = server_accounts(std::nullopt);
  for (const std::string directory : kSocketDirectories) {
    for (const std::string& socket : sockets_in(directory)) {
      std::error_code error;
      if (!std::filesystem::exists(socket + ".lock", error)) continue;
      const std::string port = socket.substr(socket.rfind('.') + 1);
      if (!check_server_socket(socket, servers)) {
        if (++strange > kMostStrangers) continue;
      } else if (const auto lock = read_socket_lock(socket); lock && !seen.insert(lock->data_directory).second) {
        continue;
      }
      QuiescerConfig config;
      config.type = "postgresql";
      config.name = "postgresql-" + port;
      if (!names.insert(config.name).second) config.name += "-" + directory.substr(1);
      config.required = false;
      config.options = Json::Object{{"conninfo", "host=" + directory + " port=" + port}};
      found.push_back(std::move(config));
    }
  }
  return found;
}

const QuiescerType& quiescer_type() {
  static const QuiescerType kType = {
      .name = "postgresql",
      .description = "PostgreSQL 10 and newer",
      .options =
          {
              {.name = "conninfo",
               .description = "libpq's connection string or URI, also with service=; the default socket when absent"},
              {.name = "os_user",
               .description =
                   "the account to connect as, for peer authentication; the owner of the socket when absent"},
              {.name = "mode",
               .description = "auto: checkpoint where all of the cluster is frozen, else backup",
               .choices = {"auto", "checkpoint", "backup", "none"}},
              {.name = "require_checkpoint",
               .type = OptionType::boolean,
               .description = "a CHECKPOINT that does not end in time is an error instead of a warning"},
              {.name = "backup_directory",
               .description =
                   "where mode backup keeps what a restore needs; /var/lib/dlm-freeze/postgresql when absent"},
              {.name = "patroni",
               .description = "the address of Patroni's REST API, or none; http://127.0.0.1:8008 when absent, where "
                              "Patroni has run the cluster"},
          },
      .create = create,
      .detect = detect,
  };
  return kType;
}

}  // namespace
}  // namespace dlm_freeze::postgresql

extern "C" [[gnu::visibility("default")]] const dlm_freeze::QuiescerModule* dlm_freeze_quiescer_module();

const dlm_freeze::QuiescerModule* dlm_freeze_quiescer_module() {
  static const dlm_freeze::QuiescerModule kModule = {dlm_freeze::kQuiescerInterface,
                                                     &dlm_freeze::postgresql::quiescer_type()};
  return &kModule;
}
