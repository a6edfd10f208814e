// SPDX-License-Identifier: Apache-2.0
// That nothing is written during a hold is proven, and what is written is found.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "dlm_freeze/base/deadline.hpp"
#include "dlm_freeze/base/unique_fd.hpp"
#include "harness/host_test.hpp"

namespace dlm_freeze::integration {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

std::string name_of(const Filesystem& filesystem) {
  return filesystem.device().substr(filesystem.device().rfind('/') + 1);
}

/// Writes 4 KiB to the device, past the filesystem.
void write_raw(const Filesystem& filesystem) {
  const UniqueFd device(::open(filesystem.device().c_str(), O_RDWR | O_DIRECT | O_CLOEXEC));
  constexpr std::size_t kBlock = 4096;
  const std::unique_ptr<void, decltype(&std::free)> block(std::aligned_alloc(kBlock, kBlock), &std::free);
  ASSERT_TRUE(device && block);
  // What it holds already, so that the filesystem stays whole.
  ASSERT_EQ(::pread(device.get(), block.get(), kBlock, 0), ssize_t{kBlock});
  ASSERT_EQ(::pwrite(device.get(), block.get(), kBlock, 0), ssize_t{kBlock});
}

class Witness : public HostTest {
 protected:
  json session() { return json::parse(expect(0, {"status", "--json"}).out)["session"]; }

  /// What is said of the device of `filesystem`.
  static std::string result_of(const json& session, const Filesystem& filesystem) {
    for (const json& device : session["witness"]) {
      if (device["device"] == name_of(filesystem)) return device["result"];
    }
    return "";
  }
};

TEST_F(Witness, FindsNothingInManyHoldsWithWriters) {
  constexpr int kRounds = 40;
  std::vector<const Filesystem*> all;
  for (const char* type : {"ext4", "xfs", "btrfs"}) all.push_back(&add(type, std::string("/srv/") + type));
  std::vector<std::unique_ptr<Writer>> writers;
  for (const Filesystem* one : all) writers.push_back(std::make_unique<Writer>(*one));
  for (int round = 0; round < kRounds; ++round) {
    restart_safety_limit();
    expect(0, {"pre-script"});
    sleep_for(Milliseconds(20 + round % 5 * 100));
    expect(0, {"post-script"});
    for (const Filesystem* one : all) EXPECT_EQ(result_of(session(), *one), "quiet") << one->mount_point();
  }
}

TEST_F(Witness, FindsAThawAndRefreezeUnderAWriter) {
  for (const char* type : {"ext4", "xfs", "btrfs"}) {
    const auto& data = add(type, std::string("/srv/") + type);
    const auto& other = add("ext4", std::string("/srv/other-") + type);
    const Writer writer(data);
    expect(0, {"pre-script"});
    EXPECT_TRUE(data.thaw());
    EXPECT_TRUE(writer.goes_on());
    data.freeze();
    const auto post = expect(202, {"post-script"});
    EXPECT_THAT(post.err, AllOf(HasSubstr("something wrote to " + name_of(data) + " while it was held"),
                                testing::Not(HasSubstr(name_of(other) + " while"))));
    EXPECT_EQ(result_of(session(), data), "written");
    EXPECT_EQ(result_of(session(), other), "quiet");
  }
}

TEST_F(Witness, FindsARawWriteOf4KiB) {
  constexpr int kRounds = 10;
  for (const char* type : {"ext4", "xfs", "btrfs"}) {
    const auto& data = add(type, std::string("/srv/") + type);
    for (int round = 0; round < kRounds; ++round) {
      restart_safety_limit();
      expect(0, {"pre-script"});
      ASSERT_NO_FATAL_FAILURE(write_raw(data));
      const auto post = expect(202, {"post-script"});
      EXPECT_THAT(post.err, HasSubstr("something wrote to " + name_of(data)));
    }
    EXPECT_THAT(expect(0, {"history"}).out, HasSubstr("disproven"));
  }
}

TEST_F(Witness, SaysWhatCannotBeProven) {
  const auto& data = add("ext4", "/srv/data");
  const auto& swapping = add({.type = "ext4", .mount_point = "/srv/swapping", .size = std::uint64_t{64} << 20});
  run_tool({"dd", "if=/dev/zero", "of=/srv/swapping/swap", "bs=1M", "count=8"});
  run_tool({"chmod", "600", "/srv/swapping/swap"});
  run_tool({"mkswap", "/srv/swapping/swap"});
  run_tool({"swapon", "/srv/swapping/swap"});
  const auto pre = start({"pre-script"})->wait();
  const auto held = session();
  const auto status = run({"status"});
  const auto post = start({"post-script"})->wait();
  run_tool({"swapoff", "/srv/swapping/swap"});
  EXPECT_EQ(pre.exit_code, 0) << pre.text();
  EXPECT_EQ(post.exit_code, 0) << post.text();
  EXPECT_EQ(result_of(held, data), "watched");
  EXPECT_EQ(result_of(held, swapping), "not_provable");
  EXPECT_THAT(status.out, HasSubstr("not provable: " + name_of(swapping) + ": the swap file /srv/swapping/swap"));
  EXPECT_EQ(result_of(session(), data), "quiet");
  EXPECT_THAT(expect(0, {"history"}).out, HasSubstr("partly"));
}

TEST_F(Witness, SaysNothingWhenTheWatchdogDied) {
  const auto& data = add("ext4", "/srv/data");
  expect(0, {"pre-script"});
  process("dlm-watchdog").signal(SIGKILL);
  expect(202, {"post-script"});
  EXPECT_EQ(result_of(session(), data), "not_provable");
}

/// CLOCK_BOOTTIME less CLOCK_MONOTONIC, at most: the time for which the host was suspended.
std::chrono::nanoseconds longest_suspension() {
  const auto monotonic = Clock::now().time_since_epoch();
  return BootClock::now().time_since_epoch() - monotonic;
}

/// In every way in which a hold ends. DLM_FREEZE_TEST_ROUNDS for many more.
TEST_F(Witness, RecordsTheEndOfTheHoldBeforeAnyWriteReturns) {
  const auto& data = add("ext4", "/srv/data");
  const Writer writer(data);
  const std::vector<std::pair<std::string, int>> ways = {
      {"expires", 203}, {"killed", 202}, {"told", 203}, {"ended", 0}};
  const char* const text = std::getenv("DLM_FREEZE_TEST_ROUNDS");
  const int rounds = text != nullptr ? 13 * std::stoi(text) : 1;
  for (int round = 0; round < rounds; ++round) {
    for (const auto& [way, code] : ways) {
      SCOPED_TRACE("round " + std::to_string(round) + ", " + way);
      restart_safety_limit();
      expect(0, {"pre-script", "--auto-thaw", way == "expires" ? "1" : "20"});
      sleep_for(Milliseconds(150));  // Now a write waits, and has waited long enough to be noted.
      const auto held = Clock::now();
      if (way == "killed") process("dlm-watchdog").signal(SIGKILL);
      if (way == "told") process("dlm-watchdog").signal(SIGTERM);
      if (way == "ended") expect(0, {"post-script"});
      EXPECT_TRUE(writable(data, std::chrono::seconds(3)));
      EXPECT_TRUE(all_gone());
      const json record = session();
      const auto first_write = writer.stall_at(held, std::chrono::seconds(3)).end.time_since_epoch();
      const std::int64_t end = record["hold_ended_boot_ns"];
      EXPECT_LE(end, (first_write + longest_suspension()).count());
      EXPECT_GE(end, record["held_boot_ns"].get<std::int64_t>());
      EXPECT_LE(end, record["ended_boot_ns"].get<std::int64_t>());
      if (way != "ended") expect(code, {"post-script"});
    }
  }
}

}  // namespace
}  // namespace dlm_freeze::integration
