// SPDX-License-Identifier: Apache-2.0
// Tables as real systems show them, and what is to be frozen there: tests/data/mountinfo has a directory for each, with
//
//   mountinfo  as in /proc/self/mountinfo
//   devices    the block devices of the host; see fakes/fake_devices.hpp
//   files      where single files are mounted, a mount point a line; absent where there are none
//   expected   the plan: verdict, order, reason and mount point of each mount; ! before a reason that is warned of
//
// A verdict that changes shows up as a difference in `expected`, to be read line by line by whoever changes the rules.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "commands/command_context.hpp"
#include "commands/report.hpp"
#include "fakes/fake_devices.hpp"
#include "fakes/scratch.hpp"
#include "fs/freeze_plan.hpp"

namespace dlm_freeze {
namespace {

const std::string kTables = std::string(DLM_FREEZE_TEST_DATA) + "/mountinfo";

constexpr std::array kHosts = {
    "amazon-linux-2023", "ubuntu-snaps", "debian",      "docker-host", "kubernetes-node", "rhel-lvm", "opensuse-btrfs",
    "stale-network",     "odd-names",    "loop-images", "over-mounts", "image-mode",      "pod",      "hardened-unit",
};

HostFacts facts_of(const MountTable& table, const std::string& directory) {
  HostFacts facts;
  std::ifstream files(directory + "/files");
  for (std::string line; std::getline(files, line);) facts.file_mounts.insert(table.resolve(line)->id);
  return facts;
}

FreezePlan plan_of(const MountTable& table, const std::string& directory) {
  fakes::FakeDevices devices;
  devices.add_all(fakes::content_of(directory + "/devices"));
  Selection selection = Settings().filesystems;
  selection.protect.emplace_back(StateDirectory::kDefaultPath);
  return plan_freeze(table, read_block_stacks(table, devices.roots()), selection, facts_of(table, directory));
}

std::string text_of(const FreezePlan& plan) {
  std::string text;
  std::set<dev_t> warned;
  for (const Gap& gap : plan.gaps) {
    if (!gap.expected) warned.insert(plan.mounts[gap.mount].mount.device);
  }
  for (const PlannedMount& planned : plan.mounts) {
    const std::string mark = warned.contains(planned.mount.device) ? "!" : "";
    const std::string order = planned.level < 0 ? "-" : std::to_string(planned.level + 1);
    std::array<char, 64> start{};
    std::snprintf(start.data(), start.size(), "%-9s %-2s %-16s ", std::string(to_string(planned.verdict)).c_str(),
                  order.c_str(), (mark + std::string(to_string(planned.reason))).c_str());
    text += start.data() + printable(planned.mount.mount_point) + "\n";
  }
  return text;
}

/// What holds for any plan.
void expect_sane(const FreezePlan& plan, std::size_t mounts_in_table) {
  EXPECT_EQ(plan.mounts.size(), mounts_in_table);
  std::set<dev_t> frozen;
  for (const PlannedFilesystem& filesystem : plan.filesystems) {
    EXPECT_TRUE(frozen.insert(filesystem.device).second) << filesystem.mount_point() << " twice";
  }
  std::size_t verdicts = 0;
  for (const PlannedMount& planned : plan.mounts) {
    if (planned.verdict == Verdict::freeze) ++verdicts;
    EXPECT_EQ(planned.verdict != Verdict::pass_over, frozen.contains(planned.mount.device));
    if (planned.mount.mount_point == "/") {
      EXPECT_EQ(planned.reason, Reason::root_or_boot);
    }
  }
  EXPECT_EQ(verdicts, frozen.size());
}

class CapturedTables : public testing::TestWithParam<const char*> {};

TEST_P(CapturedTables, ArePlannedAsExpected) {
  const std::string directory = kTables + "/" + GetParam();
  const auto table = MountTable::read(directory + "/mountinfo");
  ASSERT_TRUE(table) << table.error().message;
  const FreezePlan plan = plan_of(*table, directory);
  EXPECT_EQ(text_of(plan), fakes::content_of(directory + "/expected"));
  expect_sane(plan, table->mounts().size());
}

INSTANTIATE_TEST_SUITE_P(Of, CapturedTables, testing::ValuesIn(kHosts), [](const auto& host) {
  std::string name = host.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST(CapturedTablesList, HasEveryDirectory) {
  for (const auto& entry : std::filesystem::directory_iterator(kTables)) {
    EXPECT_NE(std::find(kHosts.begin(), kHosts.end(), entry.path().filename().string()), kHosts.end()) << entry.path();
  }
}

}  // namespace
}  // namespace dlm_freeze
