// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdexcept>
#include <string_view>

#include "fakes/scratch.hpp"
#include "fs/mount_table.hpp"

namespace dlm_freeze::fakes {

/// The table of a text like /proc/self/mountinfo.
[[nodiscard]] inline MountTable table_from(std::string_view mountinfo) {
  const Scratch scratch;
  auto table = MountTable::read(scratch.write("mountinfo", mountinfo));
  if (!table) throw std::runtime_error(table.error().message);
  return std::move(*table);
}

}  // namespace dlm_freeze::fakes
