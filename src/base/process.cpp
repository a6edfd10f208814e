// SPDX-License-Identifier: Apache-2.0
#include "base/process.hpp"

#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <syslog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace dlm_freeze {
namespace {

void close_range_of(unsigned first, unsigned last) noexcept {
  if (first > last) return;
  if (::syscall(SYS_close_range, first, last, 0) == 0) return;
  // Linux before 5.9.
  const long limit = std::min<long>(::sysconf(_SC_OPEN_MAX), static_cast<long>(last) + 1);
  for (long fd = first; fd < limit; ++fd) ::close(static_cast<int>(fd));
}

void detach_stdio() noexcept {
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(null, fd);
}

/// Whether a loaded object holds code that thawing may need: the program, the C and C++ libraries.
bool is_needed(std::string_view object) noexcept {
  constexpr std::array<std::string_view, 5> kNeeded = {"/libc.so", "/ld-linux", "/libstdc++.so", "/libgcc_s.so",
                                                       "/libpthread"};
  return object.empty() || std::any_of(kNeeded.begin(), kNeeded.end(), [&](std::string_view part) {
           return object.find(part) != std::string_view::npos;
         });
}

int lock_object(dl_phdr_info* object, std::size_t /*size*/, void* /*unused*/) {
  if (!is_needed(object->dlpi_name)) return 0;
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = object->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD) continue;
    const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    const std::uintptr_t begin = (object->dlpi_addr + segment.p_vaddr) & ~(page - 1);
    const std::uintptr_t end = object->dlpi_addr + segment.p_vaddr + segment.p_memsz;
    ::mlock(reinterpret_cast<const void*>(begin), end - begin);  // NOLINT(performance-no-int-to-ptr)
  }
  return 0;
}

}  // namespace

void close_from(unsigned first) noexcept { close_range_of(first, UINT_MAX); }

void set_oom_score(const char* score) noexcept {
  const int fd = ::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  static_cast<void>(!::write(fd, score, std::strlen(score)));
  ::close(fd);
}

UniqueFd open_pidfd(pid_t process) noexcept {
  return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, process, 0)));
}

void send_signal(const UniqueFd& pidfd, int signal) noexcept {
  if (pidfd) ::syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0);
}

void close_all_but(std::vector<int> keep) noexcept {
  std::sort(keep.begin(), keep.end());
  unsigned next = STDERR_FILENO + 1;
  for (const int fd : keep) {
    if (fd < 0) continue;
    const auto number = static_cast<unsigned>(fd);
    if (number < next) continue;
    close_range_of(next, number - 1);
    next = number + 1;
  }
  close_from(next);
}

void become_background(const char* name, std::vector<int> keep) noexcept {
  sigset_t all;
  ::sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, nullptr);
  ::closelog();  // Its descriptor is among those that are closed below.
  detach_stdio();
  static_cast<void>(!::chdir("/"));
  ::umask(S_IRWXG | S_IRWXO);
  set_oom_score("-1000");
  stay_background(name, std::move(keep));
}

void stay_background(const char* name, std::vector<int> keep) noexcept {
  ::setsid();
  close_all_but(std::move(keep));
  ::prctl(PR_SET_NAME, name);
}

void lock_memory() noexcept {
  // Pages of libraries that are never called need no memory: those in use are locked as they are touched, and those
  // that thawing may need are brought in at once.
  if (::mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0) ::dl_iterate_phdr(lock_object, nullptr);
}

}  // namespace dlm_freeze
