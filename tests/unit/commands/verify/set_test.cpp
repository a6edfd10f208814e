// SPDX-License-Identifier: Apache-2.0
#include "commands/verify/set.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

namespace dlm_freeze {
namespace {

using testing::HasSubstr;

constexpr const char* kSession = "11111111-0000-0000-0000-000000000000";
constexpr const char* kOther = "22222222-0000-0000-0000-000000000000";

Manifest manifest(const std::string& session_id) {
  Manifest manifest;
  manifest.session_id = session_id;
  manifest.host = "db1";
  manifest.members = {{"/a", "ext4", "uuid-a", "259:1", {}, {"vol-a"}, 1, "/", ""},
                      {"/b", "xfs", "uuid-b", "259:2", {}, {"vol-b"}, 1, "/", ""},
                      {"/c", "xfs", "uuid-c", "259:3", {}, {"vol-c"}, 1, "", "its root directory belongs to uid 112"}};
  return manifest;
}

Candidate found(const std::string& path, const std::string& uuid, const Manifest& manifest, std::size_t member) {
  return {path, uuid, parse_manifest(Manifest::text_for(member, manifest.common_text()))};
}

Candidate without(const std::string& path, const std::string& uuid, int error = ENOENT) {
  return {path, uuid, tl::unexpected(Error{ErrorKind::failed, "has no manifest", error})};
}

/// Without /c, which has none by rule.
Manifest two_of(const std::string& session_id) {
  Manifest two = manifest(session_id);
  two.members.pop_back();
  return two;
}

TEST(VerifySet, OfAllFilesystemsOfOneSessionIsGood) {
  const Manifest two = two_of(kSession);
  const auto set = verify_set({found("/r/b", "uuid-b", two, 1), found("/r/a", "uuid-a", two, 0)});
  ASSERT_TRUE(set);
  EXPECT_EQ(set->proof(), Proof::good);
  EXPECT_EQ(set->members[0].path, "/r/a");
  EXPECT_EQ(set->members[1].path, "/r/b");
}

TEST(VerifySet, CannotTellWhichOfSeveralManifestsIsMeant) {
  const auto set = verify_set({found("/r/a", "uuid-a", two_of(kSession), 0), without("/r/b", "uuid-b", ENOTUNIQ)});
  ASSERT_TRUE(set);
  EXPECT_EQ(set->members[1].proof, Proof::unchecked);
  const auto none = verify_set({without("/r/b", "uuid-b", ENOTUNIQ)});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind, ErrorKind::not_ready);
}

TEST(VerifySet, NamesWhatIsMissing) {
  const auto set = verify_set({found("/r/a", "uuid-a", two_of(kSession), 0)});
  ASSERT_TRUE(set);
  EXPECT_EQ(set->proof(), Proof::bad);
  EXPECT_EQ(set->members[1].why, "missing");
}

TEST(VerifySet, NamesWhatIsOfAnotherSession) {
  Manifest older = two_of(kOther);
  Manifest newer = two_of(kSession);
  newer.started_at = older.started_at + std::chrono::hours(24);
  const auto set = verify_set({found("/r/b", "uuid-b", older, 1), found("/r/a", "uuid-a", newer, 0)});
  ASSERT_TRUE(set);
  EXPECT_EQ(set->session.session_id, kSession) << "the later of two that are as many";
  EXPECT_EQ(set->members[1].why, "missing");
  ASSERT_EQ(set->members.size(), 3U);
  EXPECT_EQ(set->members[2].path, "/r/b");
  EXPECT_THAT(set->members[2].why, HasSubstr(kOther));
}

TEST(VerifySet, FindsAManifestThatWasAltered) {
  Manifest altered = two_of(kSession);
  altered.members[1].uuid = "uuid-x";
  const auto set = verify_set({found("/r/a", "uuid-a", two_of(kSession), 0), found("/r/b", "uuid-x", altered, 1)});
  ASSERT_TRUE(set);
  EXPECT_EQ(set->proof(), Proof::bad);
  EXPECT_THAT(set->members.back().why, HasSubstr("altered"));
}

TEST(VerifySet, FindsAManifestThatWasCopiedToAnotherFilesystem) {
  const Manifest two = two_of(kSession);
  const auto set = verify_set({found("/r/a", "uuid-a", two, 0), found("/r/b", "uuid-x", two, 1)});
  ASSERT_TRUE(set);
  EXPECT_EQ(set->members[1].proof, Proof::bad);
  EXPECT_THAT(set->members[1].why, HasSubstr("uuid-x"));
}

TEST(VerifySet, FindsAFilesystemThatIsThereTwice) {
  const Manifest two = two_of(kSession);
  const auto set =
      verify_set({found("/r/a", "uuid-a", two, 0), found("/r/b", "uuid-b", two, 1), found("/r/a2", "uuid-a", two, 0)});
  ASSERT_TRUE(set);
  EXPECT_EQ(set->proof(), Proof::bad);
  EXPECT_THAT(set->members.back().why, HasSubstr("the same filesystem as /r/a"));
}

TEST(VerifySet, NeverTakesWhatItCannotTellForGood) {
  const Manifest all = manifest(kSession);
  const Candidate a = found("/r/a", "uuid-a", all, 0);
  const Candidate b = found("/r/b", "uuid-b", all, 1);
  EXPECT_EQ(verify_set({a, b})->members[2].why, "missing");
  const auto by_rule = verify_set({a, b, without("/r/c", "uuid-c")});
  EXPECT_EQ(by_rule->proof(), Proof::unchecked);
  EXPECT_THAT(by_rule->members[2].why, HasSubstr("belongs to uid 112"));
  const auto unknown = verify_set({a, found("/r/b", "", all, 1), without("/r/c", "uuid-c")});
  EXPECT_EQ(unknown->proof(), Proof::unchecked);
  // It should have one.
  const Manifest two = two_of(kSession);
  EXPECT_EQ(verify_set({found("/r/a", "uuid-a", two, 0), without("/r/b", "uuid-b")})->proof(), Proof::bad);
  EXPECT_EQ(verify_set({found("/r/a", "uuid-a", two, 0), without("/r/b", "uuid-b", EACCES)})->proof(), Proof::bad);
}

TEST(VerifySet, WithoutAnyManifestIsAnError) {
  EXPECT_EQ(verify_set({without("/r/a", "uuid-a")}).error().kind, ErrorKind::not_ready);
  EXPECT_EQ(verify_set({without("/r/a", "uuid-a"), without("/r/b", "uuid-b", EACCES)}).error().kind, ErrorKind::failed);
}

}  // namespace
}  // namespace dlm_freeze
