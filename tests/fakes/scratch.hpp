// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace dlm_freeze::fakes {

/// A directory of the test's own, with all symbolic links resolved; removed at the end.
class Scratch {
 public:
  Scratch();  ///< Below /tmp.
  explicit Scratch(const std::string& parent);
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch();

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }

  /// Writes a file, making the directories above it; gives its path.
  std::string write(std::string_view name, std::string_view content) const;

  /// The same for an executable shell script.
  std::string script(std::string_view name, std::string_view body) const;

 private:
  std::string path_;
};

/// The content of a file; empty when there is none.
[[nodiscard]] std::string content_of(const std::string& path);

/// How many descriptors this process has open.
[[nodiscard]] std::size_t open_descriptors();

}  // namespace dlm_freeze::fakes
