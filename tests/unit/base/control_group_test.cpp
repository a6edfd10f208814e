// SPDX-License-Identifier: Apache-2.0
#include "base/control_group.hpp"

#include <gtest/gtest.h>

namespace dlm_freeze {
namespace {

TEST(ControlGroups, AreReadWithWhateverTheirPathsHave) {
  const auto groups =
      parse_control_groups("12:cpu,cpuacct:/docker/1f\n1:name=systemd:/a:b\n0::/system.slice\nnothing\n");
  ASSERT_EQ(groups.size(), 3U);
  EXPECT_EQ(groups[0].controllers, "cpu,cpuacct");
  EXPECT_EQ(groups[0].path, "/docker/1f");
  EXPECT_EQ(groups[1].controllers, "name=systemd");
  EXPECT_EQ(groups[1].path, "/a:b");
  EXPECT_EQ(groups[2].controllers, "");
  EXPECT_EQ(groups[2].path, "/system.slice");
}

TEST(ControlGroups, AreFoundWhereTheirHierarchyIsMountedAsAWhole) {
  constexpr const char* kMounts =
      "31 30 0:28 /docker/1f /mnt/part rw - cgroup cgroup rw,memory\n"
      "32 30 0:28 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n"
      "33 30 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
      "34 30 0:30 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
      "35 30 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n"
      "36 30 0:32 / /memory rw - tmpfs memory rw,memory\n";
  EXPECT_EQ(hierarchy_of(kMounts, "memory"), "/sys/fs/cgroup/memory");
  EXPECT_EQ(hierarchy_of(kMounts, "cpu,cpuacct"), "/sys/fs/cgroup/cpu,cpuacct");
  EXPECT_EQ(hierarchy_of(kMounts, "name=systemd"), "/sys/fs/cgroup/systemd");
  EXPECT_EQ(hierarchy_of(kMounts, ""), "/sys/fs/cgroup/unified");
  EXPECT_EQ(hierarchy_of(kMounts, "devices"), "");
  EXPECT_EQ(hierarchy_of("", ""), "");
}

}  // namespace
}  // namespace dlm_freeze
