// SPDX-License-Identifier: Apache-2.0
#include "quiesce/mysql/server.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <utility>

#include "base/text.hpp"
#include "quiesce/mysql/server_process.hpp"
#include "quiesce/mysql/table_files.hpp"
#include "quiesce/resolved_path.hpp"

namespace dlm_freeze::mysql {
namespace {

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, std::max<std::size_t>(slash, 1));
}

bool is_yes(const std::string& value) { return value == "Yes"; }

/// The names and values that a SHOW statement gives.
SqlResult<ClusterState::Values> read_values(Connection& connection, const std::string& statement,
                                            const Patience& patience) {
  const auto table = connection.query(statement, patience);
  if (!table) return tl::unexpected(table.error());
  ClusterState::Values values;
  for (const auto& row : table->rows) values.emplace(row.at(0), row.at(1));
  return values;
}

}  // namespace

SqlResult<ServerInfo> ServerInfo::read(Connection& connection, std::optional<ForeignServer> server,
                                       const Patience& patience) {
  ServerInfo info;
  info.server_ = std::move(server);
  // First: a node that is cut off answers hardly anything else.
  auto cluster = read_cluster_state(connection, patience);
  if (!cluster) return tl::unexpected(cluster.error());
  info.cluster_ = std::move(*cluster);
  if (!info.cluster_.problem().empty()) return info;
  const auto version = connection.query("SELECT VERSION(), CURRENT_USER()", patience);
  if (!version) return tl::unexpected(version.error());
  info.version_ = ServerVersion::parse(version->rows.at(0).at(0));
  info.account_ = version->rows.at(0).at(1);

  const auto variables = connection.query(
      "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('version_comment', 'hostname', 'server_id', "
      "'server_uuid', 'server_uid', "
      "'datadir', 'innodb_data_home_dir', 'innodb_data_file_path', 'innodb_log_group_home_dir', "
      "'innodb_undo_directory', 'innodb_doublewrite_dir', 'innodb_directories', 'innodb_tmpdir', "
      "'rocksdb_datadir', 'rocksdb_wal_dir', 'tokudb_data_dir', 'tokudb_log_dir', 'slave_load_tmpdir', "
      "'aria_log_dir_path', 'log_bin', 'log_bin_basename', 'relay_log_basename', 'tmpdir', "
      "'general_log', 'general_log_file', "
      "'innodb_flush_log_at_trx_commit', 'innodb_flush_log_at_timeout', "
      "'thread_handling', 'thread_pool_max_threads', 'max_connections', 'extra_port', "
      "'log_output', 'log_error', 'gtid_mode', 'gtid_executed', 'gtid_purged', 'gtid_binlog_pos', "
      "'gtid_current_pos', "
      "'gtid_slave_pos')",
      patience);
  if (!variables) return tl::unexpected(variables.error());
  for (const auto& row : variables->rows) info.variables_.emplace(row.at(0), row.at(1));
  // Its version may be anything that an operator likes to show. Aria is in all of them, and in no other server.
  if (!info.variable("aria_log_dir_path").empty()) info.version_.maker = Maker::mariadb;
  if (auto grants = info.read_grants(connection, patience); !grants) return tl::unexpected(grants.error());
  info.find_locations(connection, patience);
  return info;
}

SqlResult<void> ServerInfo::read_grants(Connection& connection, const Patience& patience) {
  const auto grants = connection.query("SHOW GRANTS", patience);
  skips_grants_ = !grants && grants.error().code == kForbiddenByOption;
  if (skips_grants_) return {};
  if (!grants) return tl::unexpected(grants.error());
  for (const auto& row : grants->rows) grants_.push_back(row.at(0));
  // MariaDB lists what an active role gives. MySQL 5.7 has no roles, and does not know the function.
  if (version_.is_mariadb()) return {};
  const auto role = connection.query("SELECT CURRENT_ROLE()", patience);
  roles_active_ = role && role->rows.at(0).at(0) != "NONE";
  return {};
}

std::string ServerInfo::variable(const std::string& name) const {
  const auto found = variables_.find(name);
  return found == variables_.end() ? "" : found->second;
}

bool ServerInfo::is_on(const std::string& name) const { return variable(name) == "ON" || variable(name) == "1"; }

bool ServerInfo::writes_log_by_time() const {
  return version_.is_mariadb() && variable("innodb_flush_log_at_trx_commit") == "0";
}

std::string ServerInfo::absolute(const std::string& path) const {
  const std::filesystem::path whole = path;
  return whole.is_absolute() ? path : (std::filesystem::path(variable("datadir")) / whole).string();
}

std::string ServerInfo::resolve(const std::string& path) const {
  // Links in another mount namespace may lead anywhere.
  return server_ ? root_ + absolute(path) : resolved_path(root_ + absolute(path));
}

/// What settings name. Where something else is mounted there for the server alone, it is that which counts, seen
/// through its root directory; but not for what is temporary: many a server has a /tmp of its own.
void ServerInfo::add_settings(const std::vector<DataLocation>& settings) {
  for (const DataLocation& setting : settings) {
    const std::string path = absolute(setting.path);
    std::string resolved = resolve(setting.path);
    if (is_same_file(process_, path, resolved)) {
      add_location({setting.what, std::move(resolved), true, setting.role});
    } else if (setting.role != DataRole::temporary && ::access((root_of(process_) + path).c_str(), F_OK) == 0) {
      add_location({setting.what, root_of(process_) + path, true, setting.role});
    }
  }
}

/// The same, in the order of find_locations, where the server is in another mount namespace.
void ServerInfo::add_foreign(const std::vector<DataLocation>& data, const std::vector<DataLocation>& temporary,
                             const Patience& patience) {
  root_ = server_->root();
  std::vector<DataLocation> all = data;
  const std::size_t after_data = all.size();
  all.insert(all.end(), temporary.begin(), temporary.end());
  for (DataLocation& location : all) location.path = absolute(location.path);
  const auto resolve_all = [all] {
    std::vector<DataLocation> resolved = all;
    for (DataLocation& location : resolved) location.path = existing_path(location.path).value_or("");
    return resolved;
  };
  const auto resolved = look_in_root_of(*server_, resolve_all, patience);
  const auto open = locations_of(*server_, patience);
  locations_known_ = resolved && open;
  if (!locations_known_) return;
  for (std::size_t i = 0; i <= resolved->size(); ++i) {
    if (i == after_data) {
      for (const DataLocation& location : *open) add_location(location);
    }
    if (i == resolved->size()) break;
    DataLocation location = (*resolved)[i];
    if (location.path.empty()) continue;
    location.path.insert(0, root_);
    add_location(std::move(location));
  }
}

void ServerInfo::find_locations(Connection& connection, const Patience& patience) {
  process_ = peer_process(connection.fd());
  const ProcessFiles files = server_ ? ProcessFiles() : files_of(process_);
  locations_known_ = files.known;
  if (!files.known && !server_) server_ = foreign_process(process_);
  if (!files.known && !server_) return;
  root_ = files.root;
  const std::vector<DataLocation> data = settings_of_data(connection, patience);
  if (server_) return add_foreign(data, settings_of_temporary_files(), patience);
  add_settings(data);
  for (const DataLocation& location : locations_of(files)) add_location(location);
  add_settings(settings_of_temporary_files());
}

std::vector<DataLocation> ServerInfo::settings_of_data(Connection& connection, const Patience& patience) const {
  std::vector<DataLocation> settings;
  const auto add = [&](const std::string& what, const std::string& path) {
    if (!path.empty()) settings.push_back({what, path});
  };
  const std::string home = variable("innodb_data_home_dir");
  add("data", variable("datadir"));
  add("InnoDB data", home);
  for (const std::string& path : paths_of_data_files(variable("innodb_data_file_path")))
    add("InnoDB data", parent_of(path.starts_with('/') || home.empty() ? path : home + "/" + path));
  add("redo log", variable("innodb_log_group_home_dir"));
  add("undo log", variable("innodb_undo_directory"));
  add("doublewrite", variable("innodb_doublewrite_dir"));
  add("Aria log", variable("aria_log_dir_path"));
  for (const char* name : {"rocksdb_datadir", "rocksdb_wal_dir"}) add("MyRocks", variable(name));
  for (const char* name : {"tokudb_data_dir", "tokudb_log_dir"}) add("TokuDB", variable(name));
  add("binary log", parent_of(variable("log_bin_basename")));
  add("relay log", parent_of(variable("relay_log_basename")));
  // MySQL 8 has its tablespaces in the dictionary; elsewhere a link or an .isl file leads to them.
  const auto elsewhere =
      version_.is_mariadb()
          ? SqlResult<Table>(Table())
          : connection.query("SELECT PATH FROM information_schema.INNODB_DATAFILES WHERE PATH NOT LIKE './%'",
                             patience);
  std::set<std::string> directories;
  for (const auto& row : elsewhere ? elsewhere->rows : std::vector<std::vector<std::string>>())
    directories.insert(parent_of(row.at(0)));
  if (!elsewhere) {
    for (const std::string_view path : split(variable("innodb_directories"), ';')) directories.emplace(trimmed(path));
  }
  for (const std::string& directory : directories) add("tablespaces", directory);
  return settings;
}

std::vector<DataLocation> ServerInfo::settings_of_temporary_files() const {
  std::vector<DataLocation> settings;
  for (const char* name : {"tmpdir", "innodb_tmpdir", "slave_load_tmpdir"}) {
    for (const std::string_view directory : split(variable(name), ':')) {
      if (!directory.empty())
        settings.push_back({"temporary files", std::string(directory), true, DataRole::temporary});
    }
  }
  return settings;
}

void ServerInfo::add_location(DataLocation location) {
  const bool is_open = location.what == kOpenFiles;
  const bool known = std::any_of(locations_.begin(), locations_.end(), [&](const DataLocation& other) {
    return location.path == other.path || (is_open && location.path.starts_with(other.path + "/"));
  });
  if (!known) locations_.push_back(std::move(location));
}

SqlResult<ServerVersion> read_version(Connection& connection, const Patience& patience) {
  const auto version = connection.query("SELECT VERSION()", patience);
  if (!version) return tl::unexpected(version.error());
  return ServerVersion::parse(version->rows.at(0).at(0));
}

SqlResult<ClusterState> read_cluster_state(Connection& connection, const Patience& patience) {
  auto status = read_values(
      connection, std::string("SHOW GLOBAL STATUS WHERE Variable_name IN (") + ClusterState::kStatus + ")", patience);
  if (!status) return tl::unexpected(status.error());
  auto variables = read_values(
      connection, std::string("SHOW GLOBAL VARIABLES WHERE Variable_name IN (") + ClusterState::kVariables + ")",
      patience);
  if (!variables) return tl::unexpected(variables.error());
  std::optional<std::size_t> members;
  if (variables->contains("group_replication_group_name")) {
    // Not everybody may look.
    const auto rows = connection.query("SELECT 1 FROM performance_schema.replication_group_members", patience);
    if (rows) members = rows->rows.size();
  }
  return ClusterState(std::move(*status), std::move(*variables), members);
}

SqlResult<std::vector<Channel>> read_channels(Connection& connection, const ServerVersion& version,
                                              const Patience& patience) {
  const auto table = connection.query(replica_status_statement(version), patience);
  if (!table) return tl::unexpected(table.error());
  std::vector<Channel> channels;
  for (std::size_t row = 0; row < table->rows.size(); ++row) {
    Channel channel;
    channel.name = table->cell(row, {"Channel_Name", "Connection_name"});
    channel.applier_running = is_yes(table->cell(row, {"Replica_SQL_Running", "Slave_SQL_Running"}));
    channel.source =
        table->cell(row, {"Source_Host", "Master_Host"}) + ":" + table->cell(row, {"Source_Port", "Master_Port"});
    channel.file = table->cell(row, {"Relay_Source_Log_File", "Relay_Master_Log_File"});
    channel.position = table->cell(row, {"Exec_Source_Log_Pos", "Exec_Master_Log_Pos"});
    channel.gtid = table->cell(row, {"Gtid_Slave_Pos"});
    channels.push_back(std::move(channel));
  }
  return channels;
}

SqlResult<std::vector<Fact>> read_positions(Connection& connection, const ServerInfo& server, const Patience& patience,
                                            std::vector<std::string>& missing) {
  std::vector<Fact> facts = {{"version", server.version().text}};
  const auto add = [&facts](const std::string& key, const std::string& value) {
    if (!value.empty()) facts.push_back({key, value});
  };
  for (const char* name : {"version_comment", "hostname", "server_id", "server_uuid", "server_uid"})
    add(name, server.variable(name));

  const auto binary_log = connection.query(binary_log_status_statement(server.version()), patience);
  if (binary_log && !binary_log->rows.empty()) {
    add("binary_log_file", binary_log->cell(0, {"File"}));
    add("binary_log_position", binary_log->cell(0, {"Position"}));
  } else if (!binary_log && binary_log.error().code != kPrivilegeMissing) {
    return tl::unexpected(binary_log.error());
  } else if (!binary_log) {
    missing.emplace_back(server.version().is_mariadb() ? "BINLOG MONITOR" : "REPLICATION CLIENT");
  }

  // Read anew: under the lock they stand still.
  const auto gtids = connection.query(
      "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('gtid_executed', 'gtid_purged', "
      "'gtid_binlog_pos', 'gtid_current_pos', "
      "'gtid_slave_pos')",
      patience);
  if (!gtids) return tl::unexpected(gtids.error());
  for (const auto& row : gtids->rows) {
    std::string set = row.at(1);
    std::erase(set, '\n');
    add(row.at(0), set);
  }

  const auto channels = read_channels(connection, server.version(), patience);
  if (!channels && channels.error().code != kPrivilegeMissing) return tl::unexpected(channels.error());
  if (!channels) {
    const char* const privilege = server.version().is_mariadb() ? "SLAVE MONITOR" : "REPLICATION CLIENT";
    if (std::find(missing.begin(), missing.end(), privilege) == missing.end()) missing.emplace_back(privilege);
    return facts;
  }
  for (const Channel& channel : *channels) {
    const std::string prefix = "replica" + (channel.name.empty() ? "" : "[" + channel.name + "]") + ".";
    add(prefix + "source", channel.source);
    add(prefix + "binary_log_file", channel.file);
    add(prefix + "binary_log_position", channel.position);
    add(prefix + "gtid", channel.gtid);
  }
  return facts;
}

SqlResult<std::vector<Statement>> read_statements(Connection& connection, const Patience& patience) {
  const auto table = connection.query("SHOW FULL PROCESSLIST", patience);
  if (!table) return tl::unexpected(table.error());
  std::vector<Statement> statements;
  for (std::size_t row = 0; row < table->rows.size(); ++row) {
    Statement statement;
    statement.session = std::strtoull(table->cell(row, {"Id"}).c_str(), nullptr, 10);
    statement.user = table->cell(row, {"User"});
    statement.host = table->cell(row, {"Host"});
    statement.command = table->cell(row, {"Command"});
    statement.seconds = std::strtoll(table->cell(row, {"Time"}).c_str(), nullptr, 10);
    statement.text = table->cell(row, {"Info"});
    statements.push_back(std::move(statement));
  }
  return statements;
}

}  // namespace dlm_freeze::mysql
