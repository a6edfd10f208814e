// SPDX-License-Identifier: Apache-2.0
#include "dlm_freeze/base/unique_fd.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <type_traits>
#include <utility>

namespace dlm_freeze {
namespace {

int open_null() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

TEST(UniqueFd, OwnsNothingUnlessToldTo) {
  const UniqueFd none;
  EXPECT_FALSE(none);
  EXPECT_EQ(none.get(), -1);
}

TEST(UniqueFd, TakesZeroForADescriptor) {
  UniqueFd zero(0);
  EXPECT_TRUE(zero);
  EXPECT_EQ(zero.release(), 0);
}

TEST(UniqueFd, ClosesWhatItOwns) {
  const int fd = open_null();
  {
    const UniqueFd owner(fd);
    EXPECT_TRUE(owner);
    EXPECT_EQ(owner.get(), fd);
    EXPECT_TRUE(is_open(fd));
  }
  EXPECT_FALSE(is_open(fd));
}

TEST(UniqueFd, LeavesNothingBehindWhereItWasMovedFrom) {
  UniqueFd from(open_null());
  const int fd = from.get();
  UniqueFd to(std::move(from));
  EXPECT_EQ(to.get(), fd);
  EXPECT_FALSE(from);  // NOLINT(bugprone-use-after-move): that is what is tested.
  from.reset();
  EXPECT_TRUE(is_open(fd));
}

TEST(UniqueFd, ClosesALiveDescriptorThatIsAssignedOver) {
  UniqueFd to(open_null());
  UniqueFd from(open_null());
  const int old = to.get();
  const int kept = from.get();
  to = std::move(from);
  EXPECT_FALSE(is_open(old));
  EXPECT_TRUE(is_open(kept));
  EXPECT_EQ(to.get(), kept);
  EXPECT_FALSE(from);  // NOLINT(bugprone-use-after-move)
}

TEST(UniqueFd, SurvivesBeingAssignedToItself) {
  UniqueFd fd(open_null());
  UniqueFd& itself = fd;
  fd = std::move(itself);
  EXPECT_TRUE(is_open(fd.get()));
}

TEST(UniqueFd, GivesUpWhatItReleases) {
  UniqueFd owner(open_null());
  const int fd = owner.release();
  EXPECT_FALSE(owner);
  EXPECT_TRUE(is_open(fd));
  ::close(fd);
}

TEST(UniqueFd, KeepsErrnoWhenItCloses) {
  UniqueFd bad(1'000'000);  // Closing it fails with EBADF.
  errno = ENOSPC;
  bad.reset();
  EXPECT_EQ(errno, ENOSPC);
  EXPECT_FALSE(bad);
}

TEST(UniqueFd, IsNeitherCopiedNorMadeOutOfANumberBySurprise) {
  static_assert(!std::is_copy_constructible_v<UniqueFd>);
  static_assert(!std::is_copy_assignable_v<UniqueFd>);
  static_assert(!std::is_convertible_v<int, UniqueFd>);
  static_assert(!std::is_convertible_v<UniqueFd, int>);
  static_assert(!std::is_convertible_v<UniqueFd, bool>);
  static_assert(std::is_nothrow_move_constructible_v<UniqueFd>);
}

}  // namespace
}  // namespace dlm_freeze
