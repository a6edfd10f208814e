// SPDX-License-Identifier: Apache-2.0
#include "host.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "harness/shared_memory.hpp"

namespace dlm_freeze::faults {
namespace {

using integration::check;
using integration::eventually;
namespace fs = std::filesystem;

constexpr const char* kBinary = "/srv/bin/dlm-freeze";
constexpr const char* kConfig = "/srv/etc/config.json";
/// More than a run can take.
constexpr std::chrono::seconds kSafetyLimit{60};

}  // namespace

Ticker::Ticker(const integration::Filesystem& filesystem) : shared_(integration::make_shared_memory<Shared>()) {
  const pid_t parent = ::getpid();
  process_ = check(::fork(), "fork");
  if (process_ != 0) return;
  integration::die_with_parent(parent);
  const int file = ::openat(filesystem.directory(), "ticker", O_WRONLY | O_CREAT, 0600);
  for (;;) {
    shared_->begun.fetch_add(1);
    const auto begin = Clock::now();
    if (::pwrite(file, "tick\n", 5, 0) != 5) ::_exit(1);
    const auto end = Clock::now();
    const auto took = std::chrono::duration_cast<Milliseconds>(end - begin).count();
    if (took > shared_->longest_ms.load()) {
      shared_->longest_end.store(end.time_since_epoch().count());
      shared_->longest_ms.store(took);
    }
    shared_->done.fetch_add(1);
    integration::sleep_for(Milliseconds(2));
  }
}

Ticker::~Ticker() {
  ::kill(process_, SIGKILL);
  ::waitpid(process_, nullptr, 0);
  integration::free_shared_memory(shared_);
}

bool Ticker::goes_on(Milliseconds limit) const {
  const std::uint64_t before = done();
  return eventually([&] { return done() >= before + 2; }, limit);
}

Milliseconds Ticker::longest_after(Clock::time_point moment) const {
  const Clock::time_point end(Clock::duration(shared_->longest_end.load()));
  return std::min(Milliseconds(shared_->longest_ms.load()), std::chrono::duration_cast<Milliseconds>(end - moment));
}

Milliseconds Ticker::take_longest() { return Milliseconds(shared_->longest_ms.exchange(0)); }

Host::Host(const HostSpec& spec) {
  const char* binary = std::getenv("DLM_FREEZE_BINARY");
  const fs::path original = fs::canonical(binary != nullptr ? binary : DLM_FREEZE_BINARY);
  kept_ = integration::enter_mount_namespace();
  integration::mount_tmpfs("/run", "mode=0755,size=1m");  // Small: a fault fills it.
  for (const char* directory : {"/srv/bin", "/srv/etc", "/srv/images"}) fs::create_directories(directory);
  fs::copy_file(original, kBinary);
  safety_ = std::make_unique<integration::SafetyThaw>(kSafetyLimit);
  for (const std::string& type : spec.types) {
    const std::string name = std::to_string(::getpid()) + type + std::to_string(filesystems_.size());
    filesystems_.push_back(std::make_unique<integration::Filesystem>(integration::FilesystemSpec{
        .type = type, .mount_point = "/srv/" + name, .image_directory = spec.image_directory, .size = spec.size}));
    safety_->guard(filesystems_.back()->directory());
    tickers_.push_back(std::make_unique<Ticker>(*filesystems_.back()));
  }
  configure_usual();
}

Host::~Host() {
  if (safety_) clean();
  tickers_.clear();
  safety_.reset();
  for (const auto& filesystem : filesystems_) filesystem->close_directory();
  integration::unmount_all_but(kept_);
}

std::vector<std::string> Host::unmount() {
  clean();
  tickers_.clear();
  safety_.reset();
  std::vector<std::string> images;
  for (const auto& filesystem : filesystems_) {
    filesystem->close_directory();
    check(::umount2(filesystem->mount_point().c_str(), UMOUNT_NOFOLLOW), "umount " + filesystem->mount_point());
    images.push_back(filesystem->image());
  }
  return images;
}

void Host::configure(const std::string& json) const { integration::write_text(kConfig, json); }

void Host::configure_usual(const std::string& stage, const std::string& line) const {
  configure_database(stage, line, kAutoThaw, std::chrono::seconds(2));
}

void Host::configure_patient() const { configure_database("", "", std::chrono::seconds(40), std::chrono::seconds(20)); }

void Host::configure_database(const std::string& stage, const std::string& line, std::chrono::seconds auto_thaw,
                              std::chrono::seconds timeout) const {
  std::map<std::string, std::string> stages;
  if (stage != "session") {
    stages["freeze"] = std::string(R"(["/bin/touch", ")") + kLocked + "\"]";
    stages["thaw"] = std::string(R"(["/bin/rm", "-f", ")") + kLocked + "\"]";
  }
  if (!stage.empty()) stages[stage] = R"(["/bin/sh", "-c", ")" + line + "\"]";
  // A hook of a few milliseconds; one that hangs is given less.
  std::string database = R"("type": "command", "name": "db", "timeout_seconds": )";
  database += stage == "session" ? "2" : "10";
  for (const auto& [name, command] : stages) database += ", \"" + name + "\": " + command;
  configure(R"({"auto_thaw_seconds": )" + std::to_string(auto_thaw.count()) + R"(, "timeout_seconds": )" +
            std::to_string(timeout.count()) + R"(, "quiescers": [{)" + database + "}]}");
}

std::unique_ptr<AgentRun> Host::start(const std::vector<std::string>& arguments,
                                      const std::vector<std::string>& wrapper,
                                      const std::vector<std::string>& environment) const {
  std::vector<std::string> command{kBinary, "--config", kConfig};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return std::make_unique<AgentRun>(command, RunOptions{.environment = environment, .wrapper = wrapper});
}

RunResult Host::run(const std::vector<std::string>& arguments) const { return start(arguments)->wait(); }

std::vector<integration::AgentProcess> Host::processes() const { return integration::agent_processes(kBinary); }

bool Host::is_locked() { return ::access(kLocked, F_OK) == 0; }

void Host::clean() const {
  for (int round = 0; round < 2; ++round) {
    for (const auto& process : processes()) process.signal(SIGKILL);
  }
  static_cast<void>(safety_->thaw_all());
  std::error_code ignored;
  for (const char* path : {kLocked, "/run/filler", "/run/dlm-freeze"}) fs::remove_all(path, ignored);
}

}  // namespace dlm_freeze::faults
