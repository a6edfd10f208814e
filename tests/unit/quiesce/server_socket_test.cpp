// SPDX-License-Identifier: Apache-2.0
#include "quiesce/server_socket.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <string>

#include "dlm_freeze/base/unique_fd.hpp"
#include "fakes/scratch.hpp"

namespace dlm_freeze {
namespace {

using fakes::Scratch;
using testing::HasSubstr;

constexpr uid_t kMysql = 1234;
constexpr uid_t kNobody = 65534;

class ServerSockets : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs to make files of others";
    for (const auto& [name, mode] : {std::pair("open", 01777), std::pair("closed", 0755)}) {
      std::filesystem::create_directory(scratch_ / name);
      ASSERT_EQ(::chmod((scratch_ / name).c_str(), static_cast<mode_t>(mode)), 0);
    }
  }

  [[nodiscard]] std::string socket(const std::string& name, uid_t owner) const {
    std::string path = scratch_ / name;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::lchown(path.c_str(), owner, owner), 0);
    return path;
  }
  [[nodiscard]] std::string link(const std::string& name, const std::string& target, uid_t owner) const {
    std::string path = scratch_ / name;
    std::filesystem::create_symlink(target, path);
    EXPECT_EQ(::lchown(path.c_str(), owner, owner), 0);
    return path;
  }

  Scratch scratch_;
};

TEST_F(ServerSockets, InADirectoryOfTheServersAreAnybodys) {
  EXPECT_TRUE(check_server_socket(socket("closed/a", kNobody), {kMysql}));
}

TEST_F(ServerSockets, WhereAnybodyMayWriteAreRootsOrTheServers) {
  EXPECT_TRUE(check_server_socket(socket("open/a", 0), {kMysql}));
  EXPECT_TRUE(check_server_socket(socket("open/b", kMysql), {kMysql}));
  const auto planted = check_server_socket(socket("open/c", kNobody), {kMysql});
  ASSERT_FALSE(planted);
  EXPECT_EQ(planted.error().kind, ErrorKind::not_ready);
  EXPECT_THAT(planted.error().message, HasSubstr("/open/c belongs to uid 65534"));
  EXPECT_TRUE(check_server_socket(scratch_ / "open/absent", {}));
}

TEST_F(ServerSockets, AreLookedAtThroughSymbolicLinks) {
  const std::string own = socket("closed/own", kMysql);
  EXPECT_TRUE(check_server_socket(link("open/a", own, 0), {kMysql}));
  EXPECT_FALSE(check_server_socket(link("open/b", own, kNobody), {kMysql}));
  EXPECT_FALSE(check_server_socket(link("closed/c", socket("open/planted", kNobody), 0), {kMysql}));
}

TEST(PeerUser, IsTheOneWhoListens) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  const UniqueFd one(ends[0]);
  const UniqueFd other(ends[1]);
  EXPECT_EQ(peer_user(one.get()), ::geteuid());
  EXPECT_FALSE(peer_user(-1));
}

}  // namespace
}  // namespace dlm_freeze
