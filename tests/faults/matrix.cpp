// SPDX-License-Identifier: Apache-2.0
// faults_matrix [--seconds N] [--jobs N] [--seed N] [--role ROLE] [--only ROLE:CALL:NUMBER:FAULT]...: sessions with a
// fault at a system call of theirs, one fault a session. See docs/testing.md.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "cases.hpp"
#include "harness/shared_memory.hpp"
#include "jobs.hpp"

namespace dlm_freeze::faults {
namespace {

using integration::check;

struct Options {
  unsigned seconds = 45;
  unsigned jobs = 6;
  unsigned seed = 1;
  std::string role;
  std::vector<std::string> only;
};

void print_counts() {
  Host host;
  Injector injector;
  static_cast<void>(run_session(host, injector, {}));  // Loads what is read once.
  injector.arm({});
  for (const char* command : {"pre-script", "post-script"})
    static_cast<void>(host.start({command}, injector.wrapper(command))->wait());
  static_cast<void>(integration::eventually([&] { return host.processes().empty(); }, std::chrono::seconds(5)));
  for (const auto& [key, count] : injector.counts())
    std::cout << key.first << '\t' << key.second << '\t' << count << '\n';
  std::cout << std::flush;
}

struct Shared {
  std::atomic<std::size_t> next{0};
};

void run_cases(const std::vector<Case>& cases, Shared& shared, Clock::time_point end) {
  Host host;
  Injector injector;
  for (std::size_t i = 0; (i = shared.next.fetch_add(1)) < cases.size() && Clock::now() < end;) {
    const Verdict verdict = run_case(cases[i], host, injector);
    std::string line = cases[i].text() + "\t" + (verdict.reached ? "1" : "0") + "\t";
    for (const std::string& violation : verdict.violations) line += violation + "; ";
    std::string text = verdict.violations.empty() ? "" : verdict.text;
    std::replace(text.begin(), text.end(), '\n', '\r');
    line += "\t" + text + "\n";
    // Whole lines, from all jobs into one pipe.
    if (line.size() > 4000) line = line.substr(0, 4000) + "\n";
    check(static_cast<int>(::write(STDOUT_FILENO, line.data(), line.size())), "write");
  }
}

std::vector<std::string> fields_of(const std::string& line) {
  std::vector<std::string> fields;
  std::istringstream stream(line);
  for (std::string field; std::getline(stream, field, '\t');) fields.push_back(field);
  return fields;
}

int report(const std::vector<std::string>& lines) {
  std::map<std::string, std::array<int, kColumns.size()>> table;
  int runs = 0;
  int failed = 0;
  int missed = 0;
  for (const std::string& line : lines) {
    const auto fields = fields_of(line);
    if (fields.size() < 2) continue;
    const Case one = parse(fields[0]);
    const bool reached = fields[1] == "1";
    ++(reached ? runs : missed);
    if (reached) ++table[one.role][column_of(one)];
    if (fields.size() < 3 || fields[2].empty()) continue;
    ++failed;
    std::string text = fields.size() > 3 ? fields[3] : "";
    std::replace(text.begin(), text.end(), '\r', '\n');
    std::cout << "FAILED: " << fields[0] << ": " << fields[2] << '\n' << text << '\n';
  }
  std::cout << "| process |";
  for (const char* column : kColumns) std::cout << ' ' << column << " |";
  std::cout << "\n| --- |";
  for (std::size_t i = 0; i < kColumns.size(); ++i) std::cout << " ---: |";
  for (const auto& [role, counts] : table) {
    std::cout << "\n| " << role << " |";
    for (const int count : counts) std::cout << ' ' << count << " |";
  }
  std::cout << '\n'
            << runs << " faults, " << failed << " failures; " << missed << " sessions in which the call did not come\n";
  return failed == 0 ? 0 : 1;
}

int run(const Options& options) {
  bool ok = true;
  std::vector<Case> cases;
  for (const std::string& one : options.only) cases.push_back(parse(one));
  if (cases.empty()) {
    Injector::Counts counts;
    for (const std::string& line : outputs_of(1, print_counts, ok)) {
      const auto fields = fields_of(line);
      if (fields.size() == 3) counts[{fields[0], fields[1]}] = std::stoi(fields[2]);
    }
    cases = all_cases(counts, options.seed);
    if (!options.role.empty()) std::erase_if(cases, [&](const Case& one) { return one.role != options.role; });
    std::cout << cases.size() << " cases, seed " << options.seed << std::endl;
  }
  if (!ok || cases.empty()) return 1;
  auto* shared = integration::make_shared_memory<Shared>();
  const auto end = Clock::now() + std::chrono::seconds(options.seconds);
  const auto jobs = std::min<std::size_t>(options.jobs, cases.size());
  const auto lines = outputs_of(
      static_cast<unsigned>(jobs), [&] { run_cases(cases, *shared, end); }, ok);
  const int result = report(lines);
  return ok ? result : 1;
}

}  // namespace
}  // namespace dlm_freeze::faults

int main(int argc, char** argv) {
  using namespace dlm_freeze;
  if (argc > 4 && std::string(argv[1]) == "--wrapped") faults::run_wrapped(argv + 2);
  faults::Options options;
  CLI::App app("Sessions with a fault at each of their system calls");
  app.add_option("--seconds", options.seconds);
  app.add_option("--jobs", options.jobs);
  app.add_option("--seed", options.seed);
  app.add_option("--role", options.role);
  app.add_option("--only", options.only);
  return faults::run_program(app, argc, argv, [&] { return faults::run(options); });
}
