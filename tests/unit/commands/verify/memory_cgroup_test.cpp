// SPDX-License-Identifier: Apache-2.0
#include "commands/verify/memory_cgroup.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "fakes/scratch.hpp"

namespace dlm_freeze {
namespace {

using testing::HasSubstr;

/// Where version 2 is mounted at `root`.
std::string mounted_at(const std::string& root) { return "35 30 0:31 / " + root + " rw - cgroup2 cgroup2 rw\n"; }

void write(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path) << text;
}

TEST(MemoryCgroups, OfVersion1AreMadeBelowTheOwnOne) {
  constexpr const char* kMounts =
      "32 30 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
      "35 30 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
  const auto parent = memory_cgroup_parent("4:memory:/system.slice/a.service\n0::/system.slice/a.service\n", kMounts);
  ASSERT_TRUE(parent) << parent.error().message;
  EXPECT_EQ(parent->directory, "/sys/fs/cgroup/memory/system.slice/a.service");
  EXPECT_FALSE(parent->is_version_2);
  EXPECT_EQ(memory_cgroup_parent("4:cpu,memory:/\n", kMounts)->directory, "/sys/fs/cgroup/memory");
  EXPECT_FALSE(memory_cgroup_parent("4:memory:/../other\n", kMounts));
  EXPECT_FALSE(memory_cgroup_parent("4:memory:/\n", mounted_at("/sys/fs/cgroup")));
}

TEST(MemoryCgroups, OfVersion2AreMadeBesideTheOwnOne) {
  const fakes::Scratch scratch;
  const std::string& mount = scratch.path();
  write(mount + "/cgroup.subtree_control", "cpu memory pids\n");
  write(mount + "/system.slice/cgroup.subtree_control", "memory pids\n");
  write(mount + "/system.slice/a.service/memory.max", "max\n");
  for (const auto& [own, expected] : {std::pair("0::/\n", ""), std::pair("0::/init.scope\n", ""),
                                      std::pair("1:name=systemd:/x\n0::/system.slice/a.service\n", "/system.slice")}) {
    const auto parent = memory_cgroup_parent(own, mounted_at(mount));
    ASSERT_TRUE(parent) << own << parent.error().message;
    EXPECT_EQ(parent->directory, mount + expected);
    EXPECT_TRUE(parent->is_version_2);
  }
}

TEST(MemoryCgroups, OfVersion2AreNotMadeWhereALimitWouldBeLeftOrCannotBeSet) {
  const fakes::Scratch scratch;
  const std::string& mount = scratch.path();
  write(mount + "/cgroup.subtree_control", "memory\n");
  write(mount + "/a.slice/cgroup.subtree_control", "cpu memory_of_another_kind\n");
  write(mount + "/limited.service/memory.max", "1073741824\n");
  const auto complaint = [&](const char* own) {
    const auto parent = memory_cgroup_parent(own, mounted_at(mount));
    return parent ? "none" : parent.error().message;
  };
  EXPECT_THAT(complaint("0::/limited.service\n"), HasSubstr("has a limit already"));
  EXPECT_THAT(complaint("0::/a.slice/b.service\n"), HasSubstr("no controller of memory"));
  EXPECT_THAT(complaint("0::/../b.service\n"), HasSubstr("no cgroups"));
  EXPECT_THAT(complaint(""), HasSubstr("no cgroups"));
}

TEST(MemoryCgroups, CountWhatWasKilledInBothVersions) {
  EXPECT_EQ(oom_kills("low 0\nhigh 0\nmax 5\noom 4\noom_kill 3\noom_group_kill 0\n"), 3U);
  EXPECT_EQ(oom_kills("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"), 2U);
  EXPECT_EQ(oom_kills("oom_kill_disable 1\nunder_oom 0\n"), 0U);
  EXPECT_EQ(oom_kills(""), 0U);
}

}  // namespace
}  // namespace dlm_freeze
