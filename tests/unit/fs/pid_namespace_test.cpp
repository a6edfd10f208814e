// SPDX-License-Identifier: Apache-2.0
#include "fs/pid_namespace.hpp"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <functional>

#include "fakes/processes.hpp"

namespace dlm_freeze {
namespace {

using fakes::in_child;

int answer() { return ends_with_caller() ? 1 : 0; }

/// What `body` gives in the first process of a PID namespace of its own.
int in_namespace(const std::function<int()>& body) {
  return in_child([&] {
    if (::unshare(CLONE_NEWPID) != 0) return 99;
    return in_child(body);
  });
}

TEST(PidNamespace, OfTheHostDoesNotEndWithACaller) { EXPECT_EQ(in_child(answer), 0); }

class OwnPidNamespace : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs unshare";
  }
};

TEST_F(OwnPidNamespace, EndsWithItsFirstProcess) { EXPECT_EQ(in_namespace(answer), 1); }

TEST_F(OwnPidNamespace, EndsWithTheJobOfItsFirstProcess) {
  EXPECT_EQ(in_namespace([] { return in_child(answer); }), 1) << "of the session and group outside";
  const auto leads = [](const std::function<int()>& body) {
    return in_namespace([&] { return ::setsid() < 0 ? 98 : in_child(body); });
  };
  EXPECT_EQ(leads(answer), 1) << "of its own session and group";
  EXPECT_EQ(leads([] { return in_child(answer); }), 1);
  EXPECT_EQ(leads([] { return ::setsid() < 0 ? 97 : answer(); }), 0) << "a service";
}

}  // namespace
}  // namespace dlm_freeze
