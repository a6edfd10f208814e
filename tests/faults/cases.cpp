// SPDX-License-Identifier: Apache-2.0
#include "cases.hpp"

#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <sstream>
#include <stdexcept>

namespace dlm_freeze::faults {
namespace {

const std::map<std::string, int> kErrors = {{"ENOMEM", ENOMEM}, {"EIO", EIO},       {"EINTR", EINTR},  {"EPERM", EPERM},
                                            {"ENOSPC", ENOSPC}, {"EMFILE", EMFILE}, {"EAGAIN", EAGAIN}};

/// A suspended session is over its deadline when it goes on.
constexpr std::chrono::milliseconds kSuspension = Host::kAutoThaw + std::chrono::seconds(1);
constexpr const char* kOffset = "/srv/clock-offset";

/// Calls that cannot fail, or whose failure would leave undone what they always do.
bool never_fails(const std::string& call) {
  static const std::set<std::string> kCalls = {
      "close",           "exit",         "exit_group",     "getpid",     "getppid",    "gettid",
      "getuid",          "geteuid",      "getgid",         "getegid",    "umask",      "sched_yield",
      "set_robust_list", "rseq",         "munmap",         "getpgrp",    "execve",     "set_tid_address",
      "arch_prctl",      "rt_sigaction", "rt_sigprocmask", "futex wake", "write event"};
  return kCalls.contains(call);
}

bool is_ours(const std::string& role) { return role != "wrapper" && role != "program"; }

/// The faults at the call `number` of its kind.
std::vector<std::string> faults_at(const std::string& call, int number) {
  std::vector<std::string> faults = {"SIGKILL", "SIGSTOP", "suspend", "hang", "full", "clock"};
  if (number == 1) faults.emplace_back("slow+");
  if (never_fails(call)) return faults;
  for (const auto& [name, error] : kErrors) {
    faults.push_back(name);
    faults.push_back(name + "+");
  }
  return faults;
}

void fill_run() {
  std::ofstream filler("/run/filler", std::ios::binary);
  const std::string block(std::size_t{1} << 12, 'x');
  while (filler.write(block.data(), static_cast<std::streamsize>(block.size())).flush()) {
  }
}

/// As a virtual machine is for a snapshot of its memory: everything stops, and time goes on.
void suspend(const Host& host) {
  const auto all = host.processes();
  for (const auto& process : all) process.signal(SIGSTOP);
  integration::sleep_for(kSuspension);
  for (const auto& process : all) process.signal(SIGCONT);
}

void set_clock(std::int64_t seconds) {
  std::ofstream(kOffset, std::ios::binary).write(reinterpret_cast<const char*>(&seconds), sizeof seconds);
}

Fault fault_of(const Case& one, const Host& host) {
  constexpr std::int64_t kMonth = 31L * 24 * 3600;
  Fault fault;
  fault.site = {one.role, one.call, one.number};
  fault.lasting = one.fault.ends_with("+");
  const std::string name = one.fault.substr(0, one.fault.size() - (fault.lasting ? 1 : 0));
  if (const auto error = kErrors.find(name); error != kErrors.end()) {
    fault.error = error->second;
  } else if (name == "SIGKILL") {
    fault.act = [](pid_t process) { ::kill(process, SIGKILL); };
  } else if (name == "SIGSTOP") {
    fault.act = [](pid_t process) { ::kill(process, SIGSTOP); };
  } else if (name == "suspend") {
    fault.act = [&host](pid_t) { suspend(host); };
  } else if (name == "hang") {
    fault.hangs = true;
  } else if (name == "slow") {
    fault.delay = Milliseconds(20);
  } else if (name == "full") {
    fault.act = [](pid_t) { fill_run(); };
  } else if (name == "clock") {
    fault.act = [back = one.number % 2 == 0](pid_t) { set_clock(back ? -kMonth : kMonth); };
  } else {
    throw std::invalid_argument("no such fault: " + one.fault);
  }
  return fault;
}

/// What a database does in the place of quiescing or releasing, as a line for a shell.
const std::map<std::string, std::string> kBehaviours = {
    {"hangs", "sleep 60"},
    {"fails", "exit 1"},
    {"garbage", "head -c 3000000 /dev/urandom; exit 3"},
    {"dies", "kill -9 $$"},
    {"orphans", "(sleep 3) & exit 5"},
    {"kills its parent", "kill -9 $PPID; sleep 60"},
    {"stops its parent", "kill -STOP $PPID; sleep 60"},
};

/// What went wrong once.
std::vector<Case> known_cases() {
  std::vector<Case> cases;
  for (const char* text : {"post-script:recvfrom:1:EMFILE+", "dlm-watchdog:sendto:5:ENOMEM", "dlm-keeper:clone:2:EPERM",
                           "dlm-keeper:clone:2:SIGKILL", "dlm-keeper:clone:2:SIGSTOP", "dlm-keeper:dup2:8:ENOMEM+"})
    cases.push_back(parse(text));
  return cases;
}

std::vector<Case> database_cases() {
  std::vector<Case> cases;
  for (const char* stage : {"probe", "prepare", "freeze", "session"}) {
    for (const auto& [name, line] : kBehaviours) cases.push_back({"database", stage, 1, name});
  }
  return cases;
}

Verdict run_database(const Case& one, Host& host, Injector& injector) {
  host.configure_usual(one.call, kBehaviours.at(one.fault));
  Verdict verdict = run_session(host, injector, {.pre_script_fails = true});
  verdict.reached = true;
  return verdict;
}

}  // namespace

Case parse(const std::string& text) {
  std::istringstream words(text);
  Case one;
  std::string number;
  std::getline(words, one.role, ':');
  std::getline(words, one.call, ':');
  std::getline(words, number, ':');
  std::getline(words, one.fault);
  one.number = std::stoi(number);
  return one;
}

std::vector<Case> all_cases(const Injector::Counts& counts, unsigned seed) {
  std::vector<Case> cases;
  for (const auto& [key, count] : counts) {
    const auto& [role, call] = key;
    if (!is_ours(role)) continue;
    for (int number = 1; number <= count; ++number) {
      for (const std::string& fault : faults_at(call, number)) cases.push_back({role, call, number, fault});
    }
  }
  std::shuffle(cases.begin(), cases.end(), std::mt19937(seed));
  std::map<std::string, int> seen;
  std::vector<std::pair<int, std::size_t>> order;
  for (std::size_t i = 0; i < cases.size(); ++i)
    order.emplace_back(seen[cases[i].role + cases[i].call + cases[i].fault]++, i);
  std::sort(order.begin(), order.end());
  std::vector<Case> sorted = known_cases();
  for (Case& one : database_cases()) sorted.push_back(std::move(one));
  for (const auto& [turn, i] : order) sorted.push_back(std::move(cases[i]));
  return sorted;
}

Verdict run_case(const Case& one, Host& host, Injector& injector) {
  if (one.role == "database") return run_database(one, host, injector);
  Trial trial{.fault = fault_of(one, host)};
  if (one.fault == "suspend") trial.suspension = kSuspension;
  if (one.fault == "clock") {
    set_clock(0);
    trial.environment = {std::string("LD_PRELOAD=") + DLM_FREEZE_CLOCK_JUMP,
                         std::string("DLM_FREEZE_CLOCK_OFFSET=") + kOffset};
  }
  return run_session(host, injector, trial);
}

std::size_t column_of(const Case& one) {
  static const std::map<std::string, std::size_t> kSpecial = {
      {"SIGKILL", 2}, {"SIGSTOP", 3}, {"suspend", 4}, {"hang", 5}, {"slow+", 6}, {"full", 7}, {"clock", 8}};
  if (one.role == "database") return 9;
  const auto special = kSpecial.find(one.fault);
  if (special != kSpecial.end()) return special->second;
  return one.fault.ends_with("+") ? 1 : 0;
}

}  // namespace dlm_freeze::faults
