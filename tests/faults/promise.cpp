// SPDX-License-Identifier: Apache-2.0
// promise [--runs N] [--seed N]: sessions with a random max_stall_seconds, a random load and a database that takes its
// time. No writer may wait longer for all to be frozen than was promised, and 0.1 seconds more until it is let go; what
// the kernel's own FIFREEZE takes beyond that, which nothing can cut short, is counted apart.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <optional>
#include <random>
#include <stdexcept>

#include "jobs.hpp"
#include "load.hpp"

namespace dlm_freeze::faults {
namespace {

struct Options {
  unsigned runs = 500;
  unsigned seed = 1;
};

struct Totals {
  unsigned held = 0;
  unsigned refused = 0;
  unsigned kernel = 0;
  unsigned broken = 0;
  long worst_ms = 0;  ///< Beyond the promise.
};

constexpr std::uint64_t kSize = std::uint64_t{512} << 20;

constexpr const char* kLockedAt = "/run/locked-at";

/// When the database was locked; nothing if it was not.
std::optional<Clock::time_point> locked_at() {
  std::ifstream file(kLockedAt);
  double seconds = 0;
  if (!(file >> seconds)) return std::nullopt;
  return Clock::time_point(std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds)));
}

std::string seconds_of(Milliseconds span) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f", static_cast<double>(span.count()) / 1000);
  return text;
}

void configure(const Host& host, Milliseconds promise, Milliseconds lock) {
  const std::string wait = seconds_of(lock);
  // The clock of these tests is CLOCK_MONOTONIC, and that is what /proc/uptime has where nothing was ever suspended.
  const std::string hook = std::string("cat /proc/uptime >") + kLockedAt + "; sleep " + wait;
  host.configure(R"({"auto_thaw_seconds": 20, "timeout_seconds": 15, "max_stall_seconds": )" + seconds_of(promise) +
                 R"(, "quiescers": [{"type": "command", "name": "db", "freeze": ["/bin/sh", "-c", ")" + hook +
                 R"("], "thaw": ["/bin/true"]}]})");
}

/// Of the session that is held, from the first lock until all was frozen, as the program has it.
Milliseconds stall_of(Host& host) {
  const std::string text = host.run({"status", "--json"}).out;
  const std::string key = "\"stall_seconds\":";
  const std::size_t at = text.find(key);
  if (at == std::string::npos) throw std::runtime_error("status has no stall_seconds: " + text);
  return Milliseconds(static_cast<long>(std::stod(text.substr(at + key.size())) * 1000));
}

void run_once(Host& host, std::mt19937& random, Totals& totals) {
  const auto up_to = [&](unsigned most) { return static_cast<unsigned>(random() % (most + 1)); };
  std::vector<std::unique_ptr<Worker>> load;
  for (std::size_t i = 0; i < host.size(); ++i) {
    if (up_to(2) > 0) load.push_back(dirty(host.filesystem(i), 1 + up_to(60)));
    if (up_to(1) > 0) load.push_back(churn(host.filesystem(i), up_to(1000)));
  }
  const Milliseconds promise(20 + up_to(1000));
  configure(host, promise, Milliseconds(up_to(1) * up_to(500)));
  integration::sleep_for(Milliseconds(up_to(100)));
  for (const auto& ticker : host.tickers()) static_cast<void>(ticker->take_longest());
  host.restart_safety_limit();
  std::filesystem::remove(kLockedAt);
  const RunResult pre = host.start({"pre-script"})->wait();
  const bool is_held = pre.exit_code == 0;
  const auto locked = locked_at();
  Milliseconds waited{0};
  if (is_held) {
    waited = stall_of(host);
  } else {
    for (const auto& ticker : host.tickers()) {
      if (!ticker->goes_on(std::chrono::seconds(10))) std::cout << "BROKEN: a writer waits for ever" << std::endl;
      if (locked) waited = std::max(waited, ticker->longest_after(*locked));
    }
  }
  static_cast<void>(host.run({"post-script"}));
  const long beyond = static_cast<long>((waited - promise).count());
  const bool in_kernel = pre.err.find("to freeze /srv") != std::string::npos;
  ++(is_held ? totals.held : totals.refused);
  if (beyond <= 100) {
    totals.worst_ms = std::max(totals.worst_ms, beyond);
  } else if (in_kernel) {
    ++totals.kernel;
  } else {
    ++totals.broken;
    std::cout << "BROKEN: " << waited.count() << " ms, promised " << promise.count() << ": " << pre.text() << std::endl;
  }
}

void run_all(const Options& options) {
  Host host({.size = kSize});
  std::mt19937 random(options.seed);
  Totals totals;
  for (unsigned i = 0; i < options.runs; ++i) run_once(host, random, totals);
  std::cout << options.runs << " sessions: " << totals.held << " held, " << totals.refused << " undone; worst "
            << totals.worst_ms << " ms beyond the promise; " << totals.kernel
            << " times FIFREEZE itself took longer; broken " << totals.broken << " times" << std::endl;
}

}  // namespace
}  // namespace dlm_freeze::faults

int main(int argc, char** argv) {
  using namespace dlm_freeze::faults;
  Options options;
  CLI::App app("Sessions with a random promise, load and database");
  app.add_option("--runs", options.runs);
  app.add_option("--seed", options.seed);
  return run_program(app, argc, argv, [&] { return run_and_show([&] { run_all(options); }); });
}
