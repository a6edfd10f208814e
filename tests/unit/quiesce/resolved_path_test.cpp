// SPDX-License-Identifier: Apache-2.0
#include "quiesce/resolved_path.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
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

TEST(ExistingPath, IsResolvedOrAnError) {
  const Scratch scratch;
  std::filesystem::create_directory(scratch / "real");
  std::filesystem::create_symlink(scratch / "real", scratch / "link");
  EXPECT_EQ(existing_path(scratch / "link/.").value(), scratch / "real");
  const auto missing = existing_path(scratch / "link/not");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().errno_value, ENOENT);
  EXPECT_EQ(missing.error().message, "cannot look at " + (scratch / "link/not") + ": No such file or directory");
}

TEST(MountsBelow, AreWhereAnotherFilesystemBegins) {
  const Scratch scratch;
  std::filesystem::create_directories(scratch / "a/b");
  std::filesystem::create_directory_symlink("/proc", scratch / "link");
  EXPECT_THAT(mounts_below(scratch.path()), testing::IsEmpty());
  EXPECT_THAT(mounts_below("/"), testing::Contains("/proc"));
  EXPECT_THAT(mounts_below(scratch / "not"), testing::IsEmpty());
}

}  // namespace
}  // namespace dlm_freeze
