// SPDX-License-Identifier: Apache-2.0
#include "commands/verify/innodb_files.hpp"

#include <algorithm>
#include <filesystem>
#include <set>
#include <system_error>
#include <utility>

#include "base/text.hpp"
#include "commands/verify/tools.hpp"

namespace dlm_freeze {
namespace {

namespace stdfs = std::filesystem;

/// The doublewrite buffer of the system tablespace: two extents after the first one. Its pages are of other places.
struct PageRange {
  std::uint64_t first;
  std::uint64_t last;
};
PageRange doublewrite_buffer(std::uint64_t page_size) {
  const std::uint64_t extent = std::max<std::uint64_t>(64, (std::uint64_t{1} << 20) / page_size);
  return {extent, 3 * extent - 1};
}

/// Which pages of a file are to be checked, as options.
std::vector<std::string> ranges_of(const stdfs::directory_entry& file, std::uint64_t page_size) {
  if (file.path().filename() != "ibdata1") return {""};
  const PageRange other = doublewrite_buffer(page_size);
  std::vector<std::string> ranges = {"--end-page=" + std::to_string(other.first - 1)};
  if (file.file_size() > (other.last + 1) * page_size)
    ranges.push_back("--start-page=" + std::to_string(other.last + 1));
  return ranges;
}

}  // namespace

bool is_innodb_file(std::string_view name) {
  if (name.starts_with("#sql")) return false;  // Of a statement that did not end.
  if (name.ends_with(".ibd") || name.ends_with(".ibu") || name.starts_with("ibdata")) return true;
  const std::size_t digit = name.find_first_of("0123456789");
  return name.starts_with("undo") && digit != name.npos && name.find_first_not_of("0123456789", digit) == name.npos;
}

Finding check_innodb_files(const std::vector<std::string>& directories, const InnodbChecker& checker,
                           const Patience& patience) {
  std::set<std::string> checked;
  std::vector<std::string> damaged;
  for (const std::string& directory : directories) {
    std::error_code error;
    for (stdfs::recursive_directory_iterator entry(directory + "/", error), end; !error && entry != end;
         entry.increment(error)) {
      const std::string path = entry->path().lexically_normal();
      std::error_code gone;
      if (entry->is_symlink(gone) && entry->is_directory(gone))
        return unchecked(path + " is a symbolic link to a directory, whose files are not looked at");
      if (!is_innodb_file(entry->path().filename().string()) || !entry->is_regular_file(gone) ||
          entry->file_size(gone) == 0 || !checked.insert(path).second)
        continue;
      for (const std::string& range : ranges_of(*entry, checker.page_size)) {
        std::vector<std::string> argv = {checker.program, path};
        if (!range.empty()) argv.insert(argv.begin() + 1, range);
        const auto ran = run_program(tool(std::move(argv), checker.account), patience);
        if (!ran) return unchecked(ran.error().message);
        if (ran->exit_status != 0) damaged.push_back(path + " (" + std::string(split(ran->output, '\n').front()) + ")");
      }
    }
    if (error) return unchecked("cannot list " + directory + ": " + error.message());
  }
  if (!damaged.empty()) return bad(list_of(damaged, "; "));
  return {Proof::good, count_of(checked.size(), "file")};
}

}  // namespace dlm_freeze
