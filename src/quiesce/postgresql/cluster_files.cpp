// SPDX-License-Identifier: Apache-2.0
#include "quiesce/postgresql/cluster_files.hpp"

#include <glob.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <system_error>
#include <utility>

#include "dlm_freeze/base/files.hpp"
#include "quiesce/postgresql/parts_elsewhere.hpp"
#include "quiesce/resolved_path.hpp"

namespace dlm_freeze::postgresql {
namespace {

namespace fs = std::filesystem;

/// Of pre-script's few seconds: some million files that the kernel has in memory.
constexpr auto kWalkLimit = std::chrono::seconds(1);

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

void add_location(ClusterFiles& files, const std::string& what, const fs::path& path, DataRole role = DataRole::data) {
  if (auto resolved = existing_path(path)) {
    files.locations.push_back({what, std::move(*resolved), true, role});
  } else {
    files.problems.push_back(what + " (" + path.string() + "): " + errno_text(resolved.error().errno_value));
  }
}

/// What lies elsewhere than its directory, and is not known by a better name.
void add_parts_elsewhere(ClusterFiles& files, const std::string& data) {
  PartsElsewhere parts = find_parts_elsewhere(data, Deadline::in(kWalkLimit));
  for (DataLocation& part : parts.locations) {
    const bool is_known = std::any_of(files.locations.begin(), files.locations.end(),
                                      [&](const DataLocation& location) { return location.path == part.path; });
    if (!is_known) files.locations.push_back(std::move(part));
  }
  std::move(parts.problems.begin(), parts.problems.end(), std::back_inserter(files.problems));
}

/// Where something else is mounted for the server alone, that is what counts, seen through its root directory.
void see_as_server(ClusterFiles& files, pid_t server) {
  const std::string root = "/proc/" + std::to_string(server) + "/root";
  for (DataLocation& location : files.locations) {
    struct stat here {};
    struct stat there {};
    if (::stat((root + location.path).c_str(), &there) != 0) {
      files.problems.push_back(location.what + " (" + root + location.path + "): " + errno_text(errno));
    } else if (::stat(location.path.c_str(), &here) != 0 || here.st_dev != there.st_dev ||
               here.st_ino != there.st_ino) {
      location.path.insert(0, root);
    }
  }
}

/// The file that the server's log goes to; empty when it is no file.
fs::path log_file(const fs::path& data, pid_t server) {
  // Lines of "<format> <path>", the path as in log_directory: relative to the data directory or absolute.
  if (const auto current = read_file((data / "current_logfiles").string()); current && !current->empty()) {
    const std::string first = lines_of(*current)[0];
    if (const std::size_t blank = first.find(' '); blank != std::string::npos) return data / first.substr(blank + 1);
  }
  std::error_code error;
  const fs::path output = "/proc/" + std::to_string(server) + "/fd/2";
  if (server <= 0 || !fs::is_regular_file(output, error)) return {};
  const fs::path target = fs::read_symlink(output, error);
  return error ? fs::path() : target;
}

}  // namespace

Result<SocketLock> parse_socket_lock(const std::string& text) {
  const std::vector<std::string> lines = lines_of(text);
  SocketLock lock;
  if (lines.size() < 2) return failure("it has fewer than two lines");
  const char* end = lines[0].data() + lines[0].size();
  const auto [stop, error] = std::from_chars(lines[0].data(), end, lock.pid);
  if (error != std::errc() || stop != end) return failure("its first line is not a process id");
  lock.pid = std::abs(lock.pid);  // Negative: a standalone backend.
  lock.data_directory = lines[1];
  if (!lock.data_directory.starts_with('/')) return failure("its second line is not a directory");
  return lock;
}

Result<SocketLock> read_socket_lock(const std::string& socket) {
  const std::string path = socket + ".lock";
  struct stat of_socket {};
  struct stat of_lock {};
  if (::lstat(socket.c_str(), &of_socket) != 0) return system_failure("cannot look at " + socket, errno);
  if (::lstat(path.c_str(), &of_lock) != 0) return system_failure("cannot look at " + path, errno);
  if (of_lock.st_uid != of_socket.st_uid && of_lock.st_uid != 0) {
    return failure(path + " belongs to uid " + std::to_string(of_lock.st_uid) + ", its socket to uid " +
                   std::to_string(of_socket.st_uid));
  }
  const auto text = read_file(path, std::size_t{64} * 1024);
  if (!text) return tl::unexpected(text.error());
  auto lock = parse_socket_lock(*text);
  if (!lock) return tl::unexpected(lock.error().with_context(path));
  return lock;
}

Result<void> check_data_directory(const std::string& data_directory, uid_t server, pid_t process) {
  struct stat directory {};
  if (::stat(data_directory.c_str(), &directory) != 0) return system_failure("cannot look at " + data_directory, errno);
  if (directory.st_uid != server) {
    return failure(data_directory + " belongs to uid " + std::to_string(directory.st_uid) + ", the server is of uid " +
                   std::to_string(server));
  }
  struct stat works_in {};
  if (::stat(("/proc/" + std::to_string(process) + "/cwd").c_str(), &works_in) != 0) {
    // Without root's rights this cannot be asked.
    if (errno == EACCES || errno == EPERM) return {};
    return failure("there is no process " + std::to_string(process) + " here: the server runs in a container");
  }
  if (works_in.st_dev == directory.st_dev && works_in.st_ino == directory.st_ino) return {};
  return failure("process " + std::to_string(process) + " does not work in " + data_directory +
                 ": the server runs in a container");
}

std::vector<std::string> sockets_in(const std::string& directory) {
  std::vector<std::string> sockets;
  glob_t found{};
  if (::glob((directory + "/.s.PGSQL.*").c_str(), 0, nullptr, &found) == 0) {
    for (std::size_t i = 0; i < found.gl_pathc; ++i) {
      std::error_code error;
      if (fs::is_socket(found.gl_pathv[i], error)) sockets.emplace_back(found.gl_pathv[i]);
    }
  }
  ::globfree(&found);
  return sockets;
}

ClusterFiles find_cluster_files(const std::string& data_directory, pid_t server) {
  ClusterFiles files;
  const fs::path data = data_directory;
  add_location(files, "data", data);
  add_location(files, kWal, data / "pg_wal");
  std::error_code error;
  for (fs::directory_iterator entry(data / "pg_tblspc", error), end; !error && entry != end; entry.increment(error)) {
    add_location(files, "tablespace " + entry->path().filename().string(), entry->path());
  }
  if (const std::string root = files.locations.empty() ? "" : files.locations.front().path; !root.empty())
    add_parts_elsewhere(files, root);
  if (error) files.problems.push_back("tablespaces (" + (data / "pg_tblspc").string() + "): " + error.message());
  if (const fs::path log = log_file(data, server); !log.empty()) add_location(files, kServerLog, log, DataRole::log);
  if (server > 0) see_as_server(files, server);
  return files;
}

int major_version_of(const std::string& data_directory) {
  const auto text = read_file(data_directory + "/PG_VERSION", 64);
  return text ? std::atoi(text->c_str()) : 0;
}

std::optional<std::string> system_identifier_of(const std::string& data_directory) {
  // struct ControlFileData begins with it, in the byte order of the host, since 7.1.
  std::uint64_t identifier = 0;
  const auto text = read_file(data_directory + "/global/pg_control", 1 << 20);
  if (!text || text->size() < sizeof identifier) return std::nullopt;
  std::memcpy(&identifier, text->data(), sizeof identifier);
  return std::to_string(identifier);
}

}  // namespace dlm_freeze::postgresql
