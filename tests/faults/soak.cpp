// SPDX-License-Identifier: Apache-2.0
// soak [--sessions N] [--seed N]: one session after the other on six filesystems under load, with random kills and
// deadlines. At the end: no process, loop device or file of a session more than at first, filesystems that their
// checkers find clean, and every line that was acknowledged as written is there.
#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <random>
#include <set>
#include <stdexcept>

#include "jobs.hpp"
#include "load.hpp"

namespace dlm_freeze::faults {
namespace {

struct Options {
  unsigned sessions = 100;
  unsigned seed = 1;
};

constexpr std::uint64_t kSize = std::uint64_t{400} << 20;
const std::vector<std::string> kTypes = {"ext4", "ext4", "xfs", "xfs", "btrfs", "btrfs"};

class Soak {
 public:
  explicit Soak(const Options& options) : random_(options.seed) {
    for (std::size_t i = 0; i < host_->size(); ++i) {
      const auto& filesystem = host_->filesystem(i);
      load_.push_back(i % 2 == 0 ? dirty(filesystem, 30) : churn(filesystem, options.seed));
      ledgers_.push_back(std::make_unique<Ledger>(filesystem));
    }
  }

  void run(unsigned sessions) {
    for (unsigned i = 0; i < sessions; ++i) {
      if (i == kWarmUp) before_ = leftovers();
      one();
      if ((i + 1) % 500 == 0) std::cout << i + 1 << " sessions" << std::endl;
    }
    if (const auto after = leftovers(); sessions > kWarmUp && after.size() > before_.size()) {
      for (const std::string& name : after) {
        if (!before_.contains(name)) broken(name + " is left of a session");
      }
    }
    check_filesystems();
    std::cout << sessions << " sessions: " << whole_ << " whole, " << killed_ << " killed, " << late_
              << " over their deadline, " << other_ << " refused; " << lines_ << " lines acknowledged; broken "
              << broken_ << " times" << std::endl;
  }

 private:
  static constexpr unsigned kWarmUp = 20;

  void broken(const std::string& what) {
    ++broken_;
    std::cout << "BROKEN: " << what << std::endl;
  }

  [[nodiscard]] unsigned up_to(unsigned most) { return static_cast<unsigned>(random_() % (most + 1)); }

  void one() {
    host_->restart_safety_limit();
    const unsigned fate = up_to(9);
    const auto pre = host_->start({"pre-script", "--auto-thaw", fate == 0 ? "1" : "20"});
    if (fate == 1) return killed(*pre);
    const RunResult result = pre->wait();
    if (result.exit_code != 0) {
      ++other_;
      if (result.exit_code != 201 && result.exit_code != 206) broken(result.text());
    } else if (fate == 0) {
      ++late_;
    } else if (fate == 2) {
      kill_one();
    }
    if (fate == 0) integration::sleep_for(Milliseconds(1300));
    const RunResult post = host_->run({"post-script"});
    if (post.exit_code == 0) ++whole_;
    if (result.exit_code == 0 && fate > 2 && post.exit_code != 0) broken(result.text() + post.text());
    expect_over();
  }

  /// As the SSM agent does at its time-out.
  void killed(AgentRun& pre) {
    ++killed_;
    integration::sleep_for(Milliseconds(up_to(150)));
    pre.kill_group();
    static_cast<void>(pre.wait());
    static_cast<void>(host_->run({"post-script"}));
    expect_over();
  }

  void kill_one() {
    const auto all = host_->processes();
    if (all.empty()) return;
    all[up_to(static_cast<unsigned>(all.size()) - 1)].signal(SIGKILL);
    ++killed_;
  }

  void expect_over() {
    for (const auto& ticker : host_->tickers()) {
      if (!ticker->goes_on(std::chrono::seconds(10))) broken("something is frozen still");
    }
    const auto gone = [&] { return host_->processes().empty(); };
    if (!integration::eventually(gone, std::chrono::seconds(10))) broken("a process is left");
  }

  /// What sessions leave behind, if they do.
  static std::set<std::string> leftovers() {
    namespace fs = std::filesystem;
    std::set<std::string> names;
    for (const char* directory : {"/run/dlm-freeze", "/var/lib/dlm-freeze"}) {
      if (!fs::exists(directory)) continue;
      for (const auto& entry : fs::recursive_directory_iterator(directory)) names.insert(entry.path());
    }
    names.erase("/var/lib/dlm-freeze/history.jsonl.1");  // Where a history goes that has become too long.
    return names;
  }

  void check_filesystems() {
    std::vector<std::uint64_t> lines;
    load_.clear();
    for (const auto& ledger : ledgers_) {
      lines.push_back(ledger->acknowledged());
      ledger->end();
    }
    for (std::size_t i = 0; i < host_->size(); ++i) {
      const std::string at = host_->mount_point(i);
      lines_ += lines[i];
      if (!Ledger::is_complete(at + "/" + Ledger::kName, lines[i]))
        broken("a line that was acknowledged is not on " + at);
    }
    const auto images = host_->unmount();
    for (std::size_t i = 0; i < images.size(); ++i) {
      const std::string& image = images[i];
      try {
        if (kTypes[i] == "ext4") integration::run_tool({"fsck.ext4", "-fn", image});
        if (kTypes[i] == "xfs") integration::run_tool({"xfs_repair", "-n", "-f", image});
        if (kTypes[i] == "btrfs") integration::run_tool({"btrfs", "check", "--readonly", image});
      } catch (const std::exception& error) {
        broken(error.what());
      }
    }
  }

  std::unique_ptr<Host> host_ = std::make_unique<Host>(HostSpec{.types = kTypes, .size = kSize});
  std::mt19937 random_;
  std::vector<std::unique_ptr<Worker>> load_;
  std::vector<std::unique_ptr<Ledger>> ledgers_;
  std::set<std::string> before_;
  std::uint64_t lines_ = 0;
  unsigned whole_ = 0;
  unsigned killed_ = 0;
  unsigned late_ = 0;
  unsigned other_ = 0;
  unsigned broken_ = 0;
};

std::size_t loop_devices_in_use() {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/sys/block")) {
    if (std::filesystem::exists(entry.path() / "loop/backing_file")) ++count;
  }
  return count;
}

}  // namespace
}  // namespace dlm_freeze::faults

int main(int argc, char** argv) {
  using namespace dlm_freeze::faults;
  Options options;
  CLI::App app("Sessions one after the other, with random kills and deadlines");
  app.add_option("--sessions", options.sessions);
  app.add_option("--seed", options.seed);
  return run_program(app, argc, argv, [&] {
    const std::size_t before = loop_devices_in_use();
    const int result = run_and_show([&] { Soak(options).run(options.sessions); });
    std::cout << "loop devices in use: " << before << " before, " << loop_devices_in_use() << " after\n";
    return result;
  });
}
