// SPDX-License-Identifier: Apache-2.0
// The deadline, as the writers on the filesystem see it.
#include <gmock/gmock.h>

#include "harness/host_test.hpp"

namespace dlm_freeze::integration {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class AutoThaw : public HostTest {
 protected:
  static constexpr Milliseconds kLatest{200};

  /// The deadline counts from when the watchdog was armed, which is some moment of pre-script's
  /// run: so it lies between `seconds` after its start and `seconds` after its end.
  void expect_thaw_after(std::chrono::seconds seconds, const RunResult& pre, const Writer& writer) {
    const auto held = pre.exited + Milliseconds(200);
    const auto thawed = writer.stall_at(held, seconds + std::chrono::seconds(2)).end;
    EXPECT_GE(thawed, pre.started + seconds);
    EXPECT_LE(thawed, pre.exited + seconds + kLatest);
  }
};

TEST_F(AutoThaw, ComesAtTheDeadlineAndPostScriptSaysSoOnce) {
  for (const int seconds : {1, 2}) {
    const auto& data = add("ext4", "/srv/data" + std::to_string(seconds));
    const auto& other = add("xfs", "/srv/other" + std::to_string(seconds));
    const Writer on_data(data);
    const Writer on_other(other);
    const auto pre = expect(0, {"pre-script", "--auto-thaw", std::to_string(seconds)});
    EXPECT_TRUE(frozen(data));
    expect_thaw_after(std::chrono::seconds(seconds), pre, on_data);
    expect_thaw_after(std::chrono::seconds(seconds), pre, on_other);
    EXPECT_TRUE(all_gone());
    const auto post = expect(203, {"post-script"});
    EXPECT_THAT(post.err, AllOf(HasSubstr("ERROR: "), HasSubstr("Return Error Code: 203")));
    expect(205, {"post-script"});
    expect(0, {"pre-script"});
    EXPECT_TRUE(frozen(data));
    expect(0, {"post-script"});
  }
}

TEST_F(AutoThaw, LetsTheNextPreScriptStartAfreshWithoutAPostScript) {
  const auto& data = add("ext4", "/srv/data");
  expect(0, {"pre-script", "--auto-thaw", "1"});
  EXPECT_TRUE(writable(data, std::chrono::seconds(2)));
  EXPECT_TRUE(all_gone());
  expect(0, {"pre-script"});
  EXPECT_TRUE(frozen(data));
  expect(0, {"post-script"});
}

TEST_F(AutoThaw, TakesTheOptionBeforeTheConfigurationBeforeTheEnvironment) {
  const auto& data = add("ext4", "/srv/data");
  const RunOptions environment{.environment = {"AUTO_THAW_DURATION_SECS=1"}};
  configure(R"({"quiescers": []})");
  {
    const Writer writer(data);
    expect_thaw_after(std::chrono::seconds(1), expect(0, {"pre-script"}, environment), writer);
    expect(203, {"post-script"});
  }
  configure(R"({"quiescers": [], "auto_thaw_seconds": 2})");
  {
    const Writer writer(data);
    expect_thaw_after(std::chrono::seconds(2), expect(0, {"pre-script"}, environment), writer);
    expect(203, {"post-script"});
  }
  configure(R"({"quiescers": [], "auto_thaw_seconds": 20})");
  {
    const Writer writer(data);
    expect_thaw_after(std::chrono::seconds(1), expect(0, {"pre-script", "--auto-thaw", "1"}, environment), writer);
    expect(203, {"post-script"});
  }
}

TEST_F(AutoThaw, DoesNotComeAfterPostScript) {
  const auto& data = add("ext4", "/srv/data");
  expect(0, {"pre-script", "--auto-thaw", "1"});
  expect(0, {"post-script"});
  // Somebody else freezes it in the same second: that is theirs to thaw.
  data.freeze();
  sleep_for(Milliseconds(1300));
  EXPECT_TRUE(frozen(data));
  EXPECT_TRUE(data.thaw());
}

TEST_F(AutoThaw, ComesInTimeForThirtyFilesystems) {
  std::vector<const Filesystem*> all;
  for (int i = 0; i < 30; ++i) all.push_back(&add("ext4", "/srv/data" + std::to_string(i)));
  const Writer on_first(*all.front());
  const Writer on_last(*all.back());
  const auto pre = expect(0, {"pre-script", "--auto-thaw", "1"});
  expect_thaw_after(std::chrono::seconds(1), pre, on_first);
  expect_thaw_after(std::chrono::seconds(1), pre, on_last);
  expect(203, {"post-script"});
}

}  // namespace
}  // namespace dlm_freeze::integration
