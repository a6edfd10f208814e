// SPDX-License-Identifier: Apache-2.0
// How long a freezer holds up an application that writes to a database, and how long its pre-script takes. See
// README.md beside this file.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "harness/agent.hpp"
#include "harness/filesystem.hpp"
#include "harness/mounts.hpp"
#include "harness/safety_thaw.hpp"
#include "mysql/server.hpp"
#include "mysql/table_writer.hpp"

namespace {

using namespace dlm_freeze::integration;

constexpr std::size_t kMegabyte = std::size_t{1} << 20;
constexpr std::size_t kLoad = 800;  // megabytes
constexpr const char* kData = "/srv/mysql";
constexpr const char* kConfig = "/run/bench-config.json";

struct Freezer {
  std::string name;
  std::vector<std::string> freeze;
  std::vector<std::string> thaw;
};

struct Figures {
  std::vector<double> stall;  ///< Longest time that a row took, less the time held; milliseconds.
  std::vector<double> pre;    ///< pre-script, start to exit; milliseconds.
};

double milliseconds(Clock::duration span) { return std::chrono::duration<double, std::milli>(span).count(); }

void run(const std::vector<std::string>& command) {
  AgentRun started(command, {});
  const RunResult result = started.wait(std::chrono::seconds(60));
  if (result.exit_code != 0) throw std::runtime_error(command.at(0) + ": " + result.text());
}

/// Makes pages dirty, as a bulk load would, and leaves them so.
void write_load() {
  std::ofstream file(std::string(kData) + "/load", std::ios::trunc);
  const std::string block(kMegabyte, 'x');
  for (std::size_t i = 0; i < kLoad; ++i) file << block;
}

void measure(const Freezer& freezer, const Server& server, bool loaded, Figures& figures) {
  server.connect().query("CREATE OR REPLACE TABLE test.t (id BIGINT PRIMARY KEY, text VARCHAR(200)) ENGINE=InnoDB");
  run_tool({"sync", "--file-system", kData});
  TableWriter writer(server, "test.t");
  sleep_for(Milliseconds(300));
  if (loaded) write_load();
  writer.forget_longest_wait();
  const auto started = Clock::now();
  run(freezer.freeze);
  const auto held = Clock::now();
  sleep_for(Milliseconds(300));
  const auto ended = Clock::now();
  run(freezer.thaw);
  sleep_for(Milliseconds(300));
  figures.stall.push_back(milliseconds(writer.longest_wait() - (ended - held)));
  figures.pre.push_back(milliseconds(held - started));
  writer.stop();
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values.at(values.size() / 2);
}

void print(const std::string& what, const std::vector<double>& values) {
  std::cout << "  " << std::left << std::setw(34) << what << std::right << std::fixed << std::setprecision(1)
            << std::setw(9) << std::ranges::min(values) << std::setw(9) << median(values) << std::setw(9)
            << std::ranges::max(values) << '\n';
}

}  // namespace

int main(int argc, char** argv) try {
  const std::vector<std::string> words(argv + 1, argv + argc);
  const auto option = [&](const std::string& name, const std::string& otherwise) {
    const auto found = std::ranges::find(words, name);
    return found != words.end() && found + 1 != words.end() ? *(found + 1) : otherwise;
  };
  const std::string images = option("--image-dir", "/var/tmp");
  const int rounds = std::atoi(option("--rounds", "9").c_str());
  const std::string peer_freeze = option("--peer-freeze", "");
  const std::string peer_thaw = option("--peer-thaw", "");
  const std::string agent = std::filesystem::canonical(option("--binary", DLM_FREEZE_BINARY));

  const auto kept = enter_mount_namespace();
  int status = 0;
  {
    SafetyThaw safety(std::chrono::seconds(60));
    const std::string directory = images + "/dlm-freeze-bench-mysql." + std::to_string(::getpid());
    const Filesystem data(
        {.type = "ext4", .mount_point = kData, .image_directory = directory, .size = 3000 * kMegabyte});
    safety.guard(data.directory());
    std::filesystem::remove_all(directory);  // The image lives until its last user is gone, whatever happens.
    Server server({.data = std::string(kData) + "/data", .socket = "/run/mysqld/mysqld.sock"});
    server.start();
    server.connect().query("CREATE DATABASE test");
    write_text(kConfig, R"({"quiescers": [{"type": "mysql", "socket": "/run/mysqld/mysqld.sock"}]})");

    std::vector<Freezer> freezers = {
        {"dlm-freeze", {agent, "--config", kConfig, "pre-script"}, {agent, "--config", kConfig, "post-script"}}};
    if (!peer_freeze.empty()) {
      freezers.push_back({option("--peer-name", "peer"), {"/bin/sh", "-c", peer_freeze}, {"/bin/sh", "-c", peer_thaw}});
    }
    std::cout << "milliseconds                          minimum   median  maximum\n";
    for (const bool loaded : {false, true}) {
      std::vector<Figures> figures(freezers.size());
      for (int round = 0; round < rounds; ++round) {
        for (std::size_t i = 0; i < freezers.size(); ++i) {
          safety.restart();
          measure(freezers[i], server, loaded, figures[i]);
        }
      }
      std::cout << (loaded ? "with 800 MB just written\n" : "idle but for one writer\n");
      for (std::size_t i = 0; i < freezers.size(); ++i) {
        print(freezers[i].name + ": stall beyond the hold", figures[i].stall);
        print(freezers[i].name + ": pre-script", figures[i].pre);
      }
      if (freezers.size() == 2) {
        const double ratio = median(figures[0].stall) / median(figures[1].stall);
        std::cout << "  stall, ratio of the medians: " << std::setprecision(2) << ratio << " (target: 0.50)\n";
        if (ratio > 0.5) status = 1;
      }
    }
    server.stop();
    if (safety.fired()) {
      std::cerr << "the safety thaw had to step in: these figures are worth nothing\n";
      status = 2;
    }
  }
  unmount_all_but(kept);
  return status;
} catch (const std::exception& error) {
  std::cerr << "bench_mysql: " << error.what() << '\n';
  return 2;
}
