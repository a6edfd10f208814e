// SPDX-License-Identifier: Apache-2.0
#include "commands/verify/report.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

#include "commands/report.hpp"

namespace dlm_freeze {
namespace {

/// What no manifest tells, so that nobody takes a good set for more.
constexpr const char* kNotChecked = "Not checked: the filesystems themselves, and that the databases start (--check).";

std::string or_dash(const std::string& cell) { return cell.empty() ? "-" : cell; }

std::string verdict(Proof proof, const std::string& why) {
  return std::string(to_string(proof)) + (why.empty() ? "" : ": " + why);
}

std::string tenths(double seconds) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f s", seconds);
  return text.data();
}

/// The line to read if no other is read.
std::string summary(const VerifyReport& report) {
  std::vector<std::string> worst;
  const Proof proof = report.proof();
  for (const VerifiedMember& member : report.set.members) {
    if (member.proof == proof) worst.push_back(or_dash(member.is_stranger ? member.path : member.mount_point));
  }
  for (const Check& check : report.checks) {
    if (check.finding.proof == proof) worst.push_back(check.subject + " (" + check.what + ")");
  }
  const std::string after = " in " + tenths(report.seconds) + ".";
  switch (proof) {
    case Proof::good:
      return "GOOD: " + count_of(report.set.members.size(), "filesystem") + " of one session" +
             (report.is_checked ? ", " + count_of(report.checks.size(), "check") + after : ".");
    case Proof::unchecked:
      return "UNCHECKED, at least in part: " + list_of(worst) + ".";
    case Proof::bad:
      break;
  }
  return "BAD: " + list_of(worst) + ".";
}

std::string members_table(const VerifiedSet& set) {
  TextTable table({"FILESYSTEM", "UUID", "VOLUMES", "FOUND IN", "VERDICT"});
  for (const VerifiedMember& member : set.members) {
    table.add({or_dash(member.mount_point), or_dash(member.uuid), or_dash(join(member.volume_ids, ", ")),
               or_dash(member.path), verdict(member.proof, member.why)});
  }
  return table.text();
}

std::string checks_table(const std::vector<Check>& checks) {
  TextTable table({"OF", "CHECK", "TIME", "VERDICT"});
  for (const Check& check : checks)
    table.add({check.subject, check.what, tenths(check.seconds), verdict(check.finding.proof, check.finding.why)});
  return table.text();
}

/// Text as XML has it. What it cannot hold at all, `printable` has escaped.
std::string xml(std::string_view text) {
  std::string escaped;
  for (const char character : printable(text)) {
    switch (character) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      default:
        escaped += character;
    }
  }
  return escaped;
}

std::string test_case(const std::string& of, const std::string& name, Proof proof, const std::string& why,
                      double seconds) {
  std::string text =
      "  <testcase classname=\"" + xml(of) + "\" name=\"" + xml(name) + "\" time=\"" + format_seconds(seconds) + "\"";
  if (proof == Proof::good) return text + "/>\n";
  const std::string kind = proof == Proof::bad ? "failure" : "error";
  return text + "><" + kind + " message=\"" + xml(why) + "\"/></testcase>\n";
}

}  // namespace

Proof VerifyReport::proof() const {
  Proof worst = set.proof();
  for (const Check& check : checks) worst = std::max(worst, check.finding.proof);
  return worst;
}

VerifyReport report_of_none(Proof proof, const std::string& why) {
  VerifyReport report;
  report.checks.push_back({"copies", "verify", {proof, why}});
  return report;
}

std::string to_text(const VerifyReport& report) {
  const Manifest& session = report.set.session;
  std::string text = text_line(summary(report));
  text += text_line("Session " + session.session_id + " of " + session.host + ", execution " + session.execution_id +
                    ", started at " + format_utc(session.started_at) + ".");
  text += "\n" + members_table(report.set) + "\n";
  if (!report.checks.empty()) text += checks_table(report.checks) + "\n";
  for (const ManifestDatabase& database : session.databases) {
    std::vector<std::string> facts;
    for (const Fact& fact : database.facts) facts.push_back(fact.key + "=" + fact.value);
    text += text_line(database.name + " (" + database.type + ") was held: " + join(facts, " "));
  }
  for (const ManifestGap& gap : session.not_covered) {
    if (!gap.is_expected) text += text_line(gap.name + " of " + session.host + " was not frozen: " + gap.why);
  }
  return text + (report.is_checked ? "" : text_line(kNotChecked));
}

Json to_json(const VerifyReport& report) {
  const Manifest& session = report.set.session;
  Json::Array members;
  for (const VerifiedMember& member : report.set.members) {
    members.emplace_back(Json::Object{{"mount_point", member.mount_point},
                                      {"uuid", member.uuid},
                                      {"volume_ids", member.volume_ids},
                                      {"path", member.path},
                                      {"verdict", to_string(member.proof)},
                                      {"why", member.why}});
  }
  Json::Array checks;
  for (const Check& check : report.checks) {
    checks.emplace_back(Json::Object{{"of", check.subject},
                                     {"check", check.what},
                                     {"verdict", to_string(check.finding.proof)},
                                     {"why", check.finding.why},
                                     {"seconds", check.seconds}});
  }
  return Json::Object{{"verdict", to_string(report.proof())},
                      {"session_id", session.session_id},
                      {"execution_id", session.execution_id},
                      {"host", session.host},
                      {"started_at", session.session_id.empty() ? "" : format_utc(session.started_at)},
                      {"members", members},
                      {"checks", checks},
                      {"not_checked", report.is_checked ? Json::Array{} : Json::Array{"filesystems", "databases"}}};
}

std::string to_junit(const VerifyReport& report) {
  std::string cases;
  int bad = 0;
  int unchecked = 0;
  const auto add = [&](const std::string& of, const std::string& name, Proof proof, const std::string& why,
                       double seconds) {
    bad += proof == Proof::bad ? 1 : 0;
    unchecked += proof == Proof::unchecked ? 1 : 0;
    cases += test_case(of, name, proof, why, seconds);
  };
  for (const VerifiedMember& member : report.set.members)
    add(member.is_stranger ? member.path : member.mount_point, "of the session", member.proof, member.why, 0);
  for (const Check& check : report.checks)
    add(check.subject, check.what, check.finding.proof, check.finding.why, check.seconds);
  const std::size_t all = report.set.members.size() + report.checks.size();
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"dlm-freeze verify\" tests=\"" +
         std::to_string(all) + "\" failures=\"" + std::to_string(bad) + "\" errors=\"" + std::to_string(unchecked) +
         "\" time=\"" + format_seconds(report.seconds) + "\">\n" + cases + "</testsuite>\n";
}

}  // namespace dlm_freeze
