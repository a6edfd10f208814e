// SPDX-License-Identifier: Apache-2.0
// The harness itself, by means of plain FIFREEZE: what every other test here relies on.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/host_test.hpp"

namespace dlm_freeze::integration {
namespace {

class Harness : public HostTest {};

TEST_F(Harness, TellsFrozenFromWritable) {
  for (const char* type : {"ext4", "xfs", "btrfs"}) {
    const auto& filesystem = add(type, std::string("/srv/") + type);
    const Writer writer(filesystem);
    EXPECT_TRUE(writable(filesystem)) << type;
    filesystem.freeze();
    EXPECT_TRUE(frozen(filesystem)) << type;
    const auto held = Clock::now();
    EXPECT_FALSE(writable(filesystem)) << type;
    EXPECT_TRUE(filesystem.thaw()) << type;
    EXPECT_TRUE(writable(filesystem)) << type;
    EXPECT_TRUE(writer.goes_on()) << type;
    const Stall stall = writer.stall_at(held);
    EXPECT_GE(stall.end - stall.begin, Milliseconds(150)) << type;
  }
}

TEST_F(Harness, HasNothingMountedFromABlockDeviceButTheRootAndItsOwn) {
  const auto before = mounts().size();
  const auto& data = add("ext4", "/srv/data");
  EXPECT_EQ(mounts().size(), before + 1);
  EXPECT_EQ(mount_at("/srv/data")->source, data.device());
}

TEST_F(Harness, ThawsAfterTheSafetyLimit) {
  const auto& data = add("ext4", "/srv/data");
  SafetyThaw safety(std::chrono::seconds(1));
  safety.guard(data.directory());
  data.freeze();
  EXPECT_TRUE(frozen(data));
  EXPECT_FALSE(safety.fired());
  EXPECT_TRUE(writable(data, std::chrono::seconds(2)));
  EXPECT_TRUE(safety.fired());
}

TEST_F(Harness, ThawsWhenTheTestProcessIsKilled) {
  const auto& data = add("ext4", "/srv/data");
  data.freeze();
  const pid_t stand_in = check(::fork(), "fork");
  if (stand_in == 0) {
    SafetyThaw safety(std::chrono::seconds(30));
    safety.guard(data.directory());
    ::raise(SIGKILL);
  }
  ASSERT_TRUE(reap(stand_in, std::chrono::seconds(2)));
  EXPECT_TRUE(writable(data, std::chrono::seconds(2)));
}

}  // namespace
}  // namespace dlm_freeze::integration
