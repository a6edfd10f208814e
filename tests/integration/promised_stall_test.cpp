// SPDX-License-Identifier: Apache-2.0
// max_stall_seconds, with writers: of a database that takes its time, and of a filesystem.
#include <gmock/gmock.h>

#include <string>

#include "harness/host_test.hpp"

namespace dlm_freeze::integration {
namespace {

using testing::HasSubstr;

class PromisedStall : public HostTest {
 protected:
  static constexpr const char* kSlow = R"({"auto_thaw_seconds": 20, "max_stall_seconds": 0.3, "quiescers": [
    {"type": "command", "name": "slow", "freeze": ["/bin/sleep", "3"], "thaw": ["/bin/touch", "/run/released"]}]})";
};

TEST_F(PromisedStall, UndoesWhatADatabaseHoldsUp) {
  configure(kSlow);
  const auto& data = add("ext4", "/srv/data");
  const Writer writer(data);
  const auto result = expect(206, {"pre-script"});
  EXPECT_THAT(result.err, HasSubstr("max_stall_seconds"));
  EXPECT_THAT(result.err, HasSubstr("quiesce the databases"));
  EXPECT_THAT(result.err, HasSubstr("dirty on this host"));
  EXPECT_LT(result.run_time(), std::chrono::seconds(3)) << "the program was waited for";
  EXPECT_TRUE(writable(data));
  EXPECT_TRUE(writer.goes_on());
  expect(205, {"post-script"});
}

TEST_F(PromisedStall, ThatIsKeptIsShown) {
  configure(R"({"auto_thaw_seconds": 20, "max_stall_seconds": 5, "quiescers": []})");
  const auto& data = add("ext4", "/srv/data");
  expect(0, {"pre-script"});
  EXPECT_TRUE(frozen(data));
  const auto status = expect(0, {"status"});
  EXPECT_THAT(status.out, HasSubstr("stall: 0."));
  EXPECT_THAT(status.out, HasSubstr("FREEZE TOOK"));
  EXPECT_THAT(expect(0, {"status", "--json"}).out, HasSubstr("\"stall_seconds\""));
  expect(0, {"post-script"});
  EXPECT_THAT(expect(0, {"history"}).out, HasSubstr("STALL"));
}

}  // namespace
}  // namespace dlm_freeze::integration
