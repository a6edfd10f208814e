// SPDX-License-Identifier: Apache-2.0
#include "quiesce/postgresql/foreign_cluster.hpp"

#include <algorithm>
#include <string_view>
#include <vector>

#include "quiesce/postgresql/patroni.hpp"

namespace dlm_freeze::postgresql {
namespace {

constexpr std::string_view kSocketName = "/.s.PGSQL.";

}  // namespace

Result<ForeignCluster> survey_cluster(const ForeignServer& server, const Patience& patience) {
  const std::vector<std::string> open = open_paths_of(server);
  if (open.empty()) return failure(server.text() + " has ended", ErrorKind::not_ready);
  const auto look = [data = open.front()] {
    ForeignCluster cluster;
    cluster.data_directory = data;
    cluster.files = find_cluster_files(data, 0);
    cluster.system_identifier = system_identifier_of(data).value_or("");
    cluster.major_version = major_version_of(data);
    cluster.has_patroni = has_patroni(data);
    return cluster;
  };
  auto cluster = look_in_root_of(server, look, patience);
  if (!cluster) return cluster;
  cluster->data_directory.insert(0, server.root());
  for (DataLocation& location : cluster->files.locations) location.path.insert(0, server.root());
  return cluster;
}

std::string socket_of(const ForeignServer& server, const std::string& port) {
  const auto found = std::find_if(server.sockets.begin(), server.sockets.end(), [&](const std::string& path) {
    const std::size_t name = path.rfind('/');
    const std::string_view rest = std::string_view(path).substr(name);
    return rest.starts_with(kSocketName) && (port.empty() || rest.substr(kSocketName.size()) == port);
  });
  return found == server.sockets.end() ? "" : *found;
}

std::string conninfo_of(const std::string& socket) {
  const std::size_t slash = socket.rfind('/');
  std::string directory;
  for (const char letter : socket.substr(0, slash)) {
    if (letter == '\'' || letter == '\\') directory += '\\';
    directory += letter;
  }
  return "host='" + directory + "' port=" + socket.substr(slash + kSocketName.size());
}

}  // namespace dlm_freeze::postgresql
