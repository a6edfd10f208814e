// SPDX-License-Identifier: Apache-2.0
// Clusters that Patroni runs, for whose REST API an HTTP server of the test stands in.
#include <gmock/gmock.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstring>

#include "dlm_freeze/base/unique_fd.hpp"
#include "postgresql/http_standin.hpp"
#include "postgresql/postgresql_test.hpp"

namespace dlm_freeze::integration {
namespace {

using testing::ContainsRegex;  // Asking takes a while: what is left of 20 seconds may be less.
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr const char* kFailedOver = "may be failed over while it is frozen";

class Patroni : public PostgresqlTest {
 protected:
  void SetUp() override {
    PostgresqlTest::SetUp();
    if (IsSkipped()) return;
    enter_network();
    add_volume("/srv/data");
    server_ = &add_server({.data = "/srv/data/main"});
    identifier_ = server_->sql("SELECT system_identifier FROM pg_control_system()");
  }

  /// A network of the test's own, in which every port is free.
  static void enter_network() {
    check(::unshare(CLONE_NEWNET), "unshare");
    const UniqueFd fd(check(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket"));
    ifreq loopback{};
    std::strcpy(loopback.ifr_name, "lo");
    loopback.ifr_flags = IFF_UP;
    check(::ioctl(fd.get(), SIOCSIFFLAGS, &loopback), "bring up lo");
  }

  void play(HttpStandin& patroni, const std::string& role, int ttl, const std::string& more = "") const {
    patroni.answer_json("/patroni", R"({"state": "running", "role": ")" + role +
                                        R"(", "database_system_identifier": ")" + identifier_ + "\"" + more + "}");
    patroni.answer_json("/config", R"({"loop_wait": 10, "ttl": )" + std::to_string(ttl) + "}");
  }
  void configure_patroni(const std::string& address) const { configure_postgresql(R"("patroni": ")" + address + "\""); }

  /// What the probe and then a session, of 20 seconds at most, print; the session is ended.
  std::vector<std::string> outputs() {
    std::vector<std::string> outputs = {expect(0, {"dry-run", "--probe"}).out, expect(0, {"pre-script"}).out};
    expect(0, {"post-script"});
    return outputs;
  }

  Server* server_ = nullptr;
  std::string identifier_;
};

TEST_F(Patroni, WarnsOfALeaderWhoseTtlIsShorterThanTheSession) {
  HttpStandin patroni;
  configure_patroni(patroni.address());
  for (const char* role : {"primary", "master", "standby_leader"}) {
    play(patroni, role, 10);
    for (const std::string& out : outputs())
      EXPECT_THAT(out, ContainsRegex(std::string("WARN: postgresql: Patroni's ") + role + " " + kFailedOver +
                                     ": the session can last (1.|20) s, and Patroni's ttl is 10 s"));
  }
  play(patroni, "primary", 20);
  for (const std::string& out : outputs()) EXPECT_THAT(out, HasSubstr("INFO: postgresql: Patroni's primary, ttl 20 s"));
}

TEST_F(Patroni, DoesNotWarnOfWhatIsNotFailedOver) {
  HttpStandin patroni;
  configure_patroni(patroni.address());
  play(patroni, "replica", 10);
  for (const std::string& out : outputs()) EXPECT_THAT(out, Not(HasSubstr("WARN: postgresql")));
  play(patroni, "primary", 10, R"(, "pause": true)");
  for (const std::string& out : outputs()) EXPECT_THAT(out, HasSubstr("Patroni's primary, in maintenance mode"));
}

TEST_F(Patroni, IsAskedWithoutAConfigurationWhereItHasRunTheCluster) {
  HttpStandin patroni(8008);
  play(patroni, "primary", 10);
  configure_postgresql();
  for (const std::string& out : outputs()) EXPECT_THAT(out, Not(HasSubstr("Patroni")));
  EXPECT_THAT(patroni.take_requests(), IsEmpty());

  write_text("/srv/data/main/patroni.dynamic.json", "{}");
  for (const std::string& out : outputs()) EXPECT_THAT(out, HasSubstr(kFailedOver));

  configure_patroni("none");
  patroni.take_requests();
  for (const std::string& out : outputs()) EXPECT_THAT(out, Not(HasSubstr("Patroni")));
  EXPECT_THAT(patroni.take_requests(), IsEmpty());
}

TEST_F(Patroni, OfAnotherClusterAtTheUsualPlaceSaysNothing) {
  HttpStandin patroni(8008);
  identifier_ = "1234567890";
  play(patroni, "primary", 10);
  write_text("/srv/data/main/patroni.dynamic.json", "{}");
  configure_postgresql();
  for (const std::string& out : outputs()) {
    EXPECT_THAT(out, HasSubstr("INFO: postgresql: the Patroni at http://127.0.0.1:8008 runs another cluster"));
    EXPECT_THAT(out, Not(HasSubstr("WARN: postgresql")));
  }
}

TEST_F(Patroni, ThatDoesNotAnswerAsItShouldIsAWarningAndCostsLittle) {
  HttpStandin patroni;
  configure_patroni(patroni.address());
  const auto expect_unknown = [&](const std::string& why) {
    for (const std::string& out : outputs()) {
      EXPECT_THAT(out, HasSubstr("WARN: postgresql: whether Patroni may fail it over is not known"));
      EXPECT_THAT(out, HasSubstr(why));
    }
  };
  patroni.answer("/patroni", "garbage\r\n\r\n");
  expect_unknown("the answer is not HTTP");
  patroni.answer("/patroni", "HTTP/1.0 307 Elsewhere\r\nLocation: http://127.0.0.1:1/\r\n\r\n");
  expect_unknown("it answers with status 307");
  patroni.answer("/patroni", "HTTP/1.0 200 OK\r\n\r\n" + std::string(std::size_t{1} << 20, '{'));
  expect_unknown("the answer is too long");
  patroni.fall_silent();
  EXPECT_LT(expect(0, {"dry-run", "--probe"}).run_time(), std::chrono::seconds(3));
  expect_unknown("the server does not answer in time");
  configure_patroni("http://127.0.0.1:1");
  expect_unknown("Connection refused");
}

TEST_F(Patroni, HasAnAddressInNumbers) {
  configure_patroni("http://patroni.example.com:8008");
  EXPECT_THAT(expect(201, {"pre-script"}).err, HasSubstr("postgresql: patroni: 'http://patroni.example.com:8008'"));
}

}  // namespace
}  // namespace dlm_freeze::integration
