// SPDX-License-Identifier: Apache-2.0
#include "quiesce/entry.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>

#include "dlm_freeze/base/files.hpp"
#include "quiesce/id_map.hpp"

namespace dlm_freeze {
namespace {

using testing::ElementsAre;

constexpr const char* kStatus =
    "Name:\tpostgres\nUmask:\t0077\nState:\tS (sleeping)\nUid:\t1\t999\t2\t3\nGid:\t4\t998\t5\t6\nFDSize:\t64\n"
    "Groups:\t27 998 \nNSpid:\t500\t1\nCapInh:\t0000000000000001\nCapPrm:\t0000000000000002\n"
    "CapEff:\t0000000000000004\nCapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000008\nNoNewPrivs:\t1\nSeccomp:\t2\n";

TEST(ProcessRightsOfAStatus, AreThoseInEffect) {
  const auto rights = parse_rights(kStatus);
  ASSERT_TRUE(rights);
  EXPECT_EQ(rights->uid, 999U);
  EXPECT_EQ(rights->gid, 998U);
  EXPECT_THAT(rights->groups, ElementsAre(27U, 998U));
  EXPECT_EQ(rights->inheritable, 1U);
  EXPECT_EQ(rights->permitted, 2U);
  EXPECT_EQ(rights->effective, 4U);
  EXPECT_EQ(rights->bounding, 0xa80425fbU);
  EXPECT_EQ(rights->ambient, 8U);
  EXPECT_TRUE(rights->gains_none);
  EXPECT_TRUE(rights->is_filtered);
}

TEST(ProcessRightsOfAStatus, AreNotGuessed) {
  const std::string status = kStatus;
  EXPECT_FALSE(parse_rights(""));
  for (const char* key : {"Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd"}) {
    std::string without = status;
    without.replace(without.find(std::string("\n") + key + ":") + 1, 1, "X");
    EXPECT_FALSE(parse_rights(without)) << key;
  }
  std::string unreadable = status;
  unreadable.replace(unreadable.find("00000000a80425fb"), 16, "all of them     ");
  EXPECT_FALSE(parse_rights(unreadable));
}

TEST(Labels, OfSelinuxAreWrittenAsTheyAreAndOfApparmorAsACommand) {
  EXPECT_EQ(label_for_exec("system_u:system_r:container_t:s0:c1,c2"), "system_u:system_r:container_t:s0:c1,c2");
  EXPECT_EQ(label_for_exec("docker-default (enforce)"), "exec docker-default");
  EXPECT_EQ(label_for_exec("cri-containerd.apparmor.d (complain)"), "exec cri-containerd.apparmor.d");
  EXPECT_EQ(label_for_exec("unconfined"), "exec unconfined");
}

TEST(ProcessLimits, AreReadByTheirNames) {
  const auto limits = parse_limits(
      "Limit                     Soft Limit           Hard Limit           Units     \n"
      "Max cpu time              unlimited            unlimited            seconds   \n"
      "Max open files            1024                 524288               files     \n"
      "Max something new         1                    2                    things    \n"
      "Max nice priority         0                    0                    \n");
  ASSERT_EQ(limits.size(), 3U);
  EXPECT_EQ(limits[0].resource, RLIMIT_CPU);
  EXPECT_EQ(limits[0].limit.rlim_cur, RLIM_INFINITY);
  EXPECT_EQ(limits[1].resource, RLIMIT_NOFILE);
  EXPECT_EQ(limits[1].limit.rlim_cur, 1024U);
  EXPECT_EQ(limits[1].limit.rlim_max, 524288U);
  EXPECT_EQ(limits[2].resource, RLIMIT_NICE);
  EXPECT_EQ(parse_limits(read_file("/proc/self/limits").value()).size(), std::size_t{RLIM_NLIMITS}) << "of this kernel";
  EXPECT_TRUE(parse_limits("").empty());
}

TEST(NumericAccounts, AreTwoNumbersAndNothingElse) {
  const auto account = parse_numeric_account("33:34");
  ASSERT_TRUE(account);
  EXPECT_EQ(account->uid, 33U);
  EXPECT_EQ(account->gid, 34U);
  for (const char* text :
       {"", "33", ":", "33:", ":34", "root", "root:root", "-1:0", "33:34:35", "4294967295:0", " 1:1"})
    EXPECT_FALSE(parse_numeric_account(text)) << text;
}

TEST(IdMaps, TellBothWaysWithinTheirRanges) {
  constexpr const char* kMap = "         0     100000      65536\n     70000       1000          1\n";
  EXPECT_EQ(id_outside(kMap, 0), 100000U);
  EXPECT_EQ(id_outside(kMap, 999), 100999U);
  EXPECT_EQ(id_outside(kMap, 65535), 165535U);
  EXPECT_FALSE(id_outside(kMap, 65536));
  EXPECT_EQ(id_outside(kMap, 70000), 1000U);
  EXPECT_EQ(id_inside(kMap, 100999), 999U);
  EXPECT_EQ(id_inside(kMap, 1000), 70000U);
  EXPECT_FALSE(id_inside(kMap, 0));
  EXPECT_FALSE(id_outside("", 0));
  constexpr const char* kAll = "         0          0 4294967295\n";
  EXPECT_EQ(id_outside(kAll, 4294967294U), 4294967294U);
}

TEST(EntryImage, IsThisProgramAndCannotBeChanged) {
  const auto image = entry_image();
  ASSERT_TRUE(image) << image.error().message;
  struct stat copy {};
  struct stat program {};
  ASSERT_EQ(::fstat(image->get(), &copy), 0);
  ASSERT_EQ(::stat("/proc/self/exe", &program), 0);
  EXPECT_EQ(copy.st_size, program.st_size);
  std::array<char, 4> magic{};
  EXPECT_EQ(::pread(image->get(), magic.data(), magic.size(), 0), 4);
  EXPECT_EQ(std::string(magic.data(), magic.size()), "\177ELF");

  const UniqueFd again(::open(("/proc/self/fd/" + std::to_string(image->get())).c_str(), O_RDWR | O_CLOEXEC));
  for (const int fd : {image->get(), again.get()}) {
    EXPECT_EQ(::pwrite(fd, "x", 1, 0), -1);
    EXPECT_EQ(errno, fd < 0 ? EBADF : EPERM);
    EXPECT_EQ(::ftruncate(fd, 0), -1);
    EXPECT_EQ(::fcntl(fd, F_ADD_SEALS, 0), -1);
  }
}

TEST(Entrants, AreKnownByTheirNameAlone) {
  Program program{{"/bin/hold", "a b"}, {}, "33:34"};
  program.place = ProgramPlace{1234, 567, "docker container 3f2a1b2c3d4e"};
  EXPECT_THAT(entrant_arguments(program), ElementsAre("dlm-entrant", "1234", "567", "docker container 3f2a1b2c3d4e",
                                                      "33:34", "run", "/bin/hold", "a b"));
  program.place->only_check = true;
  EXPECT_EQ(entrant_arguments(program)[5], "check");
  std::string entrant = "dlm-entrant";
  std::string other = "/usr/bin/dlm-freeze";
  std::array<char*, 2> words = {entrant.data(), nullptr};
  EXPECT_TRUE(is_entrant(1, words.data()));
  words[0] = other.data();
  EXPECT_FALSE(is_entrant(1, words.data()));
  EXPECT_FALSE(is_entrant(0, nullptr));
}

}  // namespace
}  // namespace dlm_freeze
