// SPDX-License-Identifier: Apache-2.0
#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "dlm_freeze/base/unique_fd.hpp"
#include "fuzzer.hpp"
#include "record/history.hpp"

using namespace dlm_freeze;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const UniqueFd file(::memfd_create("history", MFD_CLOEXEC));
  if (::write(file.get(), data, size) != static_cast<ssize_t>(size)) return 0;
  const auto history = read_history("/proc/self/fd/" + std::to_string(file.get()));
  if (!history) return 0;
  for (const SessionRecord& record : *history) fuzz::require(!metrics_of(record).empty(), "it has metrics");
  return 0;
}
