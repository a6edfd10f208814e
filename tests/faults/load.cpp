// SPDX-License-Identifier: Apache-2.0
#include "load.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "harness/shared_memory.hpp"

namespace dlm_freeze::faults {

using integration::check;

pid_t Worker::begin() { return check(::fork(), "fork"); }

void Worker::run(const std::function<void()>& work) {
  integration::die_with_parent(::getppid());
  for (;;) work();
}

Worker::~Worker() {
  ::kill(process_, SIGKILL);
  ::waitpid(process_, nullptr, 0);
}

std::unique_ptr<Worker> dirty(const integration::Filesystem& filesystem, unsigned megabytes) {
  return std::make_unique<Worker>([&filesystem, megabytes] {
    static const int kFile = ::openat(filesystem.directory(), "dirty", O_WRONLY | O_CREAT, 0600);
    static const std::string kBlock(std::size_t{1} << 20, 'd');
    for (unsigned i = 0; i < megabytes; ++i) {
      static_cast<void>(!::pwrite(kFile, kBlock.data(), kBlock.size(), static_cast<off_t>(i) << 20));
    }
  });
}

std::unique_ptr<Worker> churn(const integration::Filesystem& filesystem, unsigned seed) {
  return std::make_unique<Worker>([&filesystem, seed] {
    static std::mt19937 random(seed);
    const int directory = filesystem.directory();
    const std::string name = "churn" + std::to_string(random() % 64);
    const std::string other = "churn" + std::to_string(random() % 64);
    switch (random() % 5) {
      case 0:
        ::mkdirat(directory, name.c_str(), 0700);
        break;
      case 1:
        ::renameat(directory, name.c_str(), directory, other.c_str());
        break;
      case 2:
        ::unlinkat(directory, name.c_str(), random() % 2 == 0 ? AT_REMOVEDIR : 0);
        break;
      default: {
        const UniqueFd file(::openat(directory, name.c_str(), O_WRONLY | O_CREAT, 0600));
        const std::string text(random() % 20000, 'c');
        static_cast<void>(!::write(file.get(), text.data(), text.size()));
      }
    }
    integration::sleep_for(Milliseconds(1));
  });
}

Ledger::Ledger(const integration::Filesystem& filesystem)
    : acknowledged_(integration::make_shared_memory<std::atomic<std::uint64_t>>()) {
  worker_ = std::make_unique<Worker>([&filesystem, acknowledged = acknowledged_] {
    static const int kFile = ::openat(filesystem.directory(), kName, O_WRONLY | O_CREAT | O_APPEND, 0600);
    const std::string line = std::to_string(acknowledged->load()) + "\n";
    if (::write(kFile, line.data(), line.size()) != static_cast<ssize_t>(line.size()) || ::fdatasync(kFile) != 0)
      ::_exit(1);
    acknowledged->fetch_add(1);
    integration::sleep_for(Milliseconds(5));
  });
}

bool Ledger::is_complete(const std::string& path, std::uint64_t lines) {
  std::ifstream file(path);
  std::string line;
  for (std::uint64_t i = 0; i < lines; ++i) {
    if (!std::getline(file, line) || line != std::to_string(i)) return false;
  }
  return true;
}

}  // namespace dlm_freeze::faults
