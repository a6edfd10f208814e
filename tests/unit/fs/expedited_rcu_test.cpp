// SPDX-License-Identifier: Apache-2.0
#include "fs/expedited_rcu.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fakes/scratch.hpp"

namespace dlm_freeze {
namespace {

using fakes::content_of;
using fakes::Scratch;

TEST(ExpeditedRcu, LastsFromBeginToEnd) {
  const Scratch scratch;
  const std::string path = scratch.write("rcu_expedited", "0\n");
  ExpeditedRcu rcu = ExpeditedRcu::open(path);
  EXPECT_EQ(content_of(path), "0\n");
  rcu.begin();
  EXPECT_EQ(content_of(path), "7\n");
  rcu.end();
  EXPECT_EQ(content_of(path), "0\n");
}

TEST(ExpeditedRcu, IsEndedByWhoeverIsLeft) {
  const Scratch scratch;
  const std::string path = scratch.write("rcu_expedited", "0\n");
  ExpeditedRcu rcu = ExpeditedRcu::open(path);
  const pid_t child = ::fork();
  if (child == 0) {
    rcu.begin();
    ::_exit(0);
  }
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_EQ(content_of(path), "7\n");
  rcu.end();
  EXPECT_EQ(content_of(path), "0\n");
}

TEST(ExpeditedRcu, IsPutBackWhereOneThatWasKilledLeftIt) {
  const Scratch scratch;
  const std::string path = scratch.write("rcu_expedited", "7\n");
  EXPECT_NE(ExpeditedRcu::open(path).fd(), -1);
  EXPECT_EQ(content_of(path), "0\n");
}

TEST(ExpeditedRcu, IsEndedOnlyWhereItWasBegun) {
  const Scratch scratch;
  const std::string path = scratch.write("rcu_expedited", "0\n");
  ExpeditedRcu rcu = ExpeditedRcu::open(path);
  scratch.write("rcu_expedited", "1\n");  // An administrator, meanwhile.
  rcu.end();
  EXPECT_EQ(content_of(path), "1\n");
}

TEST(ExpeditedRcu, LeavesAloneWhatIsSetAlreadyOrIsNotThere) {
  const Scratch scratch;
  const std::string path = scratch.write("rcu_expedited", "1\n");
  ExpeditedRcu rcu = ExpeditedRcu::open(path);
  rcu.begin();
  rcu.end();
  EXPECT_EQ(content_of(path), "1\n");
  ExpeditedRcu absent = ExpeditedRcu::open(scratch / "absent");
  EXPECT_EQ(absent.fd(), -1);
  absent.begin();
  absent.end();
  EXPECT_EQ(content_of(scratch / "absent"), "");
}

}  // namespace
}  // namespace dlm_freeze
