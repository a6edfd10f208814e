// SPDX-License-Identifier: Apache-2.0
// dry-run and status: what they say, and that they change nothing.
#include <gmock/gmock.h>
#include <sys/mount.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "harness/host_test.hpp"

namespace dlm_freeze::integration {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

class Reports : public HostTest {
 protected:
  nlohmann::json json_of(const std::vector<std::string>& arguments) {
    const auto result = expect(0, arguments);
    auto parsed = nlohmann::json::parse(result.out, nullptr, false);
    EXPECT_FALSE(parsed.is_discarded()) << result.text();
    return parsed;
  }
};

TEST_F(Reports, DryRunSaysWhatPreScriptWouldDoAndChangesNothing) {
  const auto& data = add("ext4", "/srv/data");
  add("ext4", "/srv/with blank");
  const Writer writer(data);
  const auto table = read_text("/proc/self/mountinfo");

  const auto dry_run = expect(0, {"dry-run"});
  EXPECT_THAT(dry_run.out, AllOf(HasSubstr("/srv/data"), HasSubstr("/srv/with"), HasSubstr(data.device())));
  const auto json = json_of({"dry-run", "--json"});
  EXPECT_THAT(json.dump(), AllOf(HasSubstr("\"/srv/data\""), HasSubstr("\"/srv/with blank\"")));
  expect(0, {"dry-run", "--probe"});

  EXPECT_EQ(read_text("/proc/self/mountinfo"), table);
  EXPECT_FALSE(fs::exists("/run/dlm-freeze"));
  EXPECT_TRUE(processes().empty());
  EXPECT_TRUE(writer.goes_on());
  EXPECT_TRUE(writer.stalls().empty()) << "a write had to wait";
}

TEST_F(Reports, DryRunNamesEveryMountWithAReason) {
  add("ext4", "/srv/data");
  add("ext4", "/srv/hidden/data");
  mount_tmpfs("/srv/hidden");
  mount_tmpfs("/var/lib");
  add("ext4", "/var/lib/amazon/ssm");
  bind_mount("/usr", "/srv/usr");
  const auto dry_run = expect(0, {"dry-run"});
  const auto json = json_of({"dry-run", "--json"}).dump();
  for (const char* mount_point : {"/srv/data", "/srv/hidden/data", "/var/lib/amazon/ssm"}) {
    EXPECT_THAT(dry_run.out, HasSubstr(mount_point));
    EXPECT_THAT(json, HasSubstr(mount_point));
  }
}

TEST_F(Reports, DryRunWorksWhileASessionIsHeld) {
  const auto& data = add("ext4", "/srv/data");
  expect(0, {"pre-script"});
  EXPECT_LT(expect(0, {"dry-run"}).run_time(), std::chrono::seconds(1));
  EXPECT_TRUE(frozen(data));
  expect(0, {"post-script"});
}

TEST_F(Reports, StatusWorksBeforeDuringAndAfterASession) {
  const auto& data = add("ext4", "/srv/data");
  add("xfs", "/srv/other");
  const auto before = json_of({"status", "--json"});
  EXPECT_FALSE(fs::exists("/run/dlm-freeze"));

  expect(0, {"pre-script", "--execution-id", "11111111-2222-3333-4444-555555555555"});
  const auto text = expect(0, {"status"});
  EXPECT_LT(text.run_time(), std::chrono::seconds(1));
  EXPECT_THAT(text.out, AllOf(HasSubstr("/srv/data"), HasSubstr("/srv/other")));
  const auto held = json_of({"status", "--json"});
  EXPECT_THAT(held.dump(), AllOf(HasSubstr("/srv/data"), HasSubstr("11111111-2222-3333-4444-555555555555")));
  EXPECT_TRUE(frozen(data));

  expect(0, {"post-script"});
  const auto after = json_of({"status", "--json"});
  EXPECT_NE(before, held);
  EXPECT_NE(held, after);
  EXPECT_NE(before, after) << "it does not say how the last session ended";
}

TEST_F(Reports, StatusWatchEndsWithTheSession) {
  add("ext4", "/srv/data");
  expect(0, {"pre-script", "--auto-thaw", "1"});
  const auto watch = start({"status", "--watch"})->wait(std::chrono::seconds(5));
  EXPECT_EQ(watch.exit_code, 0) << watch.text();
  EXPECT_LT(watch.run_time(), std::chrono::seconds(3));
  expect(203, {"post-script"});
}

TEST_F(Reports, StatusSaysThatProtectionWasLost) {
  add("ext4", "/srv/data");
  expect(0, {"pre-script"});
  kill_at_once(processes());
  ASSERT_TRUE(all_gone());
  expect(0, {"status"});
  expect(202, {"post-script"});
}

}  // namespace
}  // namespace dlm_freeze::integration
