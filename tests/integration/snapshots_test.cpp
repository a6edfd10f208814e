// SPDX-License-Identifier: Apache-2.0
// verify --snapshots: what a real session's history says of snapshots, which are only told of here.
#include <gmock/gmock.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/utc.hpp"
#include "harness/host_test.hpp"

namespace dlm_freeze::integration {
namespace {

using nlohmann::json;
using std::chrono::system_clock;
using testing::AllOf;
using testing::HasSubstr;

constexpr const char* kHistory = "/var/lib/dlm-freeze/history.jsonl";
constexpr const char* kSnapshots = "/srv/etc/snapshots.json";

class Snapshots : public HostTest {
 protected:
  void SetUp() override {
    HostTest::SetUp();
    if (IsSkipped()) return;
    data_ = &add("ext4", "/srv/data");
  }

  /// As EC2 tells of one that was taken now.
  [[nodiscard]] json snapshot(const std::string& id) const {
    return {{"SnapshotId", id},
            {"VolumeId", data_->device().substr(data_->device().rfind('/') + 1)},
            {"State", "completed"},
            {"StartTime", format_utc_milliseconds(system_clock::now())}};
  }

  /// A session with a snapshot in its middle, far enough from both ends for the clock that AWS has.
  json hold(
      int post_script, const std::function<void()>& meanwhile = [] {}) {
    expect(0, {"pre-script"});
    sleep_for(Milliseconds(150));
    json taken = snapshot("snap-inside");
    meanwhile();
    sleep_for(Milliseconds(150));
    expect(post_script, {"post-script"});
    EXPECT_TRUE(eventually([] { return std::filesystem::exists(kHistory); }, std::chrono::seconds(5)));
    return taken;
  }

  /// The history with the error of a clock that a time service keeps.
  static std::string kept_history() {
    std::istringstream stream(read_text(kHistory));
    std::string lines;
    for (std::string line; std::getline(stream, line);) {
      json session = json::parse(line);
      for (const char* key : {"held_clock_error_us", "hold_ended_clock_error_us"}) session[key] = 200;
      lines += session.dump() + "\n";
    }
    write_text("/srv/etc/history.jsonl", lines);
    return "/srv/etc/history.jsonl";
  }

  RunResult judge(int expected, const std::vector<json>& snapshots, std::vector<std::string> more) {
    write_text(kSnapshots, json{{"Snapshots", snapshots}}.dump());
    more.insert(more.begin(), {"verify", "--snapshots", kSnapshots});
    return expect(expected, more);
  }

  Filesystem* data_ = nullptr;
};

TEST_F(Snapshots, AreProvenByTheHistoryOrNot) {
  const json inside = hold(0);
  const std::string history = kept_history();
  sleep_for(Milliseconds(250));
  EXPECT_THAT(judge(0, {inside}, {history}).out,
              AllOf(HasSubstr("1 of 1 snapshot taken during a hold: proven"), HasSubstr("snap-inside")));
  EXPECT_THAT(judge(1, {inside, snapshot("snap-late")}, {history}).out, HasSubstr("disproven: in no hold"));
  json other = inside;
  other["VolumeId"] = "vol-other";
  EXPECT_THAT(judge(2, {inside, other}, {history}).out, HasSubstr("no session on record has held this volume"));

  write_text("/srv/etc/verdict.json", judge(1, {inside, snapshot("snap-late")}, {history, "--json"}).out);
  run_tool({"/usr/bin/python3", DLM_FREEZE_SOURCE_DIR "/tests/integration/check-output.py",
            DLM_FREEZE_SOURCE_DIR "/packaging/verify-snapshots.schema.json", "/srv/etc/verdict.json"});

  // Its own history says what its clock is worth.
  EXPECT_THAT(run({"verify", "--snapshots", kSnapshots}).text(), HasSubstr("snap-inside"));
  write_text(history, "");
  EXPECT_THAT(judge(2, {inside}, {history}).out, HasSubstr("no session on record"));
  EXPECT_THAT(judge(2, {inside}, {"/srv/etc/none.jsonl"}).err, HasSubstr("/srv/etc/none.jsonl"));
  write_text(kSnapshots, "{}");
  EXPECT_THAT(expect(2, {"verify", "--snapshots", kSnapshots}).err, HasSubstr("no list of Snapshots"));
}

TEST_F(Snapshots, AreDisprovenWhereTheFilesystemWasThawedInBetween) {
  const json inside = hold(202, [this] {
    EXPECT_TRUE(data_->thaw());
    write_text("/srv/data/between", "x");
    data_->freeze();
  });
  EXPECT_THAT(judge(1, {inside}, {kept_history()}).out, HasSubstr("disproven: its session: something wrote to "));
}

}  // namespace
}  // namespace dlm_freeze::integration
