// SPDX-License-Identifier: Apache-2.0
// What a user of the server and a user of the host try against the agent, which is root of both. docs/security.md names
// each of these tests.
#include <gmock/gmock.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <thread>
#include <utility>

#include "dlm_freeze/base/unique_fd.hpp"
#include "mysql_test.hpp"

namespace dlm_freeze::integration {
namespace {

using testing::HasSubstr;

constexpr uid_t kNobody = 65534;

class MysqlHostile : public MysqlTest {};

TEST_F(MysqlHostile, NamesThatAUserDefinesAreNeverResolved) {
  Server& server = start_server();
  Client client = server.connect();
  client.query("CREATE DATABASE evil");
  client.query("CREATE TABLE evil.trace (what TEXT)");
  // Any name that is not followed by its bracket at once may be one of hers; in IGNORE_SPACE mode none is.
  for (const std::string name : {"version", "connection_id", "current_user", "current_role", "sleep", "more"}) {
    const unsigned made =
        client.error_of("CREATE FUNCTION evil.`" + name +
                        "`() RETURNS INT DETERMINISTIC MODIFIES SQL DATA BEGIN INSERT INTO evil.trace VALUES ('" +
                        name + "'); RETURN 1; END");
    EXPECT_EQ(made, 0U) << name;
  }
  for (const std::string view : {"tables", "processlist", "log_status"}) {
    client.query("CREATE VIEW evil." + view +
                 " AS SELECT evil.more() AS table_schema, evil.more() AS table_name, "
                 "'MyISAM' AS engine");
  }
  EXPECT_EQ(client.value("SELECT evil.more()"), "1");
  client.query("DELETE FROM evil.trace");
  // Where an option file says which database is meant.
  std::filesystem::create_directories("/srv/etc");
  write_text("/srv/etc/my.cnf", "[client]\ndatabase=evil\nuser=root\n");
  check(::chmod("/srv/etc/my.cnf", 0600), "chmod");
  for (const std::string lock : {"auto", "flush_tables", "none"}) {
    SCOPED_TRACE(lock);
    configure_mysql({{"defaults_file", "/srv/etc/my.cnf"}, {"lock", lock}});
    expect(0, {"dry-run", "--probe"});
    expect(0, {"pre-script"});
    for (const auto& row : client.query("SHOW PROCESSLIST")) EXPECT_NE(row.at(3), "evil") << row.at(7);
    expect(0, {"post-script"});
  }
  EXPECT_EQ(client.value("SELECT COUNT(*) FROM evil.trace"), "0");
}

TEST_F(MysqlHostile, SettingsOfTheServerAreOverruled) {
  Server& server = start_server();
  Client client = server.connect();
  make_tables(server);
  for (const std::string setting :
       {"sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES,IGNORE_SPACE'", "wait_timeout = 1",
        "interactive_timeout = 1", "net_read_timeout = 1", "lock_wait_timeout = 1", "sql_select_limit = 1",
        "max_join_size = 1", "completion_type = 2", "autocommit = 0", "max_statement_time = 0.001",
        "idle_transaction_timeout = 1", "tx_read_only = ON", "transaction_read_only = ON"}) {
    client.error_of("SET GLOBAL " + setting);  // Not every server knows all.
  }
  const std::string mode = is_mariadb() ? "ORACLE" : "ANSI";
  client.query("SET GLOBAL init_connect = 'SET SESSION sql_mode = ''" + mode + "'', wait_timeout = 1'");
  client.error_of("CREATE USER 'limited'@'localhost' IDENTIFIED BY ''");
  client.query("GRANT RELOAD, PROCESS ON *.* TO 'limited'@'localhost'");
  for (const std::string user : {"root", "limited"}) {
    for (const std::string lock : {"auto", "flush_tables", "none"}) {
      SCOPED_TRACE(user + " " + lock);
      configure_mysql({{"user", user}, {"lock", lock}});
      expect(0, {"pre-script"});
      sleep_for(Milliseconds(1500));
      expect(0, {"post-script"});
    }
  }
}

TEST_F(MysqlHostile, SocketsThatAnybodyCouldHaveMadeAreNotSpokenTo) {
  mount_tmpfs("/tmp", "mode=1777");
  const UniqueFd fd(check(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
  const sockaddr_un address{.sun_family = AF_UNIX, .sun_path = "/tmp/mysql.sock"};
  check(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
  check(::listen(fd.get(), 5), "listen");
  check(::lchown("/tmp/mysql.sock", kNobody, kNobody), "chown");
  configure(kDetection);
  const auto pre = expect(0, {"pre-script"});
  EXPECT_THAT(pre.out, HasSubstr("mysql is skipped: /tmp/mysql.sock belongs to uid 65534"));
  expect(0, {"post-script"});
  configure(R"({"quiescers": [{"type": "mysql", "socket": "/tmp/mysql.sock"}]})");
  expect_refused(206, "belongs to uid 65534");
  pollfd called = {fd.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&called, 1, 0), 0) << "somebody has connected";
}

/// Stands between a client and the server, as ProxySQL and MaxScale do: the sessions have numbers of its own.
class Proxy {
 public:
  Proxy(const std::string& own, std::string server)
      : server_(std::move(server)), fd_(check(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")) {
    const sockaddr_un address = address_of(own);
    check(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
    check(::listen(fd_.get(), 5), "listen");
    thread_ = std::thread([this] { serve(); });
  }
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;
  ~Proxy() {
    stopping_ = true;
    thread_.join();
  }

 private:
  static sockaddr_un address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    return address;
  }

  void serve() {
    std::vector<std::pair<UniqueFd, UniqueFd>> sessions;
    while (!stopping_) {
      std::vector<pollfd> events = {{fd_.get(), POLLIN, 0}};
      for (const auto& [client, server] : sessions) {
        events.push_back({client.get(), POLLIN, 0});
        events.push_back({server.get(), POLLIN, 0});
      }
      ::poll(events.data(), events.size(), 50);
      for (std::size_t i = 1; i < events.size(); ++i) {
        if (events[i].revents != 0 && !forward(events[i].fd, events[i % 2 == 1 ? i + 1 : i - 1].fd)) {
          sessions.clear();
          break;
        }
      }
      if (events[0].revents != 0) sessions.push_back(greet());
    }
  }

  static bool forward(int from, int to) {
    std::array<char, 65536> bytes{};
    const ssize_t got = ::read(from, bytes.data(), bytes.size());
    return got > 0 && ::send(to, bytes.data(), static_cast<std::size_t>(got), MSG_NOSIGNAL) == got;
  }

  /// The server's first packet: four bytes of length and number, the protocol, the version and its end, the session.
  std::pair<UniqueFd, UniqueFd> greet() const {
    std::pair<UniqueFd, UniqueFd> session = {UniqueFd(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC)),
                                             UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0))};
    const sockaddr_un address = address_of(server_);
    check(::connect(session.second.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "connect");
    std::array<char, 4096> packet{};
    // Whoever only looks whether somebody listens hangs up at once.
    const ssize_t got = ::read(session.second.get(), packet.data(), packet.size());
    packet.at(5 + std::strlen(&packet.at(5)) + 1 + 1) ^= 0x55;
    static_cast<void>(!::send(session.first.get(), packet.data(), static_cast<std::size_t>(got), MSG_NOSIGNAL));
    return session;
  }

  std::string server_;
  UniqueFd fd_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

TEST_F(MysqlHostile, ProxiesAreRefusedAndTheirSessionsLeftAsTheyAre) {
  Server& server = start_server();
  server.connect().query("CREATE USER 'backup'@'localhost' IDENTIFIED BY ''");
  server.connect().query("GRANT RELOAD, PROCESS ON *.* TO 'backup'@'localhost'");
  server.connect().query("SET GLOBAL general_log = ON");
  server.connect().query("SET GLOBAL log_output = 'TABLE'");
  const Proxy proxy("/srv/run/proxy.sock", server.socket());
  configure(R"({"quiescers": [{"type": "mysql", "socket": "/srv/run/proxy.sock", "user": "backup"}]})");
  expect_refused(206, "a proxy answers");
  EXPECT_EQ(server.connect().value("SELECT COUNT(*) FROM mysql.general_log WHERE user_host LIKE 'backup%' AND "
                                   "argument LIKE 'SET%'"),
            "0");
}

}  // namespace
}  // namespace dlm_freeze::integration
