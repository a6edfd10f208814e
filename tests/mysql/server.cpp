// SPDX-License-Identifier: Apache-2.0
#include "server.hpp"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <functional>
#include <stdexcept>

#include "base/process.hpp"
#include "dlm_freeze/base/unique_fd.hpp"
#include "harness/system.hpp"
#include "quiesce/acting_as.hpp"

namespace dlm_freeze::integration {
namespace {

constexpr const char* kMariadb = "/usr/sbin/mariadbd";
constexpr const char* kMysql = "/usr/sbin/mysqld";
constexpr std::chrono::seconds kPatience{30};

const passwd& server_user() {
  const passwd* const user = ::getpwnam("mysql");
  if (user == nullptr) throw std::runtime_error("there is no user mysql");
  return *user;
}

/// What the server becomes, from the test's process or from the container's root.
[[noreturn]] void become(const passwd& user, const std::function<void()>& die_with, char* const* argv) {
  // Not by --user: a change of user after it would undo what die_with does.
  if (::setgroups(0, nullptr) != 0 || ::setgid(user.pw_gid) != 0 || ::setuid(user.pw_uid) != 0) ::_exit(127);
  die_with();
  ::setsid();
  const int null = ::open("/dev/null", O_RDWR);
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(null, fd);
  close_from(STDERR_FILENO + 1);
  static_cast<void>(!::chdir("/"));
  ::execv(argv[0], argv);
  ::_exit(127);
}

}  // namespace

ServerKind installed_server() {
  if (::access(kMariadb, X_OK) == 0) return ServerKind::mariadb;
  return ::access(kMysql, X_OK) == 0 ? ServerKind::mysql : ServerKind::none;
}

Server::Server(ServerSpec spec) : spec_(std::move(spec)) {
  namespace fs = std::filesystem;
  const std::string sockets = fs::path(own_socket()).parent_path();
  for (const std::string& directory :
       {std::string("/srv/run"), temporary_directory(), sockets, spec_.data, spec_.binary_log}) {
    if (directory.empty()) continue;
    fs::create_directories(directory);
    give_to_server(directory);
  }
  fs::remove_all(spec_.data + "/lost+found");
  if (fs::is_empty(spec_.data)) {
    run_tool({"cp", "--archive", "--sparse=always", data_template() + "/.", spec_.data});
    for (const auto& entry : fs::recursive_directory_iterator(spec_.data)) give_to_server(entry.path());
    give_to_server(spec_.data);
  }
}

void Server::give_to_server(const std::string& path) const {
  const ContainerSpec place = spec_.container.value_or(ContainerSpec{});
  check(::chown(path.c_str(), place.id_on_host(server_user().pw_uid), place.id_on_host(server_user().pw_gid)),
        "chown " + path);
}

Server::~Server() {
  if (process_ > 0) kill();
}

std::string Server::data_template() const {
  namespace fs = std::filesystem;
  const auto version = fs::last_write_time(is_mariadb() ? kMariadb : kMysql).time_since_epoch().count();
  std::string path = std::string(DLM_FREEZE_MYSQL_TEMPLATES) + "/" + std::to_string(version);
  if (fs::exists(path)) return path;
  // Renamed when it is whole. Made where the server's user may go.
  const std::string fresh = "/srv/run/template";
  fs::create_directories(fresh);
  check(::chown(fresh.c_str(), server_user().pw_uid, server_user().pw_gid), "chown " + fresh);
  make_data_directory(fresh);
  fs::remove(fresh + "/auto.cnf");  // Each server makes an identity of its own.
  const std::string copy = path + "." + std::to_string(::getpid());
  fs::create_directories(copy);
  run_tool({"cp", "--archive", "--sparse=always", fresh + "/.", copy});
  fs::remove_all(fresh);
  std::error_code lost_race;
  fs::rename(copy, path, lost_race);
  if (lost_race) fs::remove_all(copy);
  return path;
}

void Server::make_data_directory(const std::string& path) const {
  if (is_mariadb()) {
    run_tool({"mariadb-install-db", "--no-defaults", "--user=mysql", "--datadir=" + path,
              "--auth-root-authentication-method=socket", "--skip-test-db", "--tmpdir=" + temporary_directory(),
              "--innodb-log-file-size=8M"});
  } else {
    run_tool({kMysql, "--no-defaults", "--initialize-insecure", "--user=mysql", "--datadir=" + path,
              "--tmpdir=" + temporary_directory(), "--log-error=" + error_log(), "--innodb-redo-log-capacity=8M"});
  }
}

std::vector<std::string> Server::command() const {
  std::vector<std::string> words = {is_mariadb() ? kMariadb : kMysql,
                                    "--no-defaults",
                                    "--datadir=" + spec_.data,
                                    "--socket=" + own_socket(),
                                    "--tmpdir=" + temporary_directory(),
                                    "--pid-file=/srv/run/" + spec_.name + ".pid",
                                    "--log-error=" + error_log(),
                                    "--log-bin=" + (spec_.binary_log.empty() ? "" : spec_.binary_log + "/") + "binlog",
                                    "--sync-binlog=1",
                                    "--server-id=1",
                                    "--innodb-buffer-pool-size=32M",
                                    "--skip-networking"};
  if (is_mariadb()) {
    words.insert(words.end(), {"--innodb-log-file-size=8M"});
  } else {
    // Its default directory is only there where the package was installed.
    words.insert(words.end(), {"--innodb-redo-log-capacity=8M", "--mysqlx=OFF", "--secure-file-priv=NULL"});
  }
  // The last word on an option counts.
  words.insert(words.end(), spec_.options.begin(), spec_.options.end());
  return words;
}

void Server::launch() {
  const std::vector<std::string> words = command();
  auto argv = c_strings(words);
  const pid_t parent = ::getpid();
  const passwd user = server_user();
  if (spec_.container) {
    process_ = fork_into(*spec_.container, [&] { become(user, die_with_test, argv.data()); });
  } else {
    process_ = check(::fork(), "fork");
    if (process_ == 0)
      become(
          user, [parent] { die_with_parent(parent); }, argv.data());
  }
}

void Server::start() {
  launch();
  const auto answers = [this] {
    try {
      static_cast<void>(connect());
      return true;
    } catch (const std::runtime_error&) {
      return false;
    }
  };
  if (!eventually(answers, kPatience)) throw std::runtime_error("the server does not start: " + read_text(error_log()));
}

Client Server::connect(const std::string& user, const std::string& password) const {
  if (!spec_.container || !spec_.container->user_namespace) return Client(socket(), user, password);
  // Only root of this host may look through its root directory.
  const UniqueFd place(check(::open(socket().c_str(), O_PATH | O_CLOEXEC), "open " + socket()));
  const auto acting =
      ActingAs::begin(Account{"root", spec_.container->id_on_host(0), spec_.container->id_on_host(0), "", ""});
  return Client("/proc/self/fd/" + std::to_string(place.get()), user, password);
}

void Server::signal(int number) const { check(::kill(process_, number), "kill"); }

void Server::stop() {
  signal(SIGTERM);
  if (!reap(process_, kPatience)) kill();
  process_ = -1;
}

void Server::kill() {
  signal(SIGKILL);
  static_cast<void>(reap(process_, kPatience));
  process_ = -1;
}

std::string Server::own_socket() const {
  if (!spec_.socket.empty()) return spec_.socket;
  return (spec_.container ? spec_.container->own_directory : "/srv/run") + "/" + spec_.name + ".sock";
}

std::string Server::socket() const {
  return (spec_.container ? "/proc/" + std::to_string(process_) + "/root" : "") + own_socket();
}

std::vector<std::string> Server::sessions() const {
  Client client = connect();
  std::vector<std::string> all;
  for (const auto& row : client.query("SHOW FULL PROCESSLIST")) {
    if (row.at(0) == std::to_string(client.id()) || row.at(1) == "system user" || row.at(1) == "event_scheduler")
      continue;
    all.push_back(row.at(0) + " " + row.at(4) + " [" + row.at(6) + "] " + row.at(7));
  }
  return all;
}

std::vector<std::string> Server::statements_of_ours() const {
  std::vector<std::string> ours;
  for (const std::string& session : sessions()) {
    if (session.find("dlm-freeze") != std::string::npos || session.find("READ LOCK") != std::string::npos ||
        session.find("BACKUP STAGE") != std::string::npos) {
      ours.push_back(session);
    }
  }
  return ours;
}

}  // namespace dlm_freeze::integration
