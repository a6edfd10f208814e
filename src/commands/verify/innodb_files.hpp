// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "commands/verify/checks.hpp"

namespace dlm_freeze {

/// Whether a file of that name has pages of InnoDB which outlast its server.
[[nodiscard]] bool is_innodb_file(std::string_view name);

/// How innochecksum is run.
struct InnodbChecker {
  std::string program;
  std::string account;
  std::uint64_t page_size = 16384;
};

/// Has the checksum of each page in the InnoDB files below `directories` compared, of a server that was stopped and has
/// written all of them. CHECK TABLE reads neither what large values are kept in nor a tablespace's own pages.
[[nodiscard]] Finding check_innodb_files(const std::vector<std::string>& directories, const InnodbChecker& checker,
                                         const Patience& patience);

}  // namespace dlm_freeze
