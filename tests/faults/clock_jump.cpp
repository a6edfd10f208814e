// SPDX-License-Identifier: Apache-2.0
// Preloaded (ld.so(8)): the time of day is as many seconds off as the file that DLM_FREEZE_CLOCK_OFFSET names holds, in
// binary, at that moment. A session goes by CLOCK_BOOTTIME, which does not jump.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <ctime>

namespace {

const volatile std::int64_t* offset = nullptr;

__attribute__((constructor)) void map_offset() {
  const char* path = std::getenv("DLM_FREEZE_CLOCK_OFFSET");
  const int fd = path != nullptr ? ::open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (fd < 0) return;
  void* page = ::mmap(nullptr, sizeof(std::int64_t), PROT_READ, MAP_SHARED, fd, 0);
  ::close(fd);
  if (page != MAP_FAILED) offset = static_cast<const volatile std::int64_t*>(page);
}

}  // namespace

extern "C" int clock_gettime(clockid_t clock, timespec* time) noexcept {
  using Function = int (*)(clockid_t, timespec*);
  static const auto kOriginal = reinterpret_cast<Function>(::dlsym(RTLD_NEXT, "clock_gettime"));
  const int result = kOriginal(clock, time);
  if (result == 0 && clock == CLOCK_REALTIME && offset != nullptr) time->tv_sec += *offset;
  return result;
}
