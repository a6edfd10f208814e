// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <filesystem>
#include <memory>
#include <set>
#include <system_error>
#include <utility>

#include "dlm_freeze/quiesce/registry.hpp"
#include "quiesce/foreign_detection.hpp"
#include "quiesce/postgresql/foreign_cluster.hpp"
#include "quiesce/postgresql/patroni.hpp"
#include "quiesce/postgresql/postgresql_quiescer.hpp"
#include "quiesce/postgresql/programs.hpp"
#include "quiesce/server_socket.hpp"

namespace dlm_freeze::postgresql {
namespace {

constexpr std::array<const char*, 2> kSocketDirectories = {"/run/postgresql",
                                                           "/tmp"};  // Debian, RHEL; as compiled from source

/// Of sockets that anybody could have made no more are named.
constexpr std::size_t kMostStrangers = 3;

const OptionTable<PostgresqlSettings>& option_table() {
  static const OptionTable<PostgresqlSettings> kTable = {
      {"conninfo", &PostgresqlSettings::conninfo,
       "libpq's connection string or URI, without a password; the default socket when absent."},
      {"container", &PostgresqlSettings::container,
       "The container that it runs in: name, id (12 digits or more), UID of the pod, or pid:N; host in conninfo is the "
       "directory of its socket as the server names it there."},
      {"os_user", &PostgresqlSettings::os_user,
       "The account to connect as, for peer authentication; the owner of the socket when absent."},
      {"mode", &PostgresqlSettings::mode, "auto: checkpoint where all of the cluster is frozen, else backup.",
       Choices<PostgresqlMode>{{"auto", PostgresqlMode::automatic},
                               {"checkpoint", PostgresqlMode::checkpoint},
                               {"backup", PostgresqlMode::backup},
                               {"none", PostgresqlMode::none}}},
      {"require_checkpoint", &PostgresqlSettings::require_checkpoint,
       "A CHECKPOINT that does not end in time is an error instead of a warning."},
      {"backup_directory", &PostgresqlSettings::backup_directory,
       "Where mode backup keeps what a restore needs besides the snapshot.", kAbsolutePath},
      {"patroni", &PostgresqlSettings::patroni_address,
       "The address of Patroni's REST API, or none; http://127.0.0.1:8008 when absent, where Patroni has run the "
       "cluster."},
  };
  return kTable;
}

Result<std::unique_ptr<Quiescer>> create(const QuiescerConfig& config) {
  ignore_environment();
  PostgresqlSettings settings = option_table().read(config.options);
  settings.name = config.name;
  auto options = ConnectionOptions::parse(settings.conninfo);
  if (!options) return tl::unexpected(options.error());
  settings.options = std::move(*options);
  const std::string host = settings.options.value_of("host");
  if (!settings.container.empty() && (!settings.os_user.empty() || settings.options.has("service") ||
                                      settings.options.has("hostaddr") || (!host.empty() && !host.starts_with('/')))) {
    return failure(
        "container goes with a socket and the server's own account: no os_user, and in conninfo no service, no "
        "hostaddr and no host but a directory");
  }
  if (!settings.options.has("service")) {
    // There is no database of every login's name, and "postgres" is there unless somebody removed it.
    settings.options.set_default("dbname", "postgres");
    // libpq would take the name that the owner of the socket has on this host, where a container's has another or none.
    if (settings.os_user.empty()) settings.options.set_default("user", "postgres");
  }
  settings.options.set_default("application_name", "dlm-freeze");
  settings.options.set_default("client_encoding", "UTF8");
  settings.options.set_default("gssencmode",
                               "disable");  // Asks a KDC before anything else; nothing to gain on one host.

  if (!settings.os_user.empty()) {
    const auto account = account_named(settings.os_user);
    if (!account) return tl::unexpected(account.error().with_context("os_user"));
    settings.account = *account;
  }
  settings.ignores_patroni = settings.patroni_address == "none";
  if (!settings.patroni_address.empty() && !settings.ignores_patroni) {
    auto place = parse_http_place(settings.patroni_address, kPatroniPort);
    if (!place) return tl::unexpected(place.error().with_context("patroni"));
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

std::vector<QuiescerConfig> detect_foreign(std::vector<std::string>& problems) {
  std::vector<std::string> standard;
  for (const std::string directory : kSocketDirectories) {
    for (std::string& socket : sockets_in(directory)) {
      std::error_code error;
      if (std::filesystem::exists(socket + ".lock", error)) standard.push_back(std::move(socket));
    }
  }
  const auto options = [](const ForeignServer& server) {
    const std::string socket = socket_of(server, "");
    return Json::Object{{"conninfo", socket.empty() ? "" : conninfo_of(socket)}};
  };
  return foreign_configs("postgresql", {kPrograms.begin(), kPrograms.end()}, standard, options, problems);
}

const QuiescerType& quiescer_type() {
  static const QuiescerType kType = {
      .name = "postgresql",
      .description = "PostgreSQL 10 and newer: docs/postgresql.md.",
      .options = option_table().specs(),
      .create = create,
      .detect = detect,
      .detect_foreign = detect_foreign,
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
