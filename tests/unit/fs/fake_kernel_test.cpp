// SPDX-License-Identifier: Apache-2.0
// The rules of the kernel that FakeKernel keeps; tests/integration shows on loop devices that these are Linux's.
#include "fakes/fake_kernel.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

#include "fakes/processes.hpp"

namespace dlm_freeze {
namespace {

using fakes::eventually;
using fakes::FakeKernel;
using Call = FakeKernel::Call;

class FakeKernels : public testing::Test {
 protected:
  FakeKernel kernel_;
  FakeKernel::Id one_ = 0;
  FakeKernel::Id two_ = 0;
  UniqueFd fd_of_one_ = kernel_.add(one_);
  UniqueFd fd_of_two_ = kernel_.add(two_);
};

TEST_F(FakeKernels, RefuseASecondFreezeAndASecondThaw) {
  EXPECT_EQ(kernel_.thaw(fd_of_one_.get()), EINVAL);
  EXPECT_EQ(kernel_.freeze(fd_of_one_.get()), 0);
  EXPECT_EQ(kernel_.freeze(fd_of_one_.get()), EBUSY);
  EXPECT_EQ(kernel_.freeze(fd_of_two_.get()), 0);
  EXPECT_EQ(kernel_.thaw(fd_of_one_.get()), 0);
  EXPECT_EQ(kernel_.thaw(fd_of_one_.get()), EINVAL);
  EXPECT_TRUE(kernel_.is_frozen(two_));
}

TEST_F(FakeKernels, TakeEveryDescriptorOfAFilesystemForIt) {
  const UniqueFd again(::dup(fd_of_one_.get()));
  EXPECT_EQ(kernel_.freeze(again.get()), 0);
  EXPECT_EQ(kernel_.freeze(fd_of_one_.get()), EBUSY);
  EXPECT_EQ(kernel_.freeze(-1), EBADF);
  EXPECT_EQ(kernel_.freeze(0), EBADF);
}

TEST_F(FakeKernels, LetAThawWaitForTheFreezeThatIsUnderWay) {
  kernel_.hang(one_, Call::freeze);
  std::thread freezing([&] { EXPECT_EQ(kernel_.freeze(fd_of_one_.get()), 0); });
  ASSERT_TRUE(eventually([&] { return kernel_.begun(one_, Call::freeze) == 1; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  std::thread thawing([&] { EXPECT_EQ(kernel_.thaw(fd_of_one_.get()), 0); });
  ASSERT_TRUE(eventually([&] { return kernel_.begun(one_, Call::thaw) == 1; }));
  kernel_.let_go(one_, Call::freeze);
  freezing.join();
  thawing.join();
  EXPECT_FALSE(kernel_.is_frozen(one_));
}

TEST_F(FakeKernels, LetTheUpperFilesystemWaitForTheLowerOne) {
  kernel_.lay(one_, two_);
  EXPECT_EQ(kernel_.freeze(fd_of_two_.get()), 0);
  std::thread freezing([&] { EXPECT_EQ(kernel_.freeze(fd_of_one_.get()), 0); });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_FALSE(kernel_.is_frozen(one_));
  EXPECT_EQ(kernel_.thaw(fd_of_two_.get()), 0);
  freezing.join();
  EXPECT_TRUE(kernel_.is_frozen(one_));
}

TEST_F(FakeKernels, GoOnWhenACallerIsKilledInTheMiddle) {
  kernel_.hang(one_, Call::freeze);
  const pid_t child = fakes::start_child([&] { return kernel_.freeze(fd_of_one_.get()); });
  ASSERT_TRUE(eventually([&] { return kernel_.begun(one_, Call::freeze) == 1; }));
  ::kill(child, SIGKILL);
  ASSERT_EQ(fakes::status_of(child), 128 + SIGKILL);
  kernel_.let_go(one_, Call::freeze);
  EXPECT_EQ(kernel_.freeze(fd_of_one_.get()), 0);
}

}  // namespace
}  // namespace dlm_freeze
