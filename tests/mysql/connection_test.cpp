// SPDX-License-Identifier: Apache-2.0
// By TCP: encrypted or not, with the password in a file, and nothing of it to be seen anywhere.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "mysql_test.hpp"

namespace dlm_freeze::integration {
namespace {

namespace fs = std::filesystem;
using testing::AnyOf;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kPassword = "correct-horse-battery";

class MysqlConnection : public MysqlTest {
 protected:
  void SetUp() override {
    MysqlTest::SetUp();
    if (IsSkipped()) return;
    make_certificate("ca", {});
    make_certificate("other_ca", {});
    make_certificate("server", {"-CA", kCertificates + "ca.pem", "-CAkey", kCertificates + "ca.key", "-addext",
                                "subjectAltName=DNS:localhost"});
    write_private("/srv/etc/password", std::string(kPassword) + "\n");
  }

  static void write_private(const std::string& path, const std::string& text) {
    write_text(path, text);
    check(::chmod(path.c_str(), 0600), "chmod");
  }

  /// <name>.pem and <name>.key, signed by itself unless `more` says otherwise.
  static void make_certificate(const std::string& name, const std::vector<std::string>& more) {
    fs::create_directories(kCertificates);
    std::vector<std::string> command = {"openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"};
    command.insert(command.end(), {"-subj", "/CN=" + name, "-keyout", kCertificates + name + ".key", "-out",
                                   kCertificates + name + ".pem"});
    command.insert(command.end(), more.begin(), more.end());
    run_tool(command);
    check(::chmod((kCertificates + name + ".key").c_str(), 0644), "chmod");  // The server is not root.
  }

  /// One that listens at `port_`, with an account that may do all that is needed, `requirement` being its TLS.
  Server& start_tcp_server(std::vector<std::string> options, const std::string& requirement) {
    port_ = free_port();
    options.insert(options.end(), {"--skip-networking=0", "--bind-address=127.0.0.1,127.0.0.2", "--skip-name-resolve",
                                   "--port=" + std::to_string(port_)});
    Server& server = start_server({.options = options});
    Client client = server.connect();
    const std::string account = "'backup'@'127.0.0.1'";
    client.query("CREATE USER " + account + " IDENTIFIED BY '" + kPassword + "' REQUIRE " + requirement);
    client.query("GRANT RELOAD, PROCESS, REPLICATION CLIENT ON *.* TO " + account);
    return server;
  }
  Server& start_tls_server() {
    return start_tcp_server({"--ssl-ca=" + kCertificates + "ca.pem", "--ssl-cert=" + kCertificates + "server.pem",
                             "--ssl-key=" + kCertificates + "server.key"},
                            "SSL");
  }

  /// A configuration of the server at `host` alone.
  void configure_tcp(const std::string& host, const nlohmann::json& more) const {
    nlohmann::json one = {{"type", "mysql"}, {"name", "tcp"}, {"host", host}, {"port", port_}};
    one.update(more);
    configure(nlohmann::json{{"auto_thaw_seconds", 30}, {"quiescers", {one}}}.dump());
  }

  /// What a file holds; nothing when it has gone, as those in /proc do with their process.
  static std::string text_unless_gone(const std::string& path) try {
    return read_text(path);
  } catch (const std::system_error& error) {
    if (error.code().value() == ESRCH || error.code().value() == ENOENT) return "";
    throw;
  }

  /// What anybody can see of the agent: command lines, environments, the files of the session.
  [[nodiscard]] std::string all_that_shows() const {
    std::string text;
    for (const AgentProcess& process : processes()) {
      const std::string directory = "/proc/" + std::to_string(process.pid());
      text += text_unless_gone(directory + "/cmdline") + text_unless_gone(directory + "/environ");
    }
    for (const auto& entry : fs::recursive_directory_iterator("/run/dlm-freeze")) {
      if (entry.is_regular_file()) text += text_unless_gone(entry.path());
    }
    return text;
  }

  static inline const std::string kCertificates = "/srv/tls/";
  int port_ = 0;
};

TEST_F(MysqlConnection, ByTcpIsEncryptedAndShowsNoSecret) {
  Server& server = start_tls_server();
  // The library would take this name for the default socket.
  for (const char* const host : {"127.0.0.1", "localhost"}) {
    SCOPED_TRACE(host);
    configure_tcp(host, {{"user", "backup"}, {"password_file", "/srv/etc/password"}});
    const auto plan = expect(0, {"dry-run", "--all", "--probe"});
    EXPECT_THAT(plan.out, HasSubstr("probe of tcp: ready"));
    const auto pre = expect(0, {"pre-script"});
    EXPECT_NE(fact("binary_log_position"), "");
    Client client = server.connect();
    client.query("SET SESSION lock_wait_timeout = 1");
    EXPECT_NE(client.error_of("CREATE DATABASE refused"), 0U) << "it does not hold";
    const std::string shown = all_that_shows() + pre.text() + plan.text() + run({"status", "--json"}).text();
    EXPECT_THAT(shown, HasSubstr("/srv/etc/password"));
    EXPECT_THAT(shown, Not(HasSubstr(kPassword)));
    const auto post = expect(0, {"post-script"});
    EXPECT_THAT(all_that_shows() + post.text(), Not(HasSubstr(kPassword)));
    expect_nothing_left(server);
  }
}

TEST_F(MysqlConnection, ByTcpReadsTheAccountFromAnOptionFile) {
  Server& server = start_tls_server();
  write_private("/srv/etc/my.cnf", "[client]\nsocket=/srv/nowhere\nport=1\n[dlm-freeze]\nuser=backup\npassword=" +
                                       std::string(kPassword) + "\n");
  configure_tcp("127.0.0.1", {{"defaults_file", "/srv/etc/my.cnf"}});
  const auto pre = expect(0, {"pre-script"});
  EXPECT_THAT(all_that_shows() + pre.text(), Not(HasSubstr(kPassword)));
  expect(0, {"post-script"});
  expect_nothing_left(server);
}

TEST_F(MysqlConnection, ChecksTheServersNameAndIssuerWhereThatIsWanted) {
  start_tls_server();
  nlohmann::json options = {{"user", "backup"},
                            {"password_file", "/srv/etc/password"},
                            {"tls", "verify"},
                            {"tls_ca", kCertificates + "ca.pem"}};
  configure_tcp("localhost", options);
  expect(0, {"pre-script"});
  expect(0, {"post-script"});
  configure_tcp("127.0.0.1", options);
  for (const auto& command : std::vector<std::vector<std::string>>{{"dry-run", "--probe"}, {"pre-script"}}) {
    EXPECT_THAT(expect(206, command).err,
                AnyOf(HasSubstr("TLS"), HasSubstr("SSL"), HasSubstr("does not check the name")));
  }
  options["tls_ca"] = kCertificates + "other_ca.pem";
  configure_tcp("localhost", options);
  expect_refused(206, "certificate");
}

TEST_F(MysqlConnection, IsNotMadeInTheClearUnlessThatIsWanted) {
  start_tls_server();
  configure_tcp("127.0.0.1", {{"user", "backup"}, {"password_file", "/srv/etc/password"}, {"tls", "off"}});
  expect_refused(206, "cannot log in as backup");
  servers_.clear();
  fs::remove_all("/srv/mysql");

  const Server& server = start_tcp_server({is_mariadb() ? "--skip-ssl" : "--tls-version="}, "NONE");
  configure_tcp("127.0.0.1", {{"user", "backup"}, {"password_file", "/srv/etc/password"}});
  EXPECT_THAT(expect(206, {"pre-script"}).err, AnyOf(HasSubstr("does not offer TLS"), HasSubstr("SSL")));
  configure_tcp("127.0.0.1", {{"user", "backup"}, {"password_file", "/srv/etc/password"}, {"tls", "off"}});
  const auto pre = expect(0, {"pre-script"});
  EXPECT_THAT(all_that_shows() + pre.text(), Not(HasSubstr(kPassword)));
  expect(0, {"post-script"});
  expect_nothing_left(server);
}

TEST_F(MysqlConnection, IsRefusedByAServerThatIsStoppedAndThatIsSkippedUnlessItIsRequired) {
  port_ = free_port();
  configure_tcp("127.0.0.1", {{"required", false}});
  for (const auto& command : std::vector<std::vector<std::string>>{{"dry-run"}, {"dry-run", "--probe"}}) {
    EXPECT_THAT(expect(0, command).out, HasSubstr("absent, skipped"));
  }
  EXPECT_THAT(expect(0, {"pre-script"}).out, HasSubstr("INFO: tcp is skipped: nothing listens on 127.0.0.1:"));
  expect(0, {"post-script"});
  configure_tcp("127.0.0.1", nlohmann::json::object());
  expect_refused(206, "start it, or correct the address");
}

}  // namespace
}  // namespace dlm_freeze::integration
