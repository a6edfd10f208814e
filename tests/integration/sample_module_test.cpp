// SPDX-License-Identifier: Apache-2.0
// A quiescer that the program has not heard of: the sample module of docs/writing-a-quiescer.md.
#include <gmock/gmock.h>
#include <signal.h>

#include <filesystem>

#include "harness/host_test.hpp"

namespace dlm_freeze::integration {
namespace {

using testing::HasSubstr;

class SampleModule : public HostTest {
 protected:
  static constexpr const char* kFlag = "/srv/app/flag";

  void SetUp() override {
    const std::string module = read_text(DLM_FREEZE_SAMPLE_MODULE);
    HostTest::SetUp();
    if (IsSkipped()) return;
    for (const char* directory : {"/srv/lib/dlm-freeze", "/srv/app"}) std::filesystem::create_directories(directory);
    write_text("/srv/lib/dlm-freeze/quiesce-flag_file.so", module);
    configure(
        R"({"auto_thaw_seconds": 20, "quiescers": [{"type": "flag_file", "name": "app", "path": "/srv/app/flag"}]})");
    data_ = &add("ext4", "/srv/data");
  }
  static bool flagged() { return std::filesystem::exists(kFlag); }

  const Filesystem* data_ = nullptr;
};

TEST_F(SampleModule, IsHeldFromPreScriptToPostScript) {
  EXPECT_THAT(expect(0, {"dry-run", "--probe"}).out, HasSubstr("app"));
  expect(0, {"pre-script"});
  EXPECT_TRUE(flagged());
  EXPECT_TRUE(frozen(*data_));
  EXPECT_THAT(expect(0, {"status", "--json"}).out, HasSubstr(R"("flag_file":"/srv/app/flag")"));
  expect(0, {"post-script"});
  EXPECT_FALSE(flagged());
}

TEST_F(SampleModule, IsRecoveredAfterTheDeathOfTheWatchdog) {
  expect(0, {"pre-script"});
  process("dlm-watchdog").signal(SIGKILL);
  EXPECT_TRUE(eventually([] { return !flagged(); }, std::chrono::seconds(3)));
  expect(202, {"post-script"});
}

TEST_F(SampleModule, SaysWhatStandsInItsWay) {
  write_text(kFlag, "");
  EXPECT_THAT(expect(204, {"pre-script"}).err, HasSubstr("app: /srv/app/flag is there already"));
  EXPECT_TRUE(flagged()) << "it is somebody else's";
  std::filesystem::remove_all("/srv/app");
  EXPECT_THAT(expect(206, {"pre-script"}).err, HasSubstr("there is no directory /srv/app/"));
}

TEST_F(SampleModule, KeepsItsFlagOutOfTheSnapshot) {
  configure(R"({"quiescers": [{"type": "flag_file", "path": "/srv/data/flag"}]})");
  EXPECT_THAT(expect(201, {"pre-script"}).err, HasSubstr("/srv/data is going to be frozen; use a path in /run"));
}

TEST_F(SampleModule, IsNotLoadedWhenOthersMayChangeIt) {
  std::filesystem::permissions("/srv/lib/dlm-freeze", std::filesystem::perms::others_write,
                               std::filesystem::perm_options::add);
  EXPECT_THAT(expect(201, {"pre-script"}).err, HasSubstr("the module for flag_file is refused: /srv/lib/dlm-freeze"));
}

}  // namespace
}  // namespace dlm_freeze::integration
