// SPDX-License-Identifier: Apache-2.0
#include "quiesce/postgresql/parts_elsewhere.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

#include "dlm_freeze/base/error.hpp"
#include "quiesce/resolved_path.hpp"

namespace dlm_freeze::postgresql {
namespace {

namespace fs = std::filesystem;

/// The directories of a database in a tablespace: pg_tblspc/16384/PG_15_202209061/5.
constexpr int kDeepest = 4;

template <std::size_t N>
bool is_one_of(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool holds_messages(std::string_view name) { return is_one_of(std::array<std::string_view, 2>{"log", "pg_log"}, name); }

bool is_temporary(std::string_view name) {
  return is_one_of(std::array<std::string_view, 2>{"pgsql_tmp", "pg_stat_tmp"}, name);
}

class Walk {
 public:
  Walk(fs::path data, Deadline deadline) : data_(std::move(data)), deadline_(deadline) {}

  PartsElsewhere run() {
    visit(data_, "", 0);
    return std::move(parts_);
  }

 private:
  /// `name`: of the directory, relative to the data directory.
  void visit(const fs::path& directory, const fs::path& name, int depth) {
    struct stat status {};
    if (::stat(directory.c_str(), &status) != 0) return add_error(name, errno);
    // Links may lead round in a circle.
    if (!visited_.emplace(status.st_dev, status.st_ino).second) return;
    std::error_code error;
    for (fs::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error)) {
      if (ended()) return;
      look_at(*entry, name / entry->path().filename(), depth, status.st_dev);
    }
    if (error) add_error(name, error.value());
  }

  void look_at(const fs::directory_entry& entry, const fs::path& name, int depth, dev_t device) {
    std::error_code ignored;
    const std::string last = name.filename();
    // From what readdir says: there may be a million files.
    const bool is_link = entry.is_symlink(ignored);
    if (!is_link && !entry.is_directory(ignored)) return;
    if (depth == 0 && holds_messages(last)) return;
    if (is_link) return follow(entry.path(), name, depth);
    struct stat status {};
    if (::stat(entry.path().c_str(), &status) != 0) return add_error(name, errno);
    if (status.st_dev != device) add(name, entry.path());
    if (depth < kDeepest && !is_temporary(last)) visit(entry.path(), name, depth + 1);
  }

  void follow(const fs::path& link, const fs::path& name, int depth) {
    const auto target = existing_path(link);
    struct stat status {};
    if (const int error = !target                                 ? target.error().errno_value
                          : ::stat(target->c_str(), &status) != 0 ? errno
                                                                  : 0;
        error != 0) {
      const bool is_said_elsewhere = name == "pg_wal" || name.parent_path() == "pg_tblspc";
      // It may have been dropped meanwhile.
      if (!is_said_elsewhere && ::lstat(link.c_str(), &status) == 0) add_problem(name, error);
      return;
    }
    if (S_ISDIR(status.st_mode)) {
      if (!is_in_data(*target)) add(name, *target);
      if (depth < kDeepest && !is_temporary(name.filename().string())) visit(*target, name, depth + 1);
    } else if (S_ISREG(status.st_mode) && depth > 0 && !is_in_data(*target)) {
      add(name.parent_path(), fs::path(*target).parent_path());
    }
  }

  [[nodiscard]] bool is_in_data(const fs::path& path) const {
    return std::mismatch(data_.begin(), data_.end(), path.begin(), path.end()).first == data_.end();
  }

  void add(const fs::path& name, const fs::path& directory) {
    if (!seen_.insert(directory).second) return;
    parts_.locations.push_back({name.string(), directory.string(), true,
                                is_temporary(name.filename().string()) ? DataRole::temporary : DataRole::data});
  }

  /// Of a directory, which may have been dropped meanwhile.
  void add_error(const fs::path& name, int error) {
    if (error != ENOENT) add_problem(name, error);
  }

  void add_problem(const fs::path& name, int error) {
    parts_.problems.push_back(name.string() + " (" + (data_ / name).string() + "): " + errno_text(error));
  }

  bool ended() {
    if (!ended_ && deadline_.expired()) {
      ended_ = true;
      parts_.problems.push_back("there are too many files in " + data_.string() +
                                " to look in time whether links among them lead elsewhere");
    }
    return ended_;
  }

  fs::path data_;
  Deadline deadline_;
  bool ended_ = false;
  std::set<std::pair<dev_t, ino_t>> visited_;
  std::set<fs::path> seen_;
  PartsElsewhere parts_;
};

}  // namespace

PartsElsewhere find_parts_elsewhere(const std::string& data_directory, Deadline deadline) {
  return Walk(data_directory, deadline).run();
}

}  // namespace dlm_freeze::postgresql
