// SPDX-License-Identifier: Apache-2.0
// What each process of a session may do, as the kernel tells it; docs/security.md has the lists.
#include <gmock/gmock.h>
#include <linux/capability.h>

#include <cstdint>
#include <initializer_list>
#include <string>

#include "harness/host_test.hpp"

namespace dlm_freeze::integration {
namespace {

/// The fields of a /proc/PID/status that tell it.
struct Rights {
  std::uint64_t effective = 0;
  std::uint64_t permitted = 0;
  std::uint64_t bounding = 0;
  bool gains_none = false;   ///< By an exec.
  bool is_filtered = false;  ///< Its system calls.
};

class PrivilegesWhile : public HostTest {
 protected:
  [[nodiscard]] Rights rights_of(const std::string& name) const {
    const std::string status = read_text("/proc/" + std::to_string(process(name).pid()) + "/status");
    const auto field = [&](const std::string& key) {
      const std::size_t begin = status.find(key + ":\t") + key.size() + 2;
      return status.substr(begin, status.find('\n', begin) - begin);
    };
    const auto set = [&](const std::string& key) { return std::stoull(field(key), nullptr, 16); };
    return {set("CapEff"), set("CapPrm"), set("CapBnd"), field("NoNewPrivs") == "1", field("Seccomp") == "2"};
  }

  /// Of those that this test has itself.
  [[nodiscard]] static std::uint64_t set_of(std::initializer_list<int> capabilities) {
    std::uint64_t set = 0;
    for (const int capability : capabilities) set |= std::uint64_t{1} << static_cast<unsigned>(capability);
    return set;
  }
};

TEST_F(PrivilegesWhile, AFreezeHangsAreThoseToFreezeForTheFreezer) {
  add("ext4", "/srv/other");
  auto& backing = add("ext4", "/srv/backing");
  auto& hanging = add({.type = "ext4", .mount_point = "/srv/hanging", .image_directory = "/srv/backing/images"});
  configure(R"({"quiescers": [], "auto_thaw_seconds": 20, "filesystems": {"exclude": ["/srv/backing"]}})");
  hanging.sync();
  backing.sync();
  backing.freeze();
  const auto pre = start({"pre-script", "--timeout", "3"});
  ASSERT_TRUE(eventually([&] { return agent_process(binary(), "dlm-freezer").has_value(); }, std::chrono::seconds(3)));
  EXPECT_TRUE(eventually([&] { return rights_of("dlm-freezer").is_filtered; }, std::chrono::seconds(2)));
  const Rights freezer = rights_of("dlm-freezer");
  EXPECT_EQ(freezer.effective, set_of({CAP_SYS_ADMIN}));
  EXPECT_EQ(freezer.permitted, set_of({CAP_SYS_ADMIN}));
  EXPECT_EQ(freezer.bounding, set_of({CAP_SYS_ADMIN}));
  EXPECT_TRUE(freezer.gains_none);
  EXPECT_EQ(pre->wait().exit_code, 201);
  EXPECT_TRUE(backing.thaw());
  EXPECT_TRUE(all_gone());
}

}  // namespace
}  // namespace dlm_freeze::integration
