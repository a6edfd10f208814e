// SPDX-License-Identifier: Apache-2.0
#include "fs/elsewhere.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "fakes/mount_tables.hpp"

namespace dlm_freeze {
namespace {

using testing::HasSubstr;

const std::string kRoot = "1 0 0:50 / / rw - overlay overlay rw\n";

std::string obstacle(const std::string& others) {
  const MountTable table = fakes::table_from(kRoot + others);
  return obstacle_to(table, *table.find(9));
}

TEST(ObstaclesElsewhere, AreNoneOnLocalFilesystems) {
  EXPECT_EQ(obstacle("9 1 8:1 / /data rw - ext4 /dev/sda rw\n"), "");
  EXPECT_EQ(obstacle("2 1 0:51 / /srv rw - tmpfs t rw\n9 2 8:1 / /srv/data rw - ext4 /dev/sda rw\n"), "");
}

TEST(ObstaclesElsewhere, AreMountsThatHideIt) {
  EXPECT_EQ(obstacle("9 1 8:1 / /data rw - ext4 /dev/sda rw\n3 9 0:52 / /data rw - tmpfs t rw\n"),
            "another mount hides it there");
  EXPECT_EQ(obstacle("9 1 8:1 / /a/data rw - ext4 /dev/sda rw\n3 1 0:52 / /a rw - tmpfs t rw\n"),
            "another mount hides it there");
}

TEST(ObstaclesElsewhere, AreFilesystemsOnTheWayThatMayNotAnswer) {
  for (const std::string type : {"fuse.x", "nfs4", "autofs"}) {
    EXPECT_THAT(obstacle("2 1 0:51 / /a rw - " + type + " x rw\n9 2 8:1 / /a/data rw - ext4 /dev/sda rw\n"),
                HasSubstr("leads through " + type));
  }
  const MountTable table =
      fakes::table_from("1 0 0:50 / / rw - nfs server:/root rw\n9 1 8:1 / /data rw - ext4 /dev/sda rw\n");
  EXPECT_THAT(obstacle_to(table, *table.find(9)), HasSubstr("leads through nfs"));
}

TEST(Elsewhere, IsToldByItsContainerOrItsProcess) {
  MountElsewhere mount{.mount = {}, .process = 77, .command = "mariadbd"};
  mount.mount.mount_point = "/data";
  EXPECT_EQ(mount.where(), "process 77 (mariadbd)");
  EXPECT_EQ(mount.name(), "/data (process 77, mariadbd)");
  mount.container = "LXC container web";
  EXPECT_EQ(mount.where(), "LXC container web (process 77, mariadbd)");
  EXPECT_EQ(mount.name(), "/data (LXC container web)");
}

}  // namespace
}  // namespace dlm_freeze
