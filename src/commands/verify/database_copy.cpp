// SPDX-License-Identifier: Apache-2.0
#include "commands/verify/database_copy.hpp"

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/text.hpp"
#include "base/wait.hpp"
#include "commands/verify/private_root.hpp"
#include "commands/verify/tools.hpp"

namespace dlm_freeze {
namespace {

namespace stdfs = std::filesystem;

constexpr auto kAskAgain = std::chrono::milliseconds(50);
constexpr std::size_t kLogEnd = std::size_t{64} << 10;

std::uint64_t size_below(const std::string& directory) {
  std::uint64_t size = 0;
  std::error_code error;
  for (auto entry = stdfs::recursive_directory_iterator(directory, error);
       !error && entry != stdfs::recursive_directory_iterator(); entry.increment(error)) {
    struct stat info {};
    if (::lstat(entry->path().c_str(), &info) == 0) size += static_cast<std::uint64_t>(info.st_blocks) * 512;
  }
  return size;
}

/// The account's name. One that only the host of the session has is given one.
Result<std::string> name_of(uid_t uid, gid_t gid) {
  passwd entry{};
  passwd* found = nullptr;
  std::array<char, 4096> buffer{};
  if (::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr)
    return std::string(found->pw_name);
  const std::string name = "dlm-verify-" + std::to_string(uid);
  const std::string line = name + ":x:" + std::to_string(uid) + ":" + std::to_string(gid) + "::/tmp:/bin/sh\n";
  const UniqueFd file(::open("/etc/passwd", O_WRONLY | O_APPEND | O_CLOEXEC));
  if (file && ::write(file.get(), line.data(), line.size()) == static_cast<ssize_t>(line.size())) return name;
  return failure("uid " + std::to_string(uid) + " is no account of this host: add one");
}

}  // namespace

std::string DatabaseCopy::fact(std::string_view key) const {
  for (const Fact& one : session.facts) {
    if (one.key == key) return one.value;
  }
  return "";
}

Finding DatabaseCopy::is_in_copy(const std::string& directory) const {
  struct stat info {};
  if (::stat(directory.c_str(), &info) == 0 && copies.contains(info.st_dev)) return {};
  return unchecked(directory + " does not lie on a filesystem of the session whose copy is good");
}

Finding DatabaseCopy::has_space_for(const std::vector<std::string>& directories) const {
  struct statvfs space {};
  if (directories.empty() || ::statvfs(directories.front().c_str(), &space) != 0) return {};
  std::uint64_t needed = 0;
  for (const std::string& directory : directories) needed += size_below(directory);
  const std::uint64_t there = std::uint64_t{space.f_bavail} * space.f_frsize;
  if (needed < there) return {};
  return unchecked("its server may write " + format_size(needed) + ", and there is space for " + format_size(there) +
                   ": name a directory with more as --scratch");
}

std::optional<std::string> text_of_hexadecimal(std::string_view digits) {
  std::string text;
  for (std::size_t at = 0; at < digits.size(); at += 2) {
    unsigned char byte = 0;
    const char* const end = digits.data() + std::min(at + 2, digits.size());
    const auto [stop, error] = std::from_chars(digits.data() + at, end, byte, 16);
    if (error != std::errc() || stop != digits.data() + at + 2) return std::nullopt;
    text += static_cast<char>(byte);
  }
  return text;
}

Result<std::string> prepare_account(const std::string& directory) {
  struct stat info {};
  if (::stat(directory.c_str(), &info) != 0) return system_failure("cannot look at " + directory, errno);
  if (info.st_uid == 0) return failure(directory + " belongs to root, as which no server runs");
  std::error_code error;
  stdfs::remove_all(kRunDirectory, error);
  if (::mkdir(kRunDirectory, 0755) != 0 || ::chown(kRunDirectory, info.st_uid, info.st_gid) != 0)
    return system_failure(std::string("cannot create ") + kRunDirectory, errno);
  return name_of(info.st_uid, info.st_gid);
}

Result<CopyServer> CopyServer::start(const std::vector<std::string>& argv, const std::string& account,
                                     std::string log) {
  // So that what it logs never waits for a reader.
  std::vector<std::string> command = {"/bin/sh", "-c", R"(log=$1; shift; exec "$@" >"$log" 2>&1)", "sh", log};
  command.insert(command.end(), argv.begin(), argv.end());
  auto program =
      RunningProgram::start(tool(std::move(command), account), ProgramInput::nothing, BootClock::duration::zero());
  if (!program) return tl::unexpected(program.error());
  return CopyServer(std::move(*program), std::move(log));
}

Result<double> CopyServer::await(const std::function<bool()>& answers, const Patience& patience) const {
  while (!answers()) {
    if (program_.has_ended()) return failure("its server ended: " + last_words());
    if (!pause_for(kAskAgain, patience)) return failure("its server did not answer in time: " + last_words());
  }
  return std::chrono::duration<double>(BootClock::now() - started_).count();
}

bool CopyServer::ends(const Patience& patience) const {
  while (!program_.has_ended()) {
    if (!pause_for(kAskAgain, patience)) return false;
  }
  return true;
}

std::string CopyServer::last_words() const {
  const UniqueFd file(::open(log_.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text(kLogEnd, '\0');
  const off_t size = file ? ::lseek(file.get(), 0, SEEK_END) : 0;
  const auto wanted = static_cast<off_t>(text.size());
  const ssize_t got = file ? ::pread(file.get(), text.data(), text.size(), std::max<off_t>(0, size - wanted)) : 0;
  text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  std::string error;
  for (const std::string_view line : split(text, '\n')) {
    for (const char* word : {"[ERROR]", "FATAL:", "PANIC:"}) {
      // The first one has the cause; those after it are of the way down. That it was asked too early is none.
      if (error.empty() && line.find(word) != line.npos && line.find("the database system is ") == line.npos)
        error = line.substr(line.find(word));
    }
  }
  return error.empty() ? last_line(text) : error;
}

void ask_canaries(const DatabaseCopy& copy, const std::function<Result<ProgramResult>(const Canary& canary)>& ask) {
  for (const Canary& canary : copy.extra.canaries) {
    copy.checks.run(copy.name(), "canary", [&]() -> Finding {
      const auto told = ask(canary);
      if (!told) return unchecked(told.error().message);
      const std::string answer(trimmed(told->output));
      if (told->exit_status != 0) return bad(canary.statement + ": " + last_line(answer));
      if (answer != canary.answer)
        return bad(canary.statement + " gives '" + without_middle(answer, 200) + "', not '" + canary.answer + "'");
      return {};
    });
  }
}

}  // namespace dlm_freeze
