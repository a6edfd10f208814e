// SPDX-License-Identifier: Apache-2.0
#include "session/scope.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fakes/scratch.hpp"

namespace dlm_freeze {
namespace {

using testing::HasSubstr;

TEST(SessionScope, IsForHostsOnWhichSystemdIsTheInit) {
  const fakes::Scratch scratch;
  EXPECT_TRUE(host_runs_systemd(scratch / ""));
  EXPECT_FALSE(host_runs_systemd(scratch / "run/systemd/system"));
}

TEST(SessionScope, IsNamedAfterTheWatchdogAndHoldsTheSentinelToo) {
  const auto moved = move_to_own_scope(DLM_FREEZE_FAKE_SCOPE_MODULES, {12, 34});
  ASSERT_FALSE(moved);
  EXPECT_EQ(moved.error().message,
            "systemd refused to create a scope: dlm-freeze-12.scope with 12 and 34 in 250000 us");
}

TEST(SessionScope, WithoutItsModuleIsAFailureThatNamesTheFile) {
  const fakes::Scratch scratch;
  const auto moved = move_to_own_scope(scratch / "none", {12, 34});
  ASSERT_FALSE(moved);
  EXPECT_THAT(moved.error().message, HasSubstr(scratch / "none/systemd-scope.so"));
}

}  // namespace
}  // namespace dlm_freeze
