// SPDX-License-Identifier: Apache-2.0
#include "quiesce/postgresql/backup_hold.hpp"

#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/text.hpp"
#include "quiesce/literal.hpp"

namespace dlm_freeze::postgresql {
namespace {

/// WAL that is saved with a backup although the archive has it.
constexpr std::uint64_t kMostArchivedWal = std::uint64_t{1} << 30;
/// Space that is left free where backups are kept.
constexpr std::uint64_t kSpaceToLeave = std::uint64_t{64} << 20;
constexpr const char* kBackupFiles = "backup_files";  ///< The fact by which a recovery knows the directory.

/// "2026-11-23T16:40:02Z" without what is awkward in a path.
std::string timestamp() {
  std::string text = format_utc(std::chrono::system_clock::now());
  std::erase_if(text, [](char letter) { return letter == ':' || letter == '-'; });
  return text;
}

std::uint64_t free_space(const std::string& directory) {
  struct statvfs status {};
  return ::statvfs(directory.c_str(), &status) == 0 ? std::uint64_t{status.f_bavail} * status.f_frsize : 0;
}

}  // namespace

/// Also whether a backup of this server can be restored with what is saved of it.
Result<void> BackupHold::check(const Server& server, StageContext& context) {
  may_checkpoint_ = server.may_checkpoint;
  may_keep_wal_ = server.may_keep_wal;
  if (!server.may_back_up) {
    const std::string functions = cluster_.version() >= kVersion15
                                      ? "pg_backup_start(text, boolean), pg_backup_stop(boolean)"
                                      : "pg_start_backup(text, boolean, boolean), pg_stop_backup(boolean, boolean)";
    return failure("the login " + server.user +
                       " may not make a backup, which mode backup needs: GRANT EXECUTE ON FUNCTION " + functions +
                       " TO " + server.user,
                   ErrorKind::not_ready);
  }
  if (server.wal_level == "minimal" && !server.in_recovery) {
    return failure("mode backup needs a server with wal_level replica or logical, and it has minimal",
                   ErrorKind::not_ready);
  }
  if (auto checked = check_private_directory(cluster_.settings().backup_directory); !checked) {
    return tl::unexpected(checked.error().with_context("backup_directory"));
  }
  const auto archive = cluster_.ask_archive(context.patience());
  if (!archive) return tl::unexpected(archive.error());
  if (archive->on && !archive->is_good()) {
    context.notes.push_back({LogLevel::warn,
                             "its archiver cannot be relied on (" + archive->problem + "; " + archive->name +
                                 "): all WAL that the backup needs is saved with it",
                             false});
  }
  if (!may_keep_wal_ && !archive->is_good()) {
    context.notes.push_back(
        {LogLevel::warn, "the server may remove WAL that the backup needs before it is saved: give the login " +
                             server.user + " the attribute REPLICATION, and the server a free replication slot"});
  }
  if (cluster_.wal_location() != nullptr || archive->is_good() || server.in_recovery) return {};
  return failure(
      "mode backup has to save the WAL that a restore needs, and cannot see it from here, nor is it "
      "archived: set archive_mode in the server, or mode checkpoint if all of it lies on one volume",
      ErrorKind::not_ready);
}

Result<void> BackupHold::prepare(StageContext& context) {
  const PostgresqlSettings& settings = cluster_.settings();
  // Made in `begin`: `end` is not called if another database fails before that.
  saved_to_ = new_name_in(settings.backup_directory + "/" + directory_name(settings.name),
                          timestamp() + "-" + directory_name(context.execution_id));
  // Not needed, since a backup begins with a checkpoint: this one only makes that one short.
  if (!may_checkpoint_) return {};
  const auto done = cluster_.checkpoint(context, context.deadline.remaining() / 2, false);
  return done ? Result<void>() : tl::unexpected(done.error());
}

/// Has the server keep all WAL from its last checkpoint on for as long as the session lasts: else the next checkpoint
/// may remove what the backup needs, as soon as an archiver that stores nothing says that it has it.
void BackupHold::keep_wal(StageContext& context) {
  const auto reply = cluster_.run_bounded(
      "SELECT pg_catalog.pg_create_physical_replication_slot("
      "pg_catalog.concat('dlm_freeze_', pg_catalog.pg_backend_pid())::pg_catalog.name, true, true)",
      context.deadline.remaining(), context.patience());
  if (reply && reply->ok()) return;
  context.notes.push_back({LogLevel::warn, "the server may remove WAL that the backup needs before it is saved: " +
                                               (reply ? reply->message : reply.error().message)});
}

Result<void> BackupHold::begin(StageContext& context) {
  if (auto made = make_new_directory(saved_to_); !made) return made;
  if (may_keep_wal_) keep_wal(context);
  const std::string label = sql_literal("dlm-freeze " + context.execution_id);
  const bool is_15 = cluster_.version() >= kVersion15;
  const std::string statement = is_15 ? "SELECT pg_catalog.pg_backup_start(" + label + ", true)"
                                      : "SELECT pg_catalog.pg_start_backup(" + label + ", true, false)";
  const auto reply = cluster_.run_bounded(statement, context.deadline.remaining(), context.patience());
  if (!reply) return tl::unexpected(reply.error());
  if (reply->ok()) {
    started_ = true;
    return {};
  }
  auto error = failure("the backup cannot be started: " + reply->message);
  if (reply->sql_state == kCancelled) {
    error = failure("the backup has not started within the time budget: its checkpoint takes longer; raise --timeout",
                    ErrorKind::not_ready);
  }
  return error;
}

std::vector<Fact> BackupHold::facts() const {
  return saved_to_.empty() ? std::vector<Fact>() : std::vector<Fact>{{kBackupFiles, saved_to_}};
}

/// Saves what a restore needs besides the snapshot: the label, and the WAL from the start of the backup to its end,
/// also where there is an archive: the archive may be late, or go with the host.
Result<void> BackupHold::save_backup(BackupFiles files, const std::string& end, std::uint64_t segment_size,
                                     StageContext& context) const {
  const std::string first = first_wal_file(files.label);
  const std::string last = wal_file_before(parse_lsn(end).value_or(0), first, segment_size);
  const std::string needed = "WAL files " + first + " to " + last;
  const DataLocation* const wal = cluster_.wal_location();
  files.wal = wal_files_between(first, last, segment_size);
  if (files.wal.empty()) return failure("the backup's label makes no sense: " + files.label.substr(0, 100));

  const std::uint64_t size = files.wal.size() * segment_size;
  const bool is_too_much = size > kMostArchivedWal || size + kSpaceToLeave > free_space(saved_to_);
  std::vector<std::string> gone = files.wal;
  if (wal != nullptr) {
    files.wal_directory = wal->path;
    std::error_code error;
    std::erase_if(gone,
                  [&](const std::string& name) { return std::filesystem::exists(wal->path + "/" + name, error); });
  }
  // What cannot or need not be saved has to come from somewhere else. Not asked for needlessly: an error would end the
  // slot that keeps the WAL until it is saved.
  Archive archive;
  if (is_too_much || !gone.empty())
    archive = cluster_.ask_archive(context.patience()).value_or(Archive{false, "", "it cannot be asked"});
  if (is_too_much && archive.is_good()) gone = files.wal;
  std::erase_if(files.wal,
                [&](const std::string& name) { return std::find(gone.begin(), gone.end(), name) != gone.end(); });
  const std::string elsewhere =
      archive.on ? archive.name : (cluster_.in_recovery() ? "the primary or its archive" : "no archive");
  if (!gone.empty() && !archive.is_good() && !cluster_.in_recovery()) {
    return failure("a restore needs the " + needed + ", and " + gone.front() + " is gone from the server, which has " +
                   elsewhere + " to be relied on: this snapshot cannot be restored with the backup");
  }
  if (!gone.empty()) {
    files.note = "a restore needs the " + needed + " (" + format_size(size) + "), of which " +
                 std::to_string(gone.size()) + " are not saved with the backup: they have to come from " + elsewhere;
    context.notes.push_back({LogLevel::warn, files.note});
  }
  auto saved = save_backup_files(saved_to_, files, context.deadline);
  return saved ? saved : tl::unexpected(saved.error().with_context("the files of the backup are not all saved"));
}

Result<void> BackupHold::finish(StageContext& context) {
  const Patience patience = context.patience();
  const auto lost = [&](const std::string& why) {
    return failure("the backup did not last until post-script (" + why + "): do not restore this snapshot with it",
                   ErrorKind::protection_lost);
  };
  if (!cluster_.is_connected()) return lost("its session was lost");
  const std::string stop = cluster_.version() >= kVersion15 ? "pg_backup_stop(false)" : "pg_stop_backup(false, false)";
  const auto reply = cluster_.run_bounded(
      "SELECT lsn, labelfile, spcmapfile, pg_catalog.pg_size_bytes(pg_catalog.current_setting('wal_segment_size'))"
      " FROM pg_catalog." +
          stop,
      context.deadline.remaining(), patience);
  if (!reply) return lost(reply.error().message);
  if (!reply->ok() || reply->rows.size() != 1) return lost(reply->message);
  const std::vector<std::string>& row = reply->rows[0];
  const std::uint64_t segment_size = std::strtoull(row[3].c_str(), nullptr, 10);
  if (auto saved = save_backup({row[1], row[2], "", {}, ""}, row[0], segment_size, context); !saved) {
    return tl::unexpected(saved.error());
  }
  context.notes.push_back({LogLevel::info, "the backup ended at " + row[0] +
                                               "; to restore the snapshot, copy the files in " + saved_to_ +
                                               " into its data directory"});
  return {};
}

Result<void> BackupHold::end(StageContext& context, Outcome outcome) {
  Result<void> ended;
  if (started_ && outcome == Outcome::completed) ended = finish(context);
  // Without a pg_backup_stop the server forgets the backup with its session.
  started_ = false;
  cluster_.disconnect();
  clean_up(facts());
  return ended;
}

void BackupHold::clean_up(const std::vector<Fact>& facts) {
  for (const Fact& fact : facts) {
    if (fact.key == kBackupFiles) ::rmdir(fact.value.c_str());
  }
}

}  // namespace dlm_freeze::postgresql
