// SPDX-License-Identifier: Apache-2.0
#include "quiesce/mysql/table_files.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <set>
#include <system_error>

#include "base/text.hpp"
#include "dlm_freeze/base/files.hpp"
#include "quiesce/resolved_path.hpp"

namespace dlm_freeze::mysql {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLongestPath = 4096;

class LinkedTables {
 public:
  LinkedTables(const std::string& data_directory, std::string root) : data_(data_directory), root_(std::move(root)) {}

  void scan_data_directory() {
    for (const std::string& path : mounts_below(data_))
      found_.push_back({"schema " + fs::path(path).filename().string(), path});
    each_entry(data_, [this](const fs::directory_entry& entry) {
      std::error_code error;
      const std::string schema = entry.path().filename();
      if (entry.is_symlink(error)) {
        const fs::path target = target_of(entry.path());
        if (fs::is_directory(target, error)) {
          add("schema " + schema, target);
          scan_schema(schema, target);
        } else {
          add_file("data file " + schema, target);
        }
      } else if (entry.is_directory(error)) {
        scan_schema(schema, entry.path());
      }
    });
  }

  std::vector<DataLocation> take() { return std::move(found_); }

 private:
  template <typename Function>
  static void each_entry(const fs::path& directory, const Function& function) {
    std::error_code error;
    for (fs::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error))
      function(*entry);
  }

  void scan_schema(const std::string& schema, const fs::path& directory) {
    each_entry(directory, [&](const fs::directory_entry& entry) {
      std::error_code error;
      if (entry.is_symlink(error)) {
        add_file("tables of " + schema, target_of(entry.path()));
      } else if (entry.path().extension() == ".isl") {
        const auto text = read_file(entry.path(), kLongestPath);
        if (text && !trimmed(*text).empty()) add_file("tables of " + schema, on_host(trimmed(*text), data_));
      }
    });
  }

  /// Where the server finds what it calls so.
  [[nodiscard]] fs::path on_host(const fs::path& path, const fs::path& relative_to) const {
    return path.is_absolute() ? fs::path(root_ + path.string()) : relative_to / path;
  }

  [[nodiscard]] fs::path target_of(const fs::path& link) const {
    std::error_code error;
    const fs::path target = fs::read_symlink(link, error);
    return error ? link : on_host(target, link.parent_path());
  }

  /// A link may lead to another one.
  void add_file(const std::string& what, const fs::path& file) {
    add(what, fs::path(existing_path(file).value_or(file.string())).parent_path());
  }

  void add(const std::string& what, const fs::path& directory) {
    const auto existing = existing_path(directory);
    if (!existing) return;
    const fs::path resolved = *existing;
    if (resolved == data_ || !seen_.insert(resolved).second) return;
    const auto [in_data, ignored] = std::mismatch(data_.begin(), data_.end(), resolved.begin(), resolved.end());
    if (in_data == data_.end()) return;
    found_.push_back({what, resolved.string()});
  }

  fs::path data_;
  std::string root_;
  std::set<fs::path> seen_;
  std::vector<DataLocation> found_;
};

}  // namespace

std::vector<DataLocation> find_linked_tables(const std::string& data_directory, const std::string& root) {
  LinkedTables tables(data_directory, root);
  tables.scan_data_directory();
  return tables.take();
}

bool is_data_file(std::string_view name) {
  constexpr std::array<std::string_view, 16> kExtensions = {".ibd", ".MYD", ".MYI", ".MAD",   ".MAI", ".CSV",
                                                            ".CSM", ".ARZ", ".frm", ".sst",   ".ibu", ".index",
                                                            ".isl", ".par", ".TRG", ".tokudb"};
  constexpr std::array<std::string_view, 5> kBeginnings = {"ibdata", "ib_logfile", "#ib_redo", "undo", "aria_log"};
  const auto begins = [&](std::string_view beginning) { return name.starts_with(beginning); };
  const auto ends = [&](std::string_view extension) { return name.ends_with(extension); };
  if (std::any_of(kBeginnings.begin(), kBeginnings.end(), begins)) return true;
  if (std::any_of(kExtensions.begin(), kExtensions.end(), ends)) return true;
  // A binary or relay log: "binlog.000001".
  constexpr std::size_t kDigits = 6;
  const std::size_t dot = name.rfind('.');
  const std::string_view number = dot == std::string_view::npos ? "" : name.substr(dot + 1);
  return number.size() >= kDigits && std::all_of(number.begin(), number.end(), [](char digit) {
           return std::isdigit(static_cast<unsigned char>(digit)) != 0;
         });
}

std::vector<std::string> paths_of_data_files(std::string_view setting) {
  std::vector<std::string> paths;
  for (const std::string_view file : split(setting, ';')) {
    const std::string_view path = trimmed(split(file, ':')[0]);
    if (!path.empty()) paths.emplace_back(path);
  }
  return paths;
}

}  // namespace dlm_freeze::mysql
