// SPDX-License-Identifier: Apache-2.0
#include "session/stage_run.hpp"

#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "fakes/processes.hpp"

namespace dlm_freeze {
namespace {

StageContext context() { return {Deadline::in(fakes::kSoon), -1, "None", nullptr, {}}; }

bool is_finished(const StageRun& run) {
  pollfd event = {run.fd(), POLLIN, 0};
  return ::poll(&event, 1, 0) > 0;
}

TEST(StageRun, RunsOneStepForEachAtTheSameTime) {
  std::atomic<int> there{0};
  auto run = StageRun::start({0, 1, 2}, context(), [&](std::size_t, StageContext&) -> Result<void> {
    ++there;
    while (there.load() < 3) std::this_thread::yield();
    return {};
  });
  ASSERT_TRUE(run);
  EXPECT_TRUE(run->wait(Deadline::in(fakes::kSoon)));
  EXPECT_EQ(run->take().size(), 3U);
}

TEST(StageRun, IsFinishedAtOnceWithoutAnySteps) {
  auto run = StageRun::start({}, context(), [](std::size_t, StageContext&) -> Result<void> { return {}; });
  ASSERT_TRUE(run);
  EXPECT_TRUE(is_finished(*run));
  EXPECT_TRUE(run->wait(Deadline::in(std::chrono::seconds(0))));
  EXPECT_TRUE(run->take().empty());
}

TEST(StageRun, GivesEachResultAndItsNotesByIndex) {
  auto run = StageRun::start({4, 7}, context(), [](std::size_t index, StageContext& stage) -> Result<void> {
    stage.notes.push_back({LogLevel::info, "note " + std::to_string(index)});
    if (index == 7) return failure("seven", ErrorKind::not_ready);
    return {};
  });
  ASSERT_TRUE(run);
  ASSERT_TRUE(run->wait(Deadline::in(fakes::kSoon)));
  const auto findings = run->take();
  ASSERT_EQ(findings.size(), 2U);
  EXPECT_EQ(findings[0].index, 4U);
  EXPECT_TRUE(findings[0].result);
  EXPECT_EQ(findings[0].notes.at(0).text, "note 4");
  EXPECT_EQ(findings[1].index, 7U);
  EXPECT_EQ(findings[1].result.error().kind, ErrorKind::not_ready);
}

TEST(StageRun, TellsAllToGiveUp) {
  auto run = StageRun::start({0, 1}, context(), [](std::size_t, StageContext& stage) -> Result<void> {
    pollfd event = {stage.cancel_fd, POLLIN, 0};
    return ::poll(&event, 1, -1) > 0 ? Result<void>(failure("cancelled")) : Result<void>();
  });
  ASSERT_TRUE(run);
  EXPECT_FALSE(run->wait(Deadline::in(std::chrono::milliseconds(20))));
  EXPECT_FALSE(is_finished(*run));
  run->cancel();
  EXPECT_TRUE(run->wait(Deadline::in(fakes::kSoon)));
  for (const auto& finding : run->take()) EXPECT_FALSE(finding.result);
}

TEST(StageRun, GivesItsContextToEach) {
  StageContext given = context();
  given.execution_id = "id";
  given.coverage = [](const std::string& path) { return Coverage{true, path, "why"}; };
  auto run = StageRun::start({0}, given, [](std::size_t, StageContext& stage) -> Result<void> {
    if (stage.execution_id != "id" || stage.coverage("/x").mount_point != "/x" || stage.cancel_fd < 0)
      return failure("no");
    return {};
  });
  ASSERT_TRUE(run);
  ASSERT_TRUE(run->wait(Deadline::in(fakes::kSoon)));
  EXPECT_TRUE(run->take().at(0).result);
}

}  // namespace
}  // namespace dlm_freeze
