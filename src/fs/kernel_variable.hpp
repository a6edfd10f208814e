// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace dlm_freeze {

/// A variable of the kernel, in /sys or /proc/sys, and what is to be written to it.
struct KernelVariable {
  std::string path;
  std::string value;
};

/// Writes each of them, in their order, for a session that no longer can; passes over what is not there any more.
/// Nothing but what a session may have set is written: a damaged record names no other file.
void put_back(const std::vector<KernelVariable>& variables);

}  // namespace dlm_freeze
