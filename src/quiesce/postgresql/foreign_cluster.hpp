// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "dlm_freeze/base/deadline.hpp"
#include "dlm_freeze/base/error.hpp"
#include "quiesce/foreign_server.hpp"
#include "quiesce/postgresql/cluster_files.hpp"

namespace dlm_freeze::postgresql {

/// What the data directory of a server in another mount namespace tells.
struct ForeignCluster {
  std::string data_directory;  ///< This path and those of the files go through the root directory of the process.
  ClusterFiles files;
  std::string system_identifier;  ///< Empty: it cannot be read.
  int major_version = 0;          ///< 0: the same.
  bool has_patroni = false;
};

/// Looks into the working directory of the server, which is its data directory. Errors: it has ended; its files do not
/// answer in time.
[[nodiscard]] Result<ForeignCluster> survey_cluster(const ForeignServer& server, const Patience& patience);

/// The socket of those on which it listens that is PostgreSQL's, of that port unless it is empty; empty: there is none.
[[nodiscard]] std::string socket_of(const ForeignServer& server, const std::string& port);

/// A connection string that names the directory and port of a socket.
[[nodiscard]] std::string conninfo_of(const std::string& socket);

}  // namespace dlm_freeze::postgresql
