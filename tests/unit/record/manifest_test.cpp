// SPDX-License-Identifier: Apache-2.0
#include "record/manifest.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

namespace dlm_freeze {
namespace {

using testing::HasSubstr;

Manifest full_manifest() {
  Manifest manifest;
  manifest.program = "dlm-freeze 9.8.7";
  manifest.session_id = "294521c7-0ee9-4f2a-8fe0-9d45253b259b";
  manifest.execution_id = "None";
  manifest.group_id = "shards-1";
  manifest.host = "db1";
  manifest.boot_id = "boot";
  manifest.started_at = WallTime(std::chrono::milliseconds(1'795'986'090'355));
  manifest.started_boot = BootClock::time_point(std::chrono::nanoseconds(123));
  manifest.written_at = manifest.started_at + std::chrono::milliseconds(5);
  manifest.written_boot = manifest.started_boot + std::chrono::milliseconds(5);
  manifest.clock_error = std::chrono::microseconds(250);
  manifest.members = {{"/data", "ext4", "uuid-1", "259:1", {"nvme1n1"}, {"vol-1"}, 1024, "/", ""},
                      {"/M\xc3\xbcller \"x\"", "btrfs", "", "0:43", {"nvme2n1", "nvme3n1"}, {}, 0, "", "read-only"}};
  manifest.not_covered = {{"/scratch", "xfs", "excluded by the configuration", true}};
  manifest.databases = {{"main", "mysql", {{"binary_log_position", "154"}}}};
  return manifest;
}

TEST(Manifest, IsReadBackAsItWasWritten) {
  const Manifest manifest = full_manifest();
  const std::string common = manifest.common_text();
  for (const std::size_t member : {std::size_t{0}, std::size_t{1}}) {
    const auto found = parse_manifest(Manifest::text_for(member, common));
    ASSERT_TRUE(found) << found.error().message;
    EXPECT_EQ(found->member, member);
    EXPECT_EQ(found->common_text, common);
    // What the document says is the whole of it.
    EXPECT_EQ(found->manifest.common_text(), common);
    EXPECT_EQ(found->manifest.started_at, manifest.started_at);
    EXPECT_EQ(found->manifest.clock_error, manifest.clock_error);
  }
}

TEST(Manifest, OfAnUnknownClockSaysSo) {
  Manifest manifest = full_manifest();
  manifest.clock_error.reset();
  const auto found = parse_manifest(Manifest::text_for(0, manifest.common_text()));
  ASSERT_TRUE(found);
  EXPECT_FALSE(found->manifest.clock_error);
}

TEST(Manifest, ThatIsDamagedIsAnErrorThatSaysHow) {
  const std::string text = Manifest::text_for(0, full_manifest().common_text());
  const auto error_of = [](const std::string& damaged) {
    const auto found = parse_manifest(damaged);
    return found ? std::string() : found.error().message;
  };
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string changed = text;
    return changed.replace(changed.find(from), from.size(), to);
  };
  EXPECT_THAT(error_of(""), HasSubstr("the manifest"));
  EXPECT_THAT(error_of(text.substr(0, text.size() / 2)), HasSubstr("the manifest"));
  EXPECT_THAT(error_of("[]"), HasSubstr("is missing or wrong"));
  EXPECT_THAT(error_of(with("\"version\": 1", "\"version\": 2")), HasSubstr("of version 2"));
  EXPECT_THAT(error_of(with("\"session_id\"", "\"session\"")), HasSubstr("'session_id'"));
  EXPECT_THAT(error_of(with("\"uuid\"", "\"u\"")), HasSubstr("'uuid'"));
  EXPECT_THAT(error_of(Manifest::text_for(2, full_manifest().common_text())), HasSubstr("no member 2"));
  EXPECT_THAT(error_of(with("\"member\": 0", "\"member\": -1")), HasSubstr("no member -1"));
  for (const char* path : {"", "data", "/data/", "//data", "/data/../etc", "/./data", "/.."}) {
    EXPECT_THAT(error_of(with("\"mount_point\": \"/data\"", "\"mount_point\": \"" + std::string(path) + "\"")),
                HasSubstr("is no mount point"))
        << path;
  }
  Manifest twice = full_manifest();
  twice.members[1].mount_point = "/data";
  EXPECT_EQ(error_of(Manifest::text_for(0, twice.common_text())), "") << "it is that of a container";
  twice.members[1].directory = "/";
  EXPECT_THAT(error_of(Manifest::text_for(0, twice.common_text())), HasSubstr("is there twice"));
}

}  // namespace
}  // namespace dlm_freeze
