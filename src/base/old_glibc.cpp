// SPDX-License-Identifier: Apache-2.0
// Lets a program that is linked with the C++ library of g++ 12 start on a host with glibc 2.17 or 2.18 (the oldest that
// is tried is 2.31). What that library and its unwinder need of newer versions is here, by older means. An object of
// the program and of each module, built against the libraries of Debian 11 only (DLM_FREEZE_OLD_GLIBC), whose headers
// declare none of it or its newer form.
#include <glob.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>

// NOLINTBEGIN(bugprone-reserved-identifier): these are glibc's names.

extern "C" {

/// glibc 2.32: libstdc++ looks at it before it counts a reference without a lock. Never true here.
extern char __libc_single_threaded;
char __libc_single_threaded = 0;

/// glibc 2.30: std::timed_mutex waits with it.
int pthread_mutex_clocklock(pthread_mutex_t* mutex, clockid_t clock, const timespec* until) noexcept {
  constexpr long kSecond = 1'000'000'000;
  timespec now{};
  timespec at{};
  ::clock_gettime(clock, &now);
  ::clock_gettime(CLOCK_REALTIME, &at);
  at.tv_sec += until->tv_sec - now.tv_sec;
  at.tv_nsec += until->tv_nsec - now.tv_nsec;
  if (at.tv_nsec < 0) {
    at.tv_nsec += kSecond;
    --at.tv_sec;
  } else if (at.tv_nsec >= kSecond) {
    at.tv_nsec -= kSecond;
    ++at.tv_sec;
  }
  return ::pthread_mutex_timedlock(mutex, &at);
}

/// glibc 2.26; the kernel has had it since 4.6. The offset is in the first of its two arguments on every 64-bit
/// machine.
ssize_t pwritev2(int fd, const iovec* parts, int count, off_t offset, int flags) {
  return ::syscall(SYS_pwritev2, fd, parts, count, offset, 0L, flags);
}

/// glibc 2.25; the kernel has had it since 3.17.
ssize_t getrandom(void* bytes, size_t count, unsigned flags) { return ::syscall(SYS_getrandom, bytes, count, flags); }

/// glibc 2.28; the kernel has had it since 4.11.
int statx(int fd, const char* path, int flags, unsigned wanted, struct statx* found) noexcept {
  return static_cast<int>(::syscall(SYS_statx, fd, path, flags, wanted, found));
}

// These are older, in a form that does for us: glob(3) finds dangling links since 2.27, fmemopen(3) is binary
// since 2.22.
int dlm_freeze_old_glob(const char* pattern, int flags, int (*on_error)(const char*, int), glob_t* found);
FILE* dlm_freeze_old_fmemopen(void* buffer, size_t size, const char* mode);
#if defined(__x86_64__)
__asm__(".symver dlm_freeze_old_glob, glob@GLIBC_2.2.5");
__asm__(".symver dlm_freeze_old_fmemopen, fmemopen@GLIBC_2.2.5");
#else
__asm__(".symver dlm_freeze_old_glob, glob@GLIBC_2.17");
__asm__(".symver dlm_freeze_old_fmemopen, fmemopen@GLIBC_2.17");
#endif
int glob(const char* pattern, int flags, int (*on_error)(const char*, int), glob_t* found) noexcept {
  return dlm_freeze_old_glob(pattern, flags, on_error, found);
}
FILE* fmemopen(void* buffer, size_t size, const char* mode) noexcept {
  return dlm_freeze_old_fmemopen(buffer, size, mode);
}

}  // extern "C"

namespace {

/// What glibc 2.35 calls dl_find_object; the unwinder was compiled with that.
struct FoundObject {
  unsigned long long flags;
  void* map_start;
  void* map_end;
  link_map* map;
  void* unwind_tables;
  unsigned long long reserved[7];
};

struct Search {
  std::uintptr_t address;
  FoundObject* found;
};

/// For dl_iterate_phdr(3): 1 when this object holds the address and has unwind tables, which ends the search.
int look_into(dl_phdr_info* object, std::size_t /*size*/, void* data) {
  const Search& search = *static_cast<Search*>(data);
  std::uintptr_t start = 0;
  std::uintptr_t end = 0;
  std::uintptr_t tables = 0;
  bool holds_it = false;
  for (int index = 0; index < object->dlpi_phnum; ++index) {
    const auto& segment = object->dlpi_phdr[index];
    const std::uintptr_t at = object->dlpi_addr + segment.p_vaddr;
    if (segment.p_type == PT_GNU_EH_FRAME) tables = at;
    if (segment.p_type != PT_LOAD) continue;
    if (start == 0 || at < start) start = at;
    if (at + segment.p_memsz > end) end = at + segment.p_memsz;
    if (search.address >= at && search.address - at < segment.p_memsz) holds_it = true;
  }
  if (!holds_it || tables == 0) return 0;
  // NOLINTBEGIN(performance-no-int-to-ptr): these are addresses.
  *search.found = {};
  search.found->map_start = reinterpret_cast<void*>(start);
  search.found->map_end = reinterpret_cast<void*>(end);
  search.found->unwind_tables = reinterpret_cast<void*>(tables);
  // NOLINTEND(performance-no-int-to-ptr)
  return 1;
}

}  // namespace

/// glibc 2.35: finds the unwind tables of an address; -1 when no object has it. Without a linker of its own for C++:
/// the unwinder of libgcc, which is linked statically, calls it.
extern "C" int _dl_find_object(void* address, FoundObject* result) noexcept;
int _dl_find_object(void* address, FoundObject* result) noexcept {
  Search search{reinterpret_cast<std::uintptr_t>(address), result};
  return dl_iterate_phdr(look_into, &search) == 1 ? 0 : -1;
}

// NOLINTEND(bugprone-reserved-identifier)
