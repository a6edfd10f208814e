// SPDX-License-Identifier: Apache-2.0
// Stands for systemd-scope.so: refuses everything, and says what it was asked for.
#include <cerrno>
#include <cstdio>

#include "session/scope.hpp"

extern "C" [[gnu::visibility("default")]] int dlm_freeze_start_scope(const char* name, std::uint32_t watchdog,
                                                                     std::uint32_t sentinel, std::uint64_t timeout_usec,
                                                                     char* error, std::size_t error_size);

int dlm_freeze_start_scope(const char* name, std::uint32_t watchdog, std::uint32_t sentinel, std::uint64_t timeout_usec,
                           char* error, std::size_t error_size) {
  std::snprintf(error, error_size, "%s with %u and %u in %lu us", name, watchdog, sentinel, timeout_usec);
  return -EBUSY;
}
