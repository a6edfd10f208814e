// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "dlm_freeze/quiesce/account.hpp"
#include "quiesce/postgresql/connection_options.hpp"
#include "quiesce/postgresql/http_get.hpp"

namespace dlm_freeze::postgresql {

/// What is done to a cluster so that a snapshot of it is worth having.
enum class PostgresqlMode {
  automatic,   ///< `checkpoint` where all of the cluster is going to be frozen, else `backup`.
  checkpoint,  ///< Nothing is held: frozen in one moment, the cluster is consistent, and the checkpoint makes recovery
               ///< short.
  backup,      ///< A backup is under way while it is held: the parts of the cluster need not be of one moment.
  none,        ///< Only where it stands is recorded.
};

struct PostgresqlSettings {
  std::string name;      ///< Also that of the directory of its backups.
  std::string conninfo;  ///< As configured, and so is the account: `options` and `account` are what was made of them.
  std::string os_user;
  std::string container;  ///< Where the server runs; empty: on the host, or where `conninfo` says.
  ConnectionOptions options;
  std::optional<Account> account;  ///< None: the owner of the socket.
  PostgresqlMode mode = PostgresqlMode::automatic;
  bool require_checkpoint = false;
  std::string backup_directory = "/var/lib/dlm-freeze/postgresql";  ///< Where the files of finished backups are kept.
  std::string patroni_address;                                      ///< As it is configured; empty: not.
  std::optional<HttpPlace> patroni;  ///< Its REST API; none: at its usual place, where there are signs of it.
  bool ignores_patroni = false;
};

}  // namespace dlm_freeze::postgresql
