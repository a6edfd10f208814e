// SPDX-License-Identifier: Apache-2.0
#include "fs/foreign_path.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

namespace dlm_freeze {
namespace {

TEST(ForeignPath, IsOneThroughARootDirectory) {
  const auto path = parse_foreign_path("/proc/1234/root/var/lib/mysql");
  ASSERT_TRUE(path);
  EXPECT_EQ(path->table, "/proc/1234/mountinfo");
  EXPECT_EQ(path->path, "/var/lib/mysql");
  EXPECT_EQ(parse_foreign_path("/proc/1/root")->path, "/");
}

TEST(ForeignPath, IsNoOther) {
  for (const std::string path : {"/proc/1234", "/proc/1234/rootfs/a", "/proc/self/root/a", "/proc//root/a", "/data",
                                 "proc/1/root", "/proc/12a/root/b", "/proc/1/cwd/a", "", "/proc/"}) {
    EXPECT_FALSE(parse_foreign_path(path)) << path;
    EXPECT_FALSE(mount_in_foreign_root(path)) << path;
  }
}

TEST(ForeignPath, LiesOnTheMountThatTheProcessSees) {
  const auto mount = mount_in_foreign_root("/proc/" + std::to_string(::getpid()) + "/root/proc/self");
  ASSERT_TRUE(mount);
  EXPECT_EQ(mount->type, "proc");
}

TEST(ForeignPath, OfAProcessThatHasGoneLiesOnNoMountThatIsKnown) {
  const auto mount = mount_in_foreign_root("/proc/4194305/root/data");  // Above the largest pid_max.
  ASSERT_TRUE(mount);
  EXPECT_EQ(mount->device, dev_t{0});
}

}  // namespace
}  // namespace dlm_freeze
