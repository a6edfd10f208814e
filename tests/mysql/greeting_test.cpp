// SPDX-License-Identifier: Apache-2.0
// What is sent to a server that does not encrypt, where that is required: nothing. Needs no server.
#include "quiesce/mysql/greeting.hpp"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string>
#include <thread>

#include "dlm_freeze/base/unique_fd.hpp"
#include "quiesce/mysql/connection.hpp"

namespace dlm_freeze::mysql {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string packet(const std::string& payload) {
  return std::string{static_cast<char>(payload.size()), '\0', '\0', '\0'} + payload;
}

std::string greeting(bool with_tls, const std::string& plugin = "mysql_native_password") {
  using std::string_literals::operator""s;
  const std::string low = with_tls ? "\xff\xff"s : "\xff\xf7"s;
  return packet("\x0a" + "8.0.46\0"s + "\x07\0\0\0"s + "abcdefgh\0"s + low + "\x2d\x02\0"s + "\x28\x01\x15"s +
                std::string(10, '\0') + "ijklmnopqrst\0"s + plugin + "\0"s);
}

std::string too_many_connections() { return packet("\xff\x10\x04#08004Too many connections"); }

/// A server on 127.0.0.1 that says this to the first who comes, a byte at a time if `in_pieces`, and takes one answer.
class ServerStandin {
 public:
  explicit ServerStandin(std::string says, bool in_pieces = false)
      : says_(std::move(says)), in_pieces_(in_pieces), listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const raw = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(::bind(listener_.get(), raw, size), 0);
    EXPECT_EQ(::listen(listener_.get(), 1), 0);
    EXPECT_EQ(::getsockname(listener_.get(), raw, &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ServerStandin(const ServerStandin&) = delete;
  ServerStandin& operator=(const ServerStandin&) = delete;
  ~ServerStandin() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    if (thread_.joinable()) thread_.join();
  }

  /// Logs in with a password; why that failed.
  SqlError log_in(const std::string& tls) const {
    ServerAddress address;
    address.host = "127.0.0.1";
    address.port = port_;
    address.user = "backup";
    address.password = "secret";
    address.tls = tls;
    const auto connection = Connection::open(address, {Deadline::in(std::chrono::seconds(20)), -1});
    return connection ? SqlError{} : connection.error();
  }

  /// All that it was sent until the other side hung up, or after one answer.
  std::string received() {
    thread_.join();
    return received_;
  }

 private:
  void serve() {
    const UniqueFd peer(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!peer) return;
    const int yes = 1;
    ::setsockopt(peer.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    const std::size_t piece = in_pieces_ ? 1 : says_.size();
    for (std::size_t at = 0; at < says_.size(); at += piece) ::send(peer.get(), &says_[at], piece, MSG_NOSIGNAL);
    std::array<char, 1024> buffer{};
    const ssize_t count = ::recv(peer.get(), buffer.data(), buffer.size(), 0);
    if (count > 0) received_.assign(buffer.data(), static_cast<std::size_t>(count));
  }

  std::string says_;
  bool in_pieces_;
  UniqueFd listener_;
  unsigned port_ = 0;
  std::string received_;
  std::thread thread_;
};

TEST(Greeting, SaysWhetherThereIsTls) {
  EXPECT_EQ(judge_greeting(greeting(true)), Greeting::offers_tls);
  EXPECT_EQ(judge_greeting(greeting(false)), Greeting::lacks_tls);
  EXPECT_EQ(judge_greeting(too_many_connections()), Greeting::refuses);
}

TEST(Greeting, IsJudgedWhenEnoughOfItHasCome) {
  const std::string whole = greeting(false);
  const std::size_t enough = whole.find("abcdefgh") + 11;
  for (std::size_t length = 0; length < enough; ++length)
    EXPECT_EQ(judge_greeting(std::string_view(whole).substr(0, length)), Greeting::incomplete) << length;
  EXPECT_EQ(judge_greeting(std::string_view(whole).substr(0, enough)), Greeting::lacks_tls);
}

TEST(Connection, SendsNothingToAServerWithoutTlsWhereThatIsRequired) {
  for (const std::string plugin : {"mysql_native_password", "caching_sha2_password", "mysql_clear_password"}) {
    for (const bool in_pieces : {false, true}) {
      SCOPED_TRACE(plugin);
      ServerStandin server(greeting(false, plugin), in_pieces);
      const SqlError error = server.log_in("required");
      EXPECT_EQ(error.code, kTlsError) << error.message;
      EXPECT_EQ(server.received(), "");
    }
  }
}

TEST(Connection, SendsTheAccountToAServerWithoutTlsWhereThatIsOff) {
  ServerStandin server(greeting(false));
  EXPECT_NE(server.log_in("off").code, kTlsError);
  EXPECT_THAT(server.received(), HasSubstr("backup"));
}

TEST(Connection, AsksForEncryptionFirstWhereItIsOffered) {
  ServerStandin server(greeting(true));
  server.log_in("required");
  EXPECT_THAT(server.received(), Not(testing::AnyOf(testing::IsEmpty(), HasSubstr("backup"))));
}

TEST(Connection, SaysWhyTheServerRefuses) {
  ServerStandin server(too_many_connections());
  const SqlError error = server.log_in("required");
  EXPECT_EQ(error.code, kTooManyConnections) << error.message;
}

}  // namespace
}  // namespace dlm_freeze::mysql
