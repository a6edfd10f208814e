// SPDX-License-Identifier: Apache-2.0
#include "record/history.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>

#include "base/child.hpp"
#include "base/process.hpp"
#include "base/text.hpp"
#include "dlm_freeze/base/files.hpp"
#include "record/inventory.hpp"

namespace dlm_freeze {
namespace {

constexpr off_t kFileLimit = off_t{1} << 20;
constexpr std::array kOutcomes = {SessionEnd::completed, SessionEnd::auto_thawed, SessionEnd::rolled_back,
                                  SessionEnd::watchdog_lost};

std::string directory_of(const std::string& file) { return file.substr(0, file.rfind('/') + 1); }

Result<void> append(const std::string& file, const std::string& line) {
  ::mkdir(directory_of(file).c_str(), 0700);
  const auto fd = open_regular(AT_FDCWD, file, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW);
  if (!fd) return tl::unexpected(fd.error().with_context("the history"));
  // In one call, so that the lines of two sessions that end at the same time do not mix.
  const ssize_t written = ::write(fd->get(), line.data(), line.size());
  if (written != static_cast<ssize_t>(line.size())) {
    return system_failure("cannot write to the history " + file, written < 0 ? errno : ENOSPC);
  }
  struct stat info {};
  if (::fstat(fd->get(), &info) != 0 || info.st_size <= kFileLimit) return {};
  if (::rename(file.c_str(), previous_history(file).c_str()) == 0) return {};
  return system_failure("the history is too large, and cannot be moved to " + previous_history(file), errno);
}

Result<void> replace(const std::string& file, const std::string& content) {
  const std::string directory = directory_of(file);
  const UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return system_failure("cannot open the directory of the metrics " + directory, errno);
  auto replacement = AtomicFile::create(fd.get(), file.substr(directory.size()), "new", 0);
  if (!replacement) return tl::unexpected(replacement.error().with_context(directory));
  ::fchmod(replacement->fd(), S_IRUSR | S_IWUSR | S_IRGRP | S_IROTH);  // The exporter is not root.
  return replacement->commit(content);
}

Result<void> read_lines(const std::string& file, std::vector<SessionRecord>& records) {
  const auto content = read_file(file);
  if (!content) {
    if (content.error().errno_value == ENOENT) return {};
    return tl::unexpected(content.error());
  }
  for (std::size_t begin = 0; begin < content->size();) {
    const std::size_t end = std::min(content->find('\n', begin), content->size());
    const auto json = Json::parse(std::string_view(*content).substr(begin, end - begin));
    auto record = json ? SessionRecord::from_json(*json) : tl::unexpected(json.error());
    if (record) records.push_back(std::move(*record));
    begin = end + 1;
  }
  return {};
}

/// One sample: `dlm_freeze_last_session_<name>{<label>="<label's value>"} <value>`.
std::string sample(std::string_view name, std::string_view label, std::string_view label_value, double value) {
  std::string text = "dlm_freeze_last_session_" + std::string(name);
  if (!label.empty()) {
    text += "{" + std::string(label) + "=\"";
    for (const char byte : printable(label_value)) {
      if (byte == '\\' || byte == '"') text += '\\';
      text += byte;
    }
    text += "\"}";
  }
  std::array<char, 32> number{};
  std::snprintf(number.data(), number.size(), " %.3f\n", value);
  return text + number.data();
}

std::string heading(std::string_view name, std::string_view help) {
  const std::string full = "dlm_freeze_last_session_" + std::string(name);
  return "# HELP " + full + " " + std::string(help) + "\n# TYPE " + full + " gauge\n";
}

double unix_time(WallTime time) { return std::chrono::duration<double>(time.time_since_epoch()).count(); }

}  // namespace

std::string previous_history(const std::string& file) { return file + ".1"; }

Result<void> remember(const SessionRecord& record) {
  Result<void> remembered;
  if (!record.history_file.empty()) {
    SessionRecord alone = record;
    alone.earlier.clear();  // They have lines of their own.
    remembered = append(record.history_file, alone.to_json().dump_line());
  }
  if (!record.metrics_file.empty()) {
    auto replaced = replace(record.metrics_file, metrics_of(record));
    if (remembered) remembered = std::move(replaced);
  }
  if (!record.inventory.empty()) {
    auto noted = note_in_inventory(record.inventory, record);
    if (remembered) remembered = std::move(noted);
  }
  return remembered;
}

Result<void> remember_for(const SessionRecord& record, BootClock::duration patience) {
  auto writer = Child::start([&](int life) {
    // Nobody waits for the end of file on what it has inherited.
    static_cast<void>(become_background("dlm-history", {life}));
    end_process(remember(record) ? 0 : 1);
  });
  if (!writer) return system_failure("cannot write the history", writer.error().errno_value);
  const auto status = writer->wait(Deadline::in(patience));
  if (!status) return failure("the history or the metrics are still being written: their filesystem hangs");
  if (*status == 0) return {};
  return failure("cannot write to " + (record.history_file.empty() ? record.metrics_file : record.history_file));
}

Result<std::vector<SessionRecord>> read_history(const std::string& file) {
  std::vector<SessionRecord> records;
  for (const std::string& part : {previous_history(file), file}) {
    if (auto read = read_lines(part, records); !read) return tl::unexpected(read.error());
  }
  return records;
}

std::string metrics_of(const SessionRecord& record) {
  std::string text = heading("ended_timestamp_seconds", "When the session ended.");
  text += sample("ended_timestamp_seconds", "", "", unix_time(record.ended_at));
  text += heading("outcome", "1 for the way in which the session ended.");
  for (const SessionEnd outcome : kOutcomes) {
    text += sample("outcome", "outcome", to_string(outcome), record.end == outcome ? 1 : 0);
  }
  text += heading("problems", "What went wrong while the session was held or ended.");
  text += sample("problems", "", "", static_cast<double>(record.problems.size()));
  text += heading("frozen_seconds", "How long the filesystem was frozen.");
  for (const FilesystemRecord& filesystem : record.filesystems) {
    text += sample("frozen_seconds", "mount_point", filesystem.mount_point, filesystem.frozen_seconds);
  }
  text += heading("freeze_seconds", "How long freezing the filesystem took.");
  for (const FilesystemRecord& filesystem : record.filesystems) {
    text += sample("freeze_seconds", "mount_point", filesystem.mount_point, filesystem.freeze_seconds);
  }
  text += heading("stall_seconds", "How long writers waited, from the first lock until everything was frozen.");
  text += sample("stall_seconds", "", "", record.stall_seconds);
  text += heading("stage_seconds", "How long the stage of pre-script took.");
  for (const auto& [stage, seconds] : record.stage_seconds) text += sample("stage_seconds", "stage", stage, seconds);
  return text;
}

}  // namespace dlm_freeze
