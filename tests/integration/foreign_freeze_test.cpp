// SPDX-License-Identifier: Apache-2.0
// Somebody else freezes, thaws or unmounts the same filesystems.
#include <gmock/gmock.h>
#include <sys/mount.h>

#include "harness/host_test.hpp"

namespace dlm_freeze::integration {
namespace {

using testing::HasSubstr;

class ForeignFreeze : public HostTest {};

TEST_F(ForeignFreeze, Answers204RollsBackOursAndLeavesTheirs) {
  for (const char* type : {"ext4", "xfs", "btrfs"}) {
    const auto& ours = add(type, std::string("/srv/ours-") + type);
    const auto& theirs = add(type, std::string("/srv/theirs-") + type);
    const auto& also_ours = add(type, std::string("/srv/zz-also-ours-") + type);
    theirs.freeze();
    const auto pre = expect(204, {"pre-script"});
    EXPECT_THAT(pre.err, HasSubstr(theirs.mount_point()));
    EXPECT_TRUE(writable(ours)) << type;
    EXPECT_TRUE(writable(also_ours)) << type;
    EXPECT_TRUE(frozen(theirs)) << type;
    EXPECT_TRUE(theirs.thaw()) << type;
  }
}

TEST_F(ForeignFreeze, KeepsNothingOfOursInUse) {
  const auto& theirs = add("ext4", "/srv/theirs");
  std::vector<std::string> ours;
  for (const char* name : {"a", "b", "c", "d", "e", "f", "g", "h", "i"}) {
    const std::string first = std::string("/srv/first-") + name;
    ours.push_back(std::string("/srv/ours-") + name);
    run_tool({"mkdir", ours.back()});
    run_tool({"mount", add("ext4", first).device(), ours.back()});
    unmount_lazily(first);  // It is in use by the safety thaw.
  }
  theirs.freeze();
  const auto pre = expect(204, {"pre-script"});
  EXPECT_THAT(pre.out, HasSubstr("/srv/theirs gets no manifest: the write has not returned"));
  for (const std::string& mount_point : ours)
    EXPECT_TRUE(eventually([&] { return ::umount(mount_point.c_str()) == 0; }, std::chrono::seconds(2))) << mount_point;
  EXPECT_TRUE(frozen(theirs));
  EXPECT_TRUE(theirs.thaw());
}

TEST_F(ForeignFreeze, ThatEndsInBetweenIsNotThawedByOurPostScript) {
  const auto& ours = add("ext4", "/srv/ours");
  expect(0, {"pre-script"});
  EXPECT_TRUE(frozen(ours));
  expect(0, {"post-script"});
  ours.freeze();
  expect(205, {"post-script"});
  EXPECT_TRUE(frozen(ours));
  EXPECT_TRUE(ours.thaw());
}

TEST_F(ForeignFreeze, AThawOfOursBySomebodyElseIsFoundByPostScript) {
  const auto& one = add("ext4", "/srv/one");
  const auto& two = add("ext4", "/srv/two");
  expect(0, {"pre-script"});
  EXPECT_TRUE(one.thaw());
  EXPECT_TRUE(frozen(two));
  const auto post = expect(202, {"post-script"});
  EXPECT_THAT(post.err, HasSubstr("/srv/one"));
  EXPECT_TRUE(writable(one));
  EXPECT_TRUE(writable(two));
}

TEST_F(ForeignFreeze, ALazilyUnmountedFrozenFilesystemIsThawedByPostScript) {
  const auto& data = add("ext4", "/srv/data");
  const auto& other = add("xfs", "/srv/other");
  expect(0, {"pre-script"});
  unmount_lazily("/srv/data");
  unmount_lazily("/srv/other");
  EXPECT_TRUE(frozen(data));
  expect(0, {"post-script"});
  EXPECT_TRUE(writable(data));
  EXPECT_TRUE(writable(other));
}

TEST_F(ForeignFreeze, ALazilyUnmountedFrozenFilesystemIsThawedAtTheDeadline) {
  const auto& data = add("btrfs", "/srv/data");
  expect(0, {"pre-script", "--auto-thaw", "1"});
  unmount_lazily("/srv/data");
  EXPECT_TRUE(writable(data, std::chrono::seconds(2)));
  expect(203, {"post-script"});
}

}  // namespace
}  // namespace dlm_freeze::integration
