// SPDX-License-Identifier: Apache-2.0
// What Patroni answers, and what may answer in its place. Needs no server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "fakes/scratch.hpp"
#include "postgresql/http_standin.hpp"
#include "quiesce/postgresql/patroni.hpp"

namespace dlm_freeze::postgresql {
namespace {

using integration::HttpStandin;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

Patience patience(BootClock::duration span = seconds(2)) { return {Deadline::in(span), -1}; }

TEST(PatroniAsking, TakesAnAddressInNumbersAlone) {
  const auto place = [](const char* text) {
    const auto parsed = parse_http_place(text, kPatroniPort);
    return parsed ? parsed->text() : "refused: " + parsed.error().message;
  };
  EXPECT_EQ(place("http://127.0.0.1:8009"), "http://127.0.0.1:8009");
  EXPECT_EQ(place("http://10.0.0.5/"), "http://10.0.0.5:8008");
  EXPECT_EQ(place("http://localhost"), "http://127.0.0.1:8008");
  EXPECT_EQ(place("http://[::1]:80"), "http://[::1]:80");
  for (const char* bad : {"", "127.0.0.1:8008", "https://127.0.0.1:8008", "http://", "http://db1.example.com:8008",
                          "http://127.0.0.1:0", "http://127.0.0.1:65536", "http://127.0.0.1:8008/patroni",
                          "http://user@127.0.0.1", "http://[::1", "http://127.0.0.1 :1"}) {
    EXPECT_THAT(place(bad), testing::StartsWith("refused: ")) << bad;
  }
}

TEST(PatroniAsking, ReadsRoleTtlAndPause) {
  const auto node = parse_patroni_node(
      R"({"state": "running", "postmaster_start_time": "2026-11-01 10:00:00+00:00", "role": "master",
          "server_version": 150020, "xlog": {"location": 67419744}, "timeline": 1, "replication": null, "pause": true,
          "database_system_identifier": "7300000000000000001", "patroni": {"version": "3.0.2", "scope": "batman"}})");
  ASSERT_TRUE(node) << node.error().message;
  EXPECT_EQ(node->role, "master");
  EXPECT_TRUE(node->is_leader());
  EXPECT_TRUE(node->paused);
  EXPECT_EQ(node->system_identifier, "7300000000000000001");
  EXPECT_FALSE(parse_patroni_node(R"({"role": "replica"})")->is_leader());
  EXPECT_TRUE(parse_patroni_node(R"({"role": "standby_leader"})")->is_leader());
  EXPECT_EQ(parse_patroni_ttl(R"({"loop_wait": 10, "ttl": 45})"), seconds(45));
  EXPECT_EQ(parse_patroni_ttl(R"({"ttl": "20"})"), seconds(20));
  EXPECT_EQ(parse_patroni_ttl("{}"), seconds(30)) << "its default";
}

TEST(PatroniAsking, BelievesNothingElse) {
  for (const char* body : {"", "null", "[]", "17", "<html>", R"({"role": 1})", R"({"role": ""})",
                           R"({"role": "Leader; DROP TABLE"})", R"({"state": "running"})"}) {
    EXPECT_FALSE(parse_patroni_node(body)) << body;
  }
  for (const char* body : {"", "[]", R"({"ttl": -1})", R"({"ttl": 0})", R"({"ttl": true})", R"({"ttl": "soon"})",
                           R"({"ttl": 1e99})", R"({"ttl": 99999999999})"}) {
    EXPECT_FALSE(parse_patroni_ttl(body)) << body;
  }
}

TEST(PatroniAsking, AsksForTheNodeAndItsConfiguration) {
  HttpStandin server;
  server.answer_json("/patroni", R"({"role": "primary", "database_system_identifier": "7"})");
  server.answer_json("/config", R"({"ttl": 31})");
  const auto place = parse_http_place(server.address(), kPatroniPort);
  ASSERT_TRUE(place);
  const auto node = ask_patroni(*place, patience());
  ASSERT_TRUE(node) << node.error().message;
  EXPECT_EQ(node->ttl, seconds(31));
  EXPECT_THAT(server.take_requests(), testing::ElementsAre("/patroni", "/config"));
}

TEST(PatroniAsking, DoesNotWaitForTheEndOfAConnectionThatIsKept) {
  HttpStandin server;
  server.answer("/patroni", "HTTP/1.1 200 OK\r\nCONTENT-LENGTH: 18\r\n\r\n{\"role\": \"primary\"}");
  server.answer("/config", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
  EXPECT_TRUE(ask_patroni({"127.0.0.1", std::to_string(server.port())}, patience()));
}

TEST(PatroniAsking, OfSomethingElseGivesAnErrorInTime) {
  const std::string huge(std::size_t{4} << 20, 'x');
  const std::vector<std::pair<std::string, std::string>> answers = {
      {"SSH-2.0-OpenSSH_9.2\r\n", "not HTTP"},
      {"", "not HTTP"},
      {std::string("\0\1\2\3", 4), "not HTTP"},
      {"HTTP/1.0 302 Found\r\nLocation: http://192.0.2.1/\r\n\r\n", "status 302"},
      {"HTTP/1.0 503 Service Unavailable\r\n\r\n{}", "status 503"},
      {"HTTP/1.0 20 OK\r\n\r\n{}", "not HTTP"},
      {"HTTP/1.0 200 OK\r\n", "not HTTP"},
      {"HTTP/1.0 200 OK\r\n\r\nhello", "not a JSON"},
      {"HTTP/1.0 200 OK\r\n\r\n" + std::string(100000, '['), "not a JSON"},
      {"HTTP/1.0 200 OK\r\n\r\n" + huge, "too long"},
      {"HTTP/1.0 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n" + huge, "too long"},
      {huge, "too long"},
  };
  for (const auto& [bytes, expected] : answers) {
    HttpStandin server;
    server.answer("/patroni", bytes);
    const auto begin = BootClock::now();
    const auto node = ask_patroni({"127.0.0.1", std::to_string(server.port())}, patience());
    EXPECT_LT(BootClock::now() - begin, seconds(2));
    ASSERT_FALSE(node) << bytes.substr(0, 40);
    EXPECT_THAT(node.error().message, HasSubstr(expected)) << bytes.substr(0, 40);
  }
}

TEST(PatroniAsking, IsGivenUpWhenNothingIsSaid) {
  HttpStandin server;
  server.fall_silent();
  const auto begin = BootClock::now();
  const auto node = ask_patroni({"127.0.0.1", std::to_string(server.port())}, patience(milliseconds(200)));
  EXPECT_LT(BootClock::now() - begin, seconds(1));
  ASSERT_FALSE(node);
  EXPECT_EQ(node.error().message, server.address() + "/patroni: the server does not answer in time");
}

TEST(PatroniAsking, OfNobodyIsRefused) {
  int port = 0;
  { port = HttpStandin().port(); }
  const auto node = ask_patroni({"127.0.0.1", std::to_string(port)}, patience());
  ASSERT_FALSE(node);
  EXPECT_THAT(node.error().message, HasSubstr("Connection refused"));
}

TEST(PatroniAsking, IsForClustersThatPatroniHasRun) {
  const fakes::Scratch scratch;
  EXPECT_FALSE(has_patroni(scratch.path()));
  scratch.write("patroni.dynamic.json", "{}");
  EXPECT_TRUE(has_patroni(scratch.path()));
}

}  // namespace
}  // namespace dlm_freeze::postgresql
