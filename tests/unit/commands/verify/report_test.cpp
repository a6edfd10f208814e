// SPDX-License-Identifier: Apache-2.0
#include "commands/verify/report.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dlm_freeze {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

VerifyReport report_of(const std::vector<Check>& checks, Proof member = Proof::good) {
  VerifyReport report;
  report.set.session.session_id = "294521c7-0ee9-4f2a-8fe0-9d45253b259b";
  report.set.members.push_back({"/data", "uuid", {"vol-1"}, "/dev/a", member, ""});
  report.checks = checks;
  report.is_checked = true;
  return report;
}

TEST(VerifyReport, IsAsGoodAsItsWorstPart) {
  EXPECT_EQ(report_of({{"/data", "as frozen", {}}}).proof(), Proof::good);
  EXPECT_EQ(report_of({{"/data", "as frozen", {}}, {"db", "start", unchecked("no server")}}).proof(), Proof::unchecked);
  EXPECT_EQ(report_of({{"db", "start", unchecked("no server")}, {"db", "canary", bad("7")}}).proof(), Proof::bad);
  EXPECT_EQ(report_of({{"/data", "as frozen", {}}}, Proof::bad).proof(), Proof::bad);
  EXPECT_EQ(report_of({{"/data", "as frozen", {}}}, Proof::unchecked).proof(), Proof::unchecked);
}

TEST(VerifyReport, BeginsWithTheVerdictAndWhatItIsFor) {
  EXPECT_THAT(to_text(report_of({{"/data", "as frozen", {}, 0.25}})),
              AllOf(StartsWith("GOOD: 1 filesystem of one session, 1 check"), Not(HasSubstr("Not checked"))));
  EXPECT_THAT(to_text(report_of({{"/data", "as frozen", {}}, {"db", "start", bad("it ended")}})),
              AllOf(StartsWith("BAD: db (start).\n"), HasSubstr("bad: it ended")));
  EXPECT_THAT(to_text(report_of({{"db", "start", unchecked("no server")}})),
              StartsWith("UNCHECKED, at least in part: db (start)."));
}

TEST(VerifyReport, IsAJUnitFileThatNoTextBreaks) {
  const std::string text =
      to_junit(report_of({{"a<b", "x & \"y\"", bad("line\n<end>")}, {"db", "start", unchecked("none")}}));
  EXPECT_THAT(text, HasSubstr("tests=\"3\" failures=\"1\" errors=\"1\""));
  EXPECT_THAT(text, HasSubstr("classname=\"a&lt;b\" name=\"x &amp; &quot;y&quot;\""));
  EXPECT_THAT(text, HasSubstr("<failure message=\"line\\012&lt;end>\"/>"));
  EXPECT_THAT(text, HasSubstr("<error message=\"none\"/>"));
}

TEST(CheckList, TellsTheWorstOfASubject) {
  const MemoryCgroup memory;
  CheckList checks(std::chrono::seconds(1), false, memory);
  EXPECT_EQ(checks.run("/data", "one", [] { return Finding{}; }), Proof::good);
  EXPECT_EQ(checks.run("/data", "two", [] { return bad("x"); }), Proof::bad);
  checks.add_unchecked("/logs", "filesystem", "y");
  EXPECT_EQ(checks.proof_of("/data"), Proof::bad);
  EXPECT_EQ(checks.proof_of("/logs"), Proof::unchecked);
  EXPECT_EQ(checks.proof_of("/other"), Proof::good);
}

}  // namespace
}  // namespace dlm_freeze
