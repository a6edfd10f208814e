// SPDX-License-Identifier: Apache-2.0
#include "postgresql/server.hpp"

#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <pwd.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "base/process.hpp"
#include "integration/harness/mounts.hpp"

namespace dlm_freeze::integration {
namespace {

namespace fs = std::filesystem;

constexpr gid_t kNoGroup = 65534;
constexpr const char* kHostPrograms = "/usr/lib/postgresql/15/bin";
constexpr int kVersionWithoutInstructions = 14;

/// Whether a process of a server that was killed still works in its data directory, which is the directory of them all.
bool is_used(const std::string& data) {
  std::error_code error;
  for (const auto& process : fs::directory_iterator("/proc")) {
    // Another test on this host may have a directory of the same name.
    if (fs::equivalent(process.path() / "cwd", data, error)) return true;
  }
  return false;
}

/// The newest version below /usr/lib/postgresql of `root`.
int newest_version(const std::string& root) {
  int newest = 0;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(root + "/usr/lib/postgresql", error)) {
    if (fs::exists(entry.path() / "bin/postgres"))
      newest = std::max(newest, std::atoi(entry.path().filename().c_str()));
  }
  return newest;
}

}  // namespace

std::optional<Installation> find_installation() {
  const char* root = std::getenv("DLM_FREEZE_POSTGRESQL_ROOT");
  Installation found;
  const std::string unpacked = root != nullptr ? std::string(root) + "/native/bin" : "";
  if (root != nullptr && fs::exists(unpacked)) {
    found.programs = unpacked;
    found.version = std::atoi(run_tool({unpacked + "/postgres", "--version"})
                                  .substr(std::string_view("postgres (PostgreSQL) ").size())
                                  .c_str());
  } else {
    if (root != nullptr) found.root = root;
    found.version =
        root != nullptr ? newest_version(found.root) : (fs::exists("/usr/lib/postgresql/15/bin/postgres") ? 15 : 0);
    found.programs = "/usr/lib/postgresql/" + std::to_string(found.version) + "/bin";
  }
  if (found.version == 0) return std::nullopt;
  std::ifstream accounts(found.root + "/etc/passwd");
  for (std::string line; std::getline(accounts, line);) {
    if (!line.starts_with("postgres:")) continue;
    std::istringstream fields(line);
    std::string field;
    for (int i = 0; std::getline(fields, field, ':') && i <= 3; ++i) {
      if (i == 2) found.user = static_cast<uid_t>(std::stoul(field));
      if (i == 3) found.group = static_cast<gid_t>(std::stoul(field));
    }
    return found;
  }
  return std::nullopt;
}

Server::Server(Installation installation, ClusterSpec spec)
    : installation_(std::move(installation)), spec_(std::move(spec)) {
  if (spec_.user) {
    installation_.user = *spec_.user;
    installation_.group = kNoGroup;
  }
  if (spec_.container) spec_.sockets = spec_.container->own_directory;
  if (spec_.log.empty()) spec_.log = "/srv/log/" + std::to_string(spec_.port) + ".log";
  fs::create_directories(spec_.sockets);
  check(::chmod(spec_.sockets.c_str(), 01777), "chmod " + spec_.sockets);
}

Server::~Server() { kill(); }

void Server::own(const std::string& directory) const {
  fs::create_directories(directory);
  check(::chown(directory.c_str(), installation_.user, installation_.group), "chown " + directory);
  check(::chmod(directory.c_str(), 0700), "chmod " + directory);
}

/// Makes what is mounted in the test's namespace visible where the server's version lives; what is unmounted later goes
/// there too: a copy that stayed mounted would be mounted again in place of the next one with its path.
void Server::show_to_chroot() const {
  if (installation_.root == "/") return;
  check(::mount("none", "/srv", nullptr, MS_SHARED, nullptr), "share /srv");
  for (const char* directory : {"/srv", "/run", "/proc", "/dev"}) {
    const std::string inside = installation_.root + directory;
    fs::create_directories(inside);
    check(::mount(directory, inside.c_str(), nullptr, MS_BIND | MS_REC, nullptr), "bind " + inside);
  }
}

std::vector<std::string> Server::command(const std::string& name, const std::vector<std::string>& arguments) const {
  // What unpacked programs lack is the host's.
  std::string program = installation_.programs + "/" + name;
  if (installation_.root == "/" && !fs::exists(program)) program = std::string(kHostPrograms) + "/" + name;
  std::vector<std::string> words;
  if (spec_.container && pid_ > 0) {
    words = {"nsenter", "--target", std::to_string(pid_), "--mount", "--net"};
    if (spec_.container->user_namespace) words.emplace_back("--user");
  }
  const std::vector<std::string> as_user = {
      "chroot",
      "--userspec=" + std::to_string(installation_.user) + ":" + std::to_string(installation_.group),
      "--groups=" + std::to_string(installation_.group),
      installation_.root,
      "/usr/bin/env",
      "-i",
      "PATH=/usr/bin:/bin",
      "LC_ALL=C.UTF-8",
      "PGHOST=" + spec_.sockets,
      "PGPORT=" + std::to_string(spec_.port),
      "PGDATABASE=postgres",
      program};
  words.insert(words.end(), as_user.begin(), as_user.end());
  words.insert(words.end(), arguments.begin(), arguments.end());
  return words;
}

std::string Server::tool(const std::string& name, const std::vector<std::string>& arguments) const {
  return run_tool(command(name, arguments));
}

void Server::check_and_stop() {
  constexpr int kHasTableChecks = 14;
  if (installation_.version >= kHasTableChecks) {
    tool("pg_amcheck", {"--all", "--install-missing", "--heapallindexed"});
  } else {
    sql("CREATE EXTENSION IF NOT EXISTS amcheck");
    sql("SELECT bt_index_check(indexrelid, true) FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid "
        "JOIN pg_am ON pg_am.oid = relam WHERE amname = 'btree' AND relkind = 'i' AND relpersistence <> 't' "
        "AND indisready AND indisvalid");
  }
  stop();
  if (installation_.root != "/" || fs::exists(installation_.programs + "/pg_checksums"))
    tool("pg_checksums", {"--check", "-D", spec_.data});
}

void Server::create() {
  show_to_chroot();
  own(spec_.data);
  if (fs::exists(data_template())) {
    run_tool({"cp", "--archive", "--sparse=always", data_template() + "/.", spec_.data});
  } else {
    make_data_directory();
  }
  if (!spec_.wal.empty()) {
    own(spec_.wal);
    run_tool({"cp", "--archive", spec_.data + "/pg_wal/.", spec_.wal});
    fs::remove_all(spec_.data + "/pg_wal");
    fs::create_directory_symlink(spec_.wal, spec_.data + "/pg_wal");
  }
  write_text(spec_.data + "/pg_hba.conf",
             "local all app,limited,mallory trust\n"
             "local all all peer\n"
             "local replication all peer\n"
             "host all all 127.0.0.1/32 scram-sha-256\n");
  const ContainerSpec place = spec_.container.value_or(ContainerSpec{});
  const std::string owner = std::to_string(place.id_on_host(installation_.user)) + ":" +
                            std::to_string(place.id_on_host(installation_.group));
  run_tool({"chown", "-R", "--no-dereference", owner, spec_.data});
  if (!spec_.wal.empty()) run_tool({"chown", "-R", owner, spec_.wal});
}

std::string Server::data_template() const {
  // The programs of npm's packages are all of one time. The first role is named as the user.
  const auto made = fs::last_write_time(installation_.root + installation_.programs + "/postgres").time_since_epoch();
  return std::string(DLM_FREEZE_POSTGRESQL_TEMPLATES) + "/" + std::to_string(installation_.version) + "-" +
         std::to_string(made.count()) + "-" + std::to_string(installation_.user);
}

void Server::make_data_directory() const {
  std::vector<std::string> arguments = {"-D", spec_.data, "-A", "peer", "-N", "-k"};
  if (installation_.version >= kVersionWithoutInstructions) arguments.emplace_back("--no-instructions");
  tool("initdb", arguments);
  // Renamed when it is whole; another test may have been faster.
  const std::string copy = data_template() + "." + std::to_string(::getpid());
  fs::create_directories(copy);
  run_tool({"cp", "--archive", "--sparse=always", spec_.data + "/.", copy});
  std::error_code lost_race;
  fs::rename(copy, data_template(), lost_race);
  if (lost_race) fs::remove_all(copy);
}

std::string Server::sockets() const {
  return (spec_.container ? "/proc/" + std::to_string(pid_) + "/root" : "") + spec_.sockets;
}

void Server::start_in_container(const std::vector<std::string>& arguments) {
  std::vector<std::string> words = {"/usr/bin/env", "-i", "PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8",
                                    installation_.programs + "/postgres"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  const auto argv = c_strings(words);
  pid_ = fork_into(*spec_.container, [&] {
    const int null = ::open("/dev/null", O_RDONLY);
    const int log = ::open(spec_.log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0666);
    ::dup2(null, STDIN_FILENO);
    ::dup2(log, STDOUT_FILENO);
    ::dup2(log, STDERR_FILENO);
    close_from(STDERR_FILENO + 1);
    if (::setgroups(0, nullptr) != 0 || ::setgid(installation_.group) != 0 || ::setuid(installation_.user) != 0) return;
    die_with_test();
    ::setsid();
    ::execv(argv[0], argv.data());
  });
}

std::string Server::log() const { return read_text(spec_.log); }

void Server::launch() {
  show_to_chroot();
  fs::create_directories(fs::path(spec_.log).parent_path());
  std::vector<std::string> arguments = {"-D", spec_.data};
  std::vector<std::string> settings = {"unix_socket_directories=" + spec_.sockets, "port=" + std::to_string(spec_.port),
                                       "listen_addresses="};
  settings.insert(settings.end(), spec_.settings.begin(), spec_.settings.end());
  for (const std::string& setting : settings) arguments.insert(arguments.end(), {"-c", setting});
  const auto words = command("postgres", arguments);
  const auto argv = c_strings(words);
  const pid_t parent = ::getpid();
  if (spec_.container) {
    write_text(spec_.log, "");
    check(::chmod(spec_.log.c_str(), 0666), "chmod");
    start_in_container(arguments);
  } else {
    pid_ = check(::fork(), "fork");
  }
  if (pid_ == 0) {
    // chroot(1) would keep it, but not what it becomes: a change of the user ids clears it.
    die_with_parent(parent);
    ::setsid();
    const int null = ::open("/dev/null", O_RDONLY);
    const int log = ::open(spec_.log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0666);
    ::dup2(null, STDIN_FILENO);
    ::dup2(log, STDOUT_FILENO);
    ::dup2(log, STDERR_FILENO);
    close_from(STDERR_FILENO + 1);
    ::execvp(argv[0], argv.data());
    ::_exit(127);
  }
}

void Server::start(bool wait) {
  launch();
  const std::string socket = sockets() + "/.s.PGSQL." + std::to_string(spec_.port);
  const auto ready = [&] {
    int status = 0;
    if (::waitpid(pid_, &status, WNOHANG) == pid_) {
      pid_ = -1;
      throw std::runtime_error("the server has ended: " + log());
    }
    return wait ? accepts() : fs::exists(socket);
  };
  if (!eventually(ready, std::chrono::seconds(60))) throw std::runtime_error("the server does not start: " + log());
}

bool Server::accepts() const {
  try {
    sql("SELECT 1");
    return true;
  } catch (const std::runtime_error&) {
    return false;
  }
}

void Server::signal(int number) const { check(::kill(pid_, number), "kill"); }

void Server::stop() {
  if (pid_ <= 0) return;
  signal(SIGINT);
  if (!reap(pid_, std::chrono::seconds(60))) throw std::runtime_error("the server does not stop: " + log());
  pid_ = -1;
}

void Server::kill() {
  if (pid_ <= 0) return;
  // Its children notice within a moment; none may be left when their filesystems are unmounted.
  ::kill(pid_, SIGQUIT);
  ::kill(pid_, SIGCONT);
  if (!reap(pid_, std::chrono::seconds(10))) {
    ::kill(pid_, SIGKILL);
    static_cast<void>(reap(pid_, std::chrono::seconds(10)));
  }
  pid_ = -1;
  if (!eventually([&] { return !is_used(spec_.data); }, std::chrono::seconds(10)))
    ADD_FAILURE() << spec_.data << " is still used";
}

void Server::kill_container() {
  signal(SIGKILL);
  static_cast<void>(reap(pid_, std::chrono::seconds(10)));
  pid_ = -1;
}

std::string Server::sql(const std::string& statement) const {
  std::string answer = tool("psql", {"-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statement});
  while (answer.ends_with('\n')) answer.pop_back();
  return answer;
}

std::string Server::sql_as(const std::string& role, const std::string& database, const std::string& statement) const {
  std::string answer =
      tool("psql", {"-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", role, "-d", database, "-c", statement});
  while (answer.ends_with('\n')) answer.pop_back();
  return answer;
}

pid_t Server::process(const std::string& backend_type) const {
  return std::stoi(sql("SELECT pid FROM pg_stat_activity WHERE backend_type = '" + backend_type + "'"));
}

int Server::our_sessions() const {
  return std::stoi(sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'dlm-freeze'"));
}

}  // namespace dlm_freeze::integration
