// SPDX-License-Identifier: Apache-2.0
#include "commands/verify/run.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <utility>
#include <vector>

#include "commands/verify/apart.hpp"
#include "commands/verify/copy.hpp"
#include "commands/verify/database_copy.hpp"
#include "commands/verify/filesystem_check.hpp"
#include "commands/verify/memory_cgroup.hpp"
#include "commands/verify/private_root.hpp"
#include "commands/verify/report.hpp"
#include "commands/verify/tools.hpp"
#include "dlm_freeze/base/json.hpp"

namespace dlm_freeze {
namespace {

VerifyCode code_of(Proof proof) {
  switch (proof) {
    case Proof::good:
      return VerifyCode::good;
    case Proof::unchecked:
      return VerifyCode::unchecked;
    case Proof::bad:
      break;
  }
  return VerifyCode::bad;
}

VerifyAnswer answer_of(const Error& error) {
  return {error.kind == ErrorKind::not_ready ? VerifyCode::unchecked : VerifyCode::bad, "", error.message};
}

/// What one process found out, for another one to print.
struct Answered {
  VerifyAnswer answer;
  std::string junit;
};

Answered answered(const VerifyReport& report, const VerifyRequest& request) {
  Answered outcome;
  outcome.answer.code = code_of(report.proof());
  outcome.answer.report = request.json ? to_json(report).dump_line() : to_text(report);
  outcome.junit = to_junit(report);
  if (report.proof() == Proof::unchecked) outcome.answer.error = "not all of it could be checked";
  if (report.proof() == Proof::bad) {
    outcome.answer.error = report.set.proof() == Proof::bad ? "these are not all filesystems of one session"
                                                            : "something in these copies is damaged";
  }
  return outcome;
}

std::string encode(const Answered& outcome) {
  return Json(Json::Object{{"code", static_cast<int>(outcome.answer.code)},
                           {"report", outcome.answer.report},
                           {"error", outcome.answer.error},
                           {"junit", outcome.junit}})
      .dump();
}

Result<Answered> decode(const std::string& text) {
  const auto json = Json::parse(text);
  const Json* code = json ? json->find("code") : nullptr;
  if (code == nullptr || code->as_integer() == nullptr)
    return failure("the process that checks the copies gave no answer", ErrorKind::not_ready);
  const auto member = [&](const char* key) {
    const Json* value = json->find(key);
    return value != nullptr && value->as_string() != nullptr ? *value->as_string() : std::string();
  };
  return Answered{{static_cast<VerifyCode>(*code->as_integer()), member("report"), member("error")}, member("junit")};
}

/// The whole of it, but for what has to be done outside of namespaces of one's own.
class Verification {
 public:
  /// The checks run in `memory`, which must outlive it, as `request` must.
  Verification(const VerifyRequest& request, std::vector<ExtraChecks> extra, const MemoryCgroup& memory)
      : request_(request),
        extra_(std::move(extra)),
        memory_(memory),
        checks_(request.timeout, request.shows_progress, memory) {}

  Answered run(bool is_apart) {
    const auto started = BootClock::now();
    // Here: what was opened in another mount namespace cannot be mounted in this one.
    for (const std::string& path : request_.paths) copies_.push_back(open_copy(path));
    if (is_apart) {
      if (auto mounted = mount_all(); !mounted) return {{VerifyCode::unchecked, "", mounted.error().message}, ""};
    }
    std::vector<Candidate> candidates;
    for (const Copy& copy : copies_) candidates.push_back(candidate_of(copy));
    auto set = verify_set(candidates);
    if (!set) return {answer_of(set.error()), ""};
    report_.set = std::move(*set);
    report_.is_checked = request_.check;
    if (request_.check) {
      check_filesystems();
      check_databases();
    }
    report_.checks = checks_.checks();
    report_.seconds = std::chrono::duration<double>(BootClock::now() - started).count();
    return answered(report_, request_);
  }

 private:
  Result<void> mount_all() {
    // The rest is for the programs.
    if (auto work = mount_work(request_.scratch, memory_.limit() / 3 * 2); !work) return work;
    for (std::size_t i = 0; i < copies_.size(); ++i) {
      const std::string place = std::string(kWork) + "/copy" + std::to_string(i);
      if (::mkdir(place.c_str(), 0700) != 0) return system_failure("cannot create " + place, errno);
      mount_copy(copies_[i], place, request_.check);
    }
    return {};
  }

  [[nodiscard]] const Copy* copy_of(const VerifiedMember& member) const {
    const auto copy =
        std::find_if(copies_.begin(), copies_.end(), [&](const Copy& one) { return one.path == member.path; });
    return member.is_stranger || copy == copies_.end() ? nullptr : &*copy;
  }

  void check_filesystems() {
    const std::string scratch = std::string(kWork) + "/space/metadata";
    ::mkdir(scratch.c_str(), 0700);
    for (const VerifiedMember& member : report_.set.members) {
      const Copy* copy = copy_of(member);
      if (copy != nullptr) check_filesystem(member.mount_point, *copy, scratch, checks_);
      if (member.proof == Proof::good && !checks_.has(member.mount_point))
        checks_.add_unchecked(member.mount_point, "filesystem", "it was not checked");
    }
  }

  void check_databases() {
    const auto& databases = report_.set.session.databases;
    for (const ExtraChecks& one : extra_) {
      if (std::none_of(databases.begin(), databases.end(), [&](const auto& its) { return its.name == one.name; }))
        checks_.add_unchecked(one.name, "database", "the session has no database of this name");
    }
    if (databases.empty()) return;
    std::vector<PlacedCopy> placed;
    for (const VerifiedMember& member : report_.set.members) {
      const Copy* copy = copy_of(member);
      if (copy == nullptr || copy->error || member.proof == Proof::bad ||
          checks_.proof_of(member.mount_point) == Proof::bad)
        continue;
      placed.push_back({copy->root, member.mount_point});
    }
    const auto entered = enter_private_root(placed);
    for (const PlacedCopy& copy : placed) {
      struct stat info {};
      if (entered && ::stat(copy.mount_point.c_str(), &info) == 0) devices_.insert(info.st_dev);
    }
    for (const ManifestDatabase& database : databases) {
      if (!entered) {
        checks_.add_unchecked(database.name, "start", entered.error().message);
      } else {
        check_database(database);
      }
    }
  }

  void check_database(const ManifestDatabase& database) {
    const auto found =
        std::find_if(extra_.begin(), extra_.end(), [&](const ExtraChecks& one) { return one.name == database.name; });
    const ExtraChecks extra = found == extra_.end() ? ExtraChecks{} : *found;
    const DatabaseCopy copy{database, extra, devices_, checks_};
    if (!extra.hook.empty()) {
      checks_.run(database.name, "hook", [&] { return run_hook(database, extra.hook); });
    } else if (database.type == "mysql") {
      check_mysql(copy);
    } else if (database.type == "postgresql") {
      check_postgresql(copy);
    } else {
      checks_.add_unchecked(
          database.name, "start",
          "no server of type " + database.type + " is started: name a hook in the file of --databases");
    }
  }

  /// It exits as verify does.
  Finding run_hook(const ManifestDatabase& database, const std::vector<std::string>& hook) {
    Program program = tool(hook);
    program.environment.push_back("DLM_FREEZE_DATABASE=" + database.name);
    program.environment.push_back("DLM_FREEZE_TYPE=" + database.type);
    for (const Fact& fact : database.facts)
      program.environment.push_back("DLM_FREEZE_FACT_" + fact.key + "=" + fact.value);
    const auto ran = run_program(program, checks_.patience());
    if (ran && ran->exit_status == static_cast<int>(VerifyCode::unchecked)) return unchecked(last_line(ran->output));
    return finding_of(ran);
  }

  const VerifyRequest& request_;
  std::vector<Copy> copies_;
  std::vector<ExtraChecks> extra_;
  const MemoryCgroup& memory_;
  CheckList checks_;
  VerifyReport report_;
  std::set<dev_t> devices_;
};

Result<void> write_junit(const std::string& path, const std::string& text) {
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!file || ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return system_failure("cannot write " + path, errno);
  return {};
}

bool is_to_be_mounted(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && !S_ISDIR(info.st_mode);
}

/// For the checks. Where no limit can be set, there is none, unless it was asked for.
Result<MemoryCgroup> limit_memory(const VerifyRequest& request) {
  if (!request.check) return MemoryCgroup();
  struct sysinfo host {};
  ::sysinfo(&host);
  const std::uint64_t most = std::uint64_t{host.totalram} * host.mem_unit / 4 * 3;
  auto memory = MemoryCgroup::create(request.memory != 0 ? request.memory : most);
  if (!memory && request.memory == 0) return MemoryCgroup();
  if (!memory) return failure("cannot limit memory: " + memory.error().message, ErrorKind::not_ready);
  return memory;
}

Result<Answered> verify_apart(Verification& verification, const MemoryCgroup& memory) {
  const auto text = run_apart([&] {
    if (auto entered = memory.enter(); !entered)
      return encode({{VerifyCode::unchecked, "", entered.error().message}, ""});
    return encode(verification.run(true));
  });
  if (!text && memory.has_killed()) return failure(memory.shortage(), ErrorKind::not_ready);
  if (!text) return failure(text.error().message, ErrorKind::not_ready);
  return decode(*text);
}

/// `junit_file` must not say any more what an earlier run found. What is no regular file is written once, at the end.
Result<void> begin_junit(const VerifyRequest& request) {
  struct stat info {};
  if (request.junit_file.empty() || (::stat(request.junit_file.c_str(), &info) == 0 && !S_ISREG(info.st_mode)))
    return {};
  return write_junit(request.junit_file, to_junit(report_of_none(Proof::unchecked, "verify has not come to its end")));
}

Result<Answered> find_out(const VerifyRequest& request) {
  std::vector<ExtraChecks> extra;
  if (!request.databases_file.empty()) {
    auto read = read_extra_checks(request.databases_file);
    if (!read) return failure(read.error().message, ErrorKind::not_ready);
    extra = std::move(*read);
  }
  const bool needs_mounts = request.check || std::any_of(request.paths.begin(), request.paths.end(), is_to_be_mounted);
  const auto memory = limit_memory(request);
  if (!memory) return tl::unexpected(memory.error());
  Verification verification(request, std::move(extra), *memory);
  return needs_mounts ? verify_apart(verification, *memory) : Result<Answered>(verification.run(false));
}

/// Who reads documents gets one, whatever happened.
void complete(Answered& outcome, const VerifyRequest& request) {
  if (!outcome.junit.empty()) return;
  const Proof proof = outcome.answer.code == VerifyCode::bad ? Proof::bad : Proof::unchecked;
  const VerifyReport report = report_of_none(proof, outcome.answer.error);
  outcome.junit = to_junit(report);
  if (request.json) outcome.answer.report = to_json(report).dump_line();
}

}  // namespace

VerifyAnswer verify_copies(const VerifyRequest& request) {
  const auto begun = begin_junit(request);
  auto found = begun ? find_out(request) : failure(begun.error().message, ErrorKind::not_ready);
  Answered outcome = found ? std::move(*found) : Answered{answer_of(found.error()), ""};
  complete(outcome, request);
  if (!request.junit_file.empty() && begun) {
    if (auto written = write_junit(request.junit_file, outcome.junit); !written) {
      outcome.answer.code = std::max(outcome.answer.code, VerifyCode::bad);
      outcome.answer.error += (outcome.answer.error.empty() ? "" : "; ") + written.error().message;
    }
  }
  return outcome.answer;
}

}  // namespace dlm_freeze
