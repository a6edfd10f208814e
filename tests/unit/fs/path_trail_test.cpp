// SPDX-License-Identifier: Apache-2.0
#include "fs/path_trail.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "fakes/mount_tables.hpp"
#include "fakes/scratch.hpp"

namespace dlm_freeze {
namespace {

namespace stdfs = std::filesystem;
using End = Trail::End;

class PathTrail : public testing::Test {
 protected:
  PathTrail() {
    scratch_.write("real/file", "x");
    stdfs::create_directory_symlink(scratch_ / "real", scratch_ / "absolute");
    stdfs::create_directory_symlink("./absolute/../real", scratch_ / "relative");
    stdfs::create_symlink("loop", scratch_ / "loop");
    stdfs::create_symlink("/proc/self/fd/0", scratch_ / "magic");
  }

  /// The trail where `mounts` are mounted on a root, with @ for the scratch directory.
  [[nodiscard]] Trail follow(const std::string& path, std::string mounts = {}) const {
    for (std::size_t at = mounts.find('@'); at != std::string::npos; at = mounts.find('@'))
      mounts.replace(at, 1, scratch_.path());
    return dlm_freeze::follow(fakes::table_from("1 0 8:1 / / rw - ext4 /dev/a rw\n" + mounts), path);
  }

  fakes::Scratch scratch_;
};

TEST_F(PathTrail, FollowsLinks) {
  for (const char* name : {"real/file", "absolute/file", "relative/file", "real/../real//./file"}) {
    const Trail trail = follow(scratch_ / name);
    EXPECT_EQ(trail.end, End::found) << name;
    EXPECT_EQ(trail.path, scratch_ / "real/file") << name;
  }
  EXPECT_EQ(follow("/").path, "/");
  EXPECT_EQ(follow("/..").path, "/");
}

TEST_F(PathTrail, EndsWhereNothingIs) {
  const Trail trail = follow(scratch_ / "relative/nothing/below/");
  EXPECT_EQ(trail.end, End::absent);
  EXPECT_EQ(trail.path, scratch_ / "real/nothing/below");
  EXPECT_EQ(follow(scratch_ / "real/file/below").end, End::absent);
}

TEST_F(PathTrail, IsUntoldWhereNobodyCanSay) {
  EXPECT_EQ(follow("relative").end, End::untold);
  EXPECT_EQ(follow(scratch_ / "loop").end, End::untold);
  EXPECT_EQ(follow(scratch_ / "magic", "2 1 0:4 / /proc rw - proc proc rw\n").end, End::untold);
}

TEST_F(PathTrail, StopsBeforeWhatMayHang) {
  const std::string target = scratch_ / "real/file";
  for (const char* mounts :
       {"2 1 0:30 / @/real rw - fuse.x x rw\n", "2 1 0:30 / @/real rw - autofs x rw\n",
        "2 1 0:30 / @/real rw - nfs4 x:/ rw\n3 2 8:2 / @/real/file rw - ext4 /dev/b rw\n",
        "2 1 0:30 / /net rw - fuse x rw\n3 1 0:31 / @/real rw - overlay o rw,lowerdir=/a:/net/b,upperdir=/c\n"}) {
    const Trail trail = follow(scratch_ / "relative/file", mounts);
    EXPECT_EQ(trail.end, End::untold) << mounts;
    EXPECT_EQ(trail.path, target) << mounts;
  }
}

TEST(MayHang, IsNoQuestionOfTheRootOnWhichThisProgramLives) {
  const MountTable table = fakes::table_from(
      "1 0 0:30 / / rw - nfs4 server:/ rw\n"
      "2 1 8:2 / /data rw - ext4 /dev/b rw\n"
      "3 1 0:31 / /net rw - nfs4 server:/ rw\n"
      "4 3 8:3 / /net/disk rw - ext4 /dev/c rw\n");
  EXPECT_FALSE(may_hang(table, table.mounts()[1]));
  EXPECT_TRUE(may_hang(table, table.mounts()[2]));
  EXPECT_TRUE(may_hang(table, table.mounts()[3]));
}

}  // namespace
}  // namespace dlm_freeze
