// SPDX-License-Identifier: Apache-2.0
#include "fs/host_root.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/sysmacros.h>

#include <string>

#include "fakes/mount_tables.hpp"
#include "fakes/scratch.hpp"

namespace dlm_freeze {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kHost =
    "20 1 259:1 / / rw - ext4 /dev/nvme0n1p1 rw\n"
    "21 20 259:2 / /boot rw - ext4 /dev/nvme0n1p2 rw\n"
    "22 20 259:3 / /data rw - ext4 /dev/nvme1n1 rw\n";

class HostRootTest : public testing::Test {
 protected:
  HostRootTest() {
    proc_.write("2/stat", "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 24 0 0\n");
    proc_.write("1/mountinfo", kHost);
  }

  /// What is found from a process that sees `mountinfo`.
  [[nodiscard]] HostRoot found(const std::string& mountinfo) const {
    return find_host_root(fakes::table_from(mountinfo), {"/nowhere", "/nowhere", proc_ / ""});
  }

  fakes::Scratch proc_;
};

TEST_F(HostRootTest, IsThatOfWhoSeesTheSame) {
  const HostRoot root = found(kHost);
  EXPECT_EQ(root.difference, "");
  EXPECT_THAT(root.superblocks, ElementsAre(makedev(259, 1), makedev(259, 2)));
}

TEST_F(HostRootTest, IsThatOfAUnitWithAMountNamespaceOfItsOwn) {
  EXPECT_EQ(
      found("310 280 259:1 / / ro - ext4 /dev/nvme0n1p1 rw\n311 310 259:3 / /data ro - ext4 /dev/x rw\n").difference,
      "");
}

TEST_F(HostRootTest, IsNotThatOfAContainerOrARootDirectoryOrAnImage) {
  for (const char* root :
       {"0:66 / / rw - overlay overlay rw,lowerdir=l/A", "259:1 /srv/unit / rw - ext4 /dev/nvme0n1p1 rw",
        "7:0 / / ro - squashfs /dev/loop0 ro", "259:3 / / rw - ext4 /dev/nvme1n1 rw"}) {
    EXPECT_THAT(found("9 1 " + std::string(root) + "\n").difference, HasSubstr("that of process 1 is ext4 259:1"))
        << root;
  }
  EXPECT_THAT(found("9 1 259:1 /srv/unit / rw - ext4 /dev/nvme0n1p1 rw\n").difference,
              HasSubstr("/srv/unit of ext4 259:1"));
}

TEST_F(HostRootTest, IsNotThatOfAChrootThatIsNoMountPoint) {
  const HostRoot root = found("9 3 0:4 / /proc rw - proc proc rw\n");
  EXPECT_THAT(root.difference, HasSubstr("not a mount point"));
  EXPECT_THAT(root.superblocks, Contains(makedev(259, 1)));
}

TEST_F(HostRootTest, IsOnTopOfTheInitramfs) {
  proc_.write("1/mountinfo", "1 1 0:2 / / rw - rootfs rootfs rw\n" + kHost);
  EXPECT_EQ(found(kHost).difference, "");
}

TEST_F(HostRootTest, HasTheLayersOfAnOverlay) {
  proc_.write("1/mountinfo",
              "20 1 0:40 / / rw - overlay overlay rw,lowerdir+=/sysroot/deploy,datadir+=/sysroot/objects\n"
              "21 20 259:1 / /sysroot rw - xfs /dev/nvme0n1p1 rw\n");
  EXPECT_THAT(found("9 1 0:66 / / rw - overlay overlay rw\n").superblocks, ElementsAre(makedev(259, 1)));
}

TEST_F(HostRootTest, CannotBeToldInAPidNamespace) {
  // There, process 2 is one like any other, or there is none.
  proc_.write("2/stat", "2 (a) (b) S 1 2 2 0 -1 4194560 100 0 0 0 0 0 0 0 20 0 1 0 24 0 0\n");
  EXPECT_THAT(found(kHost).difference, HasSubstr("may not be the host's init"));
  EXPECT_THAT(found(kHost).superblocks, IsEmpty());
  for (const char* garbage : {"", "2", "2 (kthreadd)", "2 (kthreadd) S 0 0 0 0 -1", "2 (kthreadd) S 0 0 0 0 -1 x"}) {
    proc_.write("2/stat", garbage);
    EXPECT_NE(found(kHost).difference, "") << garbage;
  }
}

TEST_F(HostRootTest, CannotBeToldWhereTheMountsOfProcess1AreHidden) {
  std::filesystem::remove(proc_ / "1/mountinfo");
  EXPECT_THAT(found(kHost).difference, HasSubstr("the mounts of process 1 cannot be read"));
}

TEST(HostRoot, OfThisTestIsTheHostsUnlessInAContainer) {
  const auto table = MountTable::read();
  ASSERT_TRUE(table);
  const HostRoot root = find_host_root(*table);
  if (!root.difference.empty()) GTEST_SKIP() << root.difference;
  EXPECT_THAT(root.superblocks, Contains(table->root()->device));
}

}  // namespace
}  // namespace dlm_freeze
