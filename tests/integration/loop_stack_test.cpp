// SPDX-License-Identifier: Apache-2.0
// Filesystems in image files that lie on other filesystems which are to be frozen too.
#include <gmock/gmock.h>
#include <sys/mount.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "harness/host_test.hpp"

namespace dlm_freeze::integration {
namespace {

class LoopStack : public HostTest {
 protected:
  /// Three filesystems, each in an image on the one before.
  void stack_three() {
    auto& outer = add("xfs", "/srv/outer");
    auto& middle = add({.type = "ext4", .mount_point = "/srv/middle", .image_directory = "/srv/outer/images"});
    auto& inner = add({.type = "ext4", .mount_point = "/srv/inner", .image_directory = "/srv/middle/images"});
    stack_ = {&outer, &middle, &inner};
  }

  /// A whole session, in which nothing may have to wait for anything else.
  void expect_session_holds_all() {
    const auto pre = expect(0, {"pre-script", "--timeout", "3"});
    ASSERT_EQ(pre.exit_code, 0);
    EXPECT_LT(pre.run_time(), std::chrono::seconds(2));
    for (const auto* filesystem : stack_) EXPECT_TRUE(frozen(*filesystem)) << filesystem->mount_point();
    const auto post = expect(0, {"post-script"});
    EXPECT_LT(post.run_time(), std::chrono::seconds(1));
    for (const auto* filesystem : stack_) EXPECT_TRUE(writable(*filesystem)) << filesystem->mount_point();
  }

  /// Calls `action` for each order of the three.
  template <typename Action>
  static void for_each_order(Action action) {
    std::array<std::size_t, 3> order{0, 1, 2};
    do {
      action(order);
    } while (!HasFailure() && std::next_permutation(order.begin(), order.end()));
  }

  std::vector<const Filesystem*> stack_;
};

TEST_F(LoopStack, OfThreeIsFrozenInTheRightOrderWhereverEachIsMounted) {
  stack_three();
  std::array<std::string, 3> places{"/srv/outer", "/srv/middle", "/srv/inner"};
  int round = 0;
  for_each_order([&](const auto& order) {
    ++round;
    for (std::size_t i = 0; i < order.size(); ++i) {
      auto& place = places[order[i]];
      const std::string next = "/srv/round" + std::to_string(round) + "-" + std::to_string(i);
      std::filesystem::create_directories(next);
      check(::mount(place.c_str(), next.c_str(), nullptr, MS_MOVE, nullptr), "move " + place);
      place = next;
    }
    const Writer on_inner(*stack_.back());
    expect_session_holds_all();
  });
  EXPECT_EQ(round, 6);
}

TEST_F(LoopStack, WhoseImagesAreNoLongerReachedByThePathTheyWereOpenedByIsFrozenAllTheSame) {
  stack_three();
  std::array<std::string, 3> places{"/srv/outer", "/srv/middle", "/srv/inner"};
  int round = 0;
  for_each_order([&](const auto& order) {
    ++round;
    for (std::size_t i = 0; i < order.size(); ++i) {
      // Mounted anew, so that the table lists them in this order, and what the kernel says of the
      // images' paths is relative to a mount that is gone.
      auto& place = places[order[i]];
      const std::string next = "/srv/round" + std::to_string(round) + "-" + std::to_string(i);
      stack_[order[i]]->mount_also(next);
      unmount_lazily(place);
      place = next;
    }
    expect_session_holds_all();
  });
}

TEST_F(LoopStack, OnABtrfsThatHasMovedIsFrozenFirst) {
  // The numbers of a btrfs' files are not those of its mounts, so only the path could tell what the image lies on.
  const auto& outer = add({.type = "btrfs", .mount_point = "/srv/outer", .size = std::uint64_t{200} << 20});
  const auto& inner = add({.type = "ext4", .mount_point = "/srv/inner", .image_directory = "/srv/outer/images"});
  stack_ = {&outer, &inner};
  write_text("/srv/inner/dirty", std::string(std::size_t{4} << 20, 'x'));
  expect_session_holds_all();
  std::filesystem::create_directories("/srv/elsewhere");
  check(::mount("/srv/outer", "/srv/elsewhere", nullptr, MS_MOVE, nullptr), "move");
  write_text("/srv/inner/dirty", std::string(std::size_t{4} << 20, 'y'));
  expect_session_holds_all();
}

TEST_F(LoopStack, WithDataToWriteBackIsFrozenFromTheInside) {
  const auto& outer = add("ext4", "/srv/z-outer");
  const auto& inner = add({.type = "ext4", .mount_point = "/srv/a-inner", .image_directory = "/srv/z-outer"});
  write_text("/srv/a-inner/dirty", std::string(std::size_t{4} << 20, 'x'));
  expect(0, {"pre-script"});
  EXPECT_TRUE(frozen(inner));
  EXPECT_TRUE(frozen(outer));
  expect(0, {"post-script"});
  EXPECT_TRUE(writable(inner));
  EXPECT_TRUE(writable(outer));
}

TEST_F(LoopStack, WhoseImageWasRenamedOrRemovedStillHasItsPlace) {
  const auto& outer = add("ext4", "/srv/outer");
  const auto& renamed = add({.type = "ext4", .mount_point = "/srv/renamed", .image_directory = "/srv/outer"});
  run_tool({"mv", renamed.image(), "/srv/outer/new name"});
  expect(0, {"pre-script"});
  EXPECT_TRUE(frozen(renamed));
  EXPECT_TRUE(frozen(outer));
  expect(0, {"post-script"});

  run_tool({"rm", "/srv/outer/new name"});
  const auto pre = expect(0, {"pre-script"});
  EXPECT_LT(pre.run_time(), std::chrono::seconds(2));
  EXPECT_TRUE(frozen(outer));
  EXPECT_TRUE(frozen(renamed));
  expect(0, {"post-script"});
}

TEST_F(LoopStack, ThroughALoopDeviceOnALoopDeviceIsFrozenFromTheInside) {
  const auto& outer = add("ext4", "/srv/a-outer");
  const LoopDevice lower("/srv/a-outer/image", std::uint64_t{16} << 20);
  run_tool({"mkfs.ext4", "-q", "-F", lower.path()});
  const LoopDevice upper(lower.path(), 0);
  std::filesystem::create_directories("/srv/b-inner");
  check(::mount(upper.path().c_str(), "/srv/b-inner", "ext4", 0, nullptr), "mount");
  write_text("/srv/b-inner/dirty", std::string(std::size_t{4} << 20, 'x'));
  EXPECT_THAT(expect(0, {"dry-run", "--all"}).out,
              testing::ContainsRegex("\n +1 +/srv/b-inner[^\n]*\n +2 +/srv/a-outer"));
  const auto pre = expect(0, {"pre-script", "--timeout", "3"});
  EXPECT_LT(pre.run_time(), std::chrono::seconds(2));
  EXPECT_TRUE(frozen(outer));
  expect(0, {"post-script"});
  configure(R"({"quiescers": [], "filesystems": {"protect": ["/srv/b-inner"]}})");
  expect(0, {"pre-script"});
  EXPECT_TRUE(writable(outer)) << "what is protected lies on it";
  expect(0, {"post-script"});
  EXPECT_TRUE(all_gone());
  check(::umount("/srv/b-inner"), "umount");
}

TEST_F(LoopStack, OnABtrfsWhosePathIsAnothersByNowIsFrozenFirst) {
  const auto& pool = add("btrfs", "/srv/a");
  const auto& inner = add({.type = "ext4", .mount_point = "/srv/z-inner", .image_directory = "/srv/a/images"});
  std::filesystem::create_directories("/srv/b");
  check(::mount("/srv/a", "/srv/b", nullptr, MS_MOVE, nullptr), "move");
  const auto& other = add("btrfs", "/srv/a");
  std::filesystem::create_directories("/srv/a/images");
  run_tool({"cp", "--sparse=always", "/srv/b" + inner.image().substr(6), inner.image()});
  stack_ = {&pool, &inner, &other};
  write_text("/srv/z-inner/dirty", std::string(std::size_t{4} << 20, 'x'));
  expect_session_holds_all();
}

}  // namespace
}  // namespace dlm_freeze::integration
