// SPDX-License-Identifier: Apache-2.0
#include "quiesce/resolved_path.hpp"

#include <gtest/gtest.h>

#include <filesystem>

#include "fakes/scratch.hpp"

namespace dlm_freeze {
namespace {

using fakes::Scratch;

TEST(ResolvedPath, FollowsLinksAsFarAsThePathExists) {
  const Scratch scratch;
  std::filesystem::create_directory(scratch / "real");
  std::filesystem::create_symlink(scratch / "real", scratch / "link");
  EXPECT_EQ(resolved_path(scratch / "link"), scratch / "real");
  EXPECT_EQ(resolved_path(scratch / "link/"), scratch / "real");
  EXPECT_EQ(resolved_path(scratch / "link/not/there/"), scratch / "real/not/there");
  EXPECT_EQ(resolved_path("/"), "/");
}

TEST(ResolvedPath, LeavesAloneWhatCannotBeResolved) {
  const Scratch scratch;
  std::filesystem::create_symlink(scratch / "loop", scratch / "loop");
  EXPECT_EQ(resolved_path(scratch / "loop/x"), scratch / "loop/x");
}

}  // namespace
}  // namespace dlm_freeze
