// SPDX-License-Identifier: Apache-2.0
#include "dlm_freeze/base/error.hpp"

#include <gtest/gtest.h>

#include <cerrno>

namespace dlm_freeze {
namespace {

TEST(Error, SaysWhatTheSystemCallSaidAndKeepsItsErrno) {
  const Result<void> result = system_failure("cannot open /nowhere", ENOENT);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message, "cannot open /nowhere: No such file or directory");
  EXPECT_EQ(result.error().errno_value, ENOENT);
  EXPECT_EQ(result.error().kind, ErrorKind::failed);
}

TEST(Error, GainsAPhraseALayerAndKeepsItsKind) {
  const Error error{ErrorKind::not_ready, "it starts", EAGAIN};
  const Error outer = error.with_context("mysql");
  EXPECT_EQ(outer.message, "mysql: it starts");
  EXPECT_EQ(outer.kind, ErrorKind::not_ready);
  EXPECT_EQ(outer.errno_value, EAGAIN);
}

TEST(Error, IsOfTheKindFailedUnlessSaidOtherwise) {
  EXPECT_EQ(failure("no").value().kind, ErrorKind::failed);
  EXPECT_EQ(failure("no", ErrorKind::usage).value().kind, ErrorKind::usage);
}

TEST(ErrnoText, HasATextForANumberThatIsNotKnown) { EXPECT_EQ(errno_text(9999), "Unknown error 9999"); }

}  // namespace
}  // namespace dlm_freeze
