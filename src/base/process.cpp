// SPDX-License-Identifier: Apache-2.0
#include "base/process.hpp"

#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <climits>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <optional>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/process_handle.hpp"
#include "base/text.hpp"
#include "dlm_freeze/base/deadline.hpp"

#ifdef DLM_FREEZE_COVERAGE
extern "C" void __gcov_dump();  // NOLINT(bugprone-reserved-identifier): it is gcc's
#endif

namespace dlm_freeze {
namespace {

/// What getdents64(2) gives; the C library's readdir(3) allocates.
struct DirectoryEntry {
  std::uint64_t inode;
  std::int64_t offset;
  unsigned short length;
  unsigned char type;
  std::array<char, 1> name;  ///< As long as it is.
};

/// The number that a name consists of; nothing for "." and "..".
std::optional<unsigned> number_of(const char* name) noexcept {
  unsigned number = 0;
  for (; *name != '\0'; ++name) {
    if (*name < '0' || *name > '9') return std::nullopt;
    number = number * 10 + static_cast<unsigned>(*name - '0');
  }
  return number;
}

/// Numbers in ascending order, none of them negative.
using Numbers = std::span<const int>;

bool is_among(Numbers numbers, unsigned number) noexcept {
  return std::binary_search(numbers.begin(), numbers.end(), static_cast<int>(number));
}

/// Visits the numbers in a directory of /proc that is open: all that are there, if the visitor closes no other than
/// those it is given, since the kernel goes by the numbers. Async-signal-safe if the visitor is.
template <typename Visit>
void for_each_listed(int directory, Visit visit) {
  alignas(DirectoryEntry) std::array<char, 4096> buffer{};
  for (;;) {
    const long size = ::syscall(SYS_getdents64, directory, buffer.data(), buffer.size());
    if (size <= 0) return;
    for (long at = 0; at < size;) {
      const auto* entry = reinterpret_cast<const DirectoryEntry*>(buffer.data() + at);
      if (const auto fd = number_of(buffer.data() + at + offsetof(DirectoryEntry, name))) visit(*fd);
      at += entry->length;
    }
  }
}

/// Closes all from `first` on but `keep`. False where the kernel has no close_range(2), which is older than Linux 5.9,
/// or a filter does not know that.
bool close_ranges(unsigned first, Numbers keep) noexcept {
  constexpr long kCloseRange = 436;  // SYS_close_range, on every architecture; older headers lack it.
  for (const int kept : keep) {
    const auto number = static_cast<unsigned>(kept);
    if (number < first) continue;
    if (number > first && ::syscall(kCloseRange, first, number - 1, 0) != 0) return false;
    first = number + 1;
  }
  return ::syscall(kCloseRange, first, UINT_MAX, 0) == 0;
}

/// The same by what /proc lists of the calling thread, which may have descriptors of its own. False when there is no
/// /proc.
bool close_listed(unsigned first, Numbers keep) noexcept {
  unsigned spare = first;
  while (is_among(keep, spare)) ++spare;
  ::close(static_cast<int>(spare));  // Makes room for one more.
  const int list = ::open("/proc/thread-self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (list < 0) return false;
  for_each_listed(list, [&](unsigned fd) {
    if (fd >= first && !is_among(keep, fd) && fd != static_cast<unsigned>(list)) ::close(static_cast<int>(fd));
  });
  ::close(list);
  return true;
}

void close_others(unsigned first, Numbers keep) noexcept {
  if (close_ranges(first, keep) || close_listed(first, keep)) return;
  // Neither: whatever may be open.
  const auto limit = static_cast<unsigned>(::sysconf(_SC_OPEN_MAX));
  for (unsigned fd = first; fd < limit; ++fd) {
    if (!is_among(keep, fd)) ::close(static_cast<int>(fd));
  }
}

/// Whether /proc has it as a child of `parent` that has not ended.
bool is_living_child(pid_t process, pid_t parent) noexcept {
  std::array<char, 32> path{};
  constexpr std::string_view kProc = "/proc/";
  const auto end = std::to_chars(std::copy(kProc.begin(), kProc.end(), path.begin()), path.end() - 6, process).ptr;
  constexpr std::string_view kStat = "/stat";
  std::copy(kStat.begin(), kStat.end(), end);
  const UniqueFd file(::open(path.data(), O_RDONLY | O_CLOEXEC));
  std::array<char, 1024> text{};
  const ssize_t length = ::read(file.get(), text.data(), text.size());
  const auto stat = parse_stat({text.data(), static_cast<std::size_t>(std::max<ssize_t>(length, 0))});
  return stat && stat->parent == parent && !stat->has_ended();
}

void detach_stdio() noexcept {
  const int null = open_null();
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    // The caller waits for the end of file of its own: nothing at all is better than keeping that open.
    if (::dup2(null, fd) < 0) ::close(fd);
  }
}

/// Whether a loaded object holds code that thawing may need: the program, the C and C++ libraries.
bool is_needed(std::string_view object) noexcept {
  constexpr std::array<std::string_view, 5> kNeeded = {"/libc.so", "/ld-linux", "/libstdc++.so", "/libgcc_s.so",
                                                       "/libpthread"};
  return object.empty() || std::any_of(kNeeded.begin(), kNeeded.end(), [&](std::string_view part) {
           return object.find(part) != std::string_view::npos;
         });
}

/// For dl_iterate_phdr(3). `error` is where an errno goes.
int lock_object(dl_phdr_info* object, std::size_t /*size*/, void* error) {
  if (!is_needed(object->dlpi_name)) return 0;
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = object->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD) continue;
    const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    const std::uintptr_t begin = (object->dlpi_addr + segment.p_vaddr) & ~(page - 1);
    const std::uintptr_t end = object->dlpi_addr + segment.p_vaddr + segment.p_memsz;
    // NOLINTNEXTLINE(performance-no-int-to-ptr)
    if (::mlock(reinterpret_cast<const void*>(begin), end - begin) != 0) *static_cast<int*>(error) = errno;
  }
  return 0;
}

}  // namespace

int open_null() noexcept {
  const int null = ::open("/dev/null", O_RDWR | O_NOCTTY | O_CLOEXEC);
  return null >= 0 ? null : ::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

void end_process(int status) noexcept {
#ifdef DLM_FREEZE_COVERAGE
  __gcov_dump();
#endif
  ::_exit(status);
}

std::string own_namespace(const char* kind) {
  std::error_code error;
  const auto name = std::filesystem::read_symlink("/proc/self/ns/" + std::string(kind), error);
  return error ? "" : name.string();
}

std::string_view stat_after_name(std::string_view stat) noexcept {
  const std::size_t name_end = stat.rfind(')');  // A name may contain one.
  return name_end == std::string_view::npos ? std::string_view() : stat.substr(name_end + 1);
}

void close_from(unsigned first) noexcept { close_others(first, {}); }

bool set_oom_score(const char* score) noexcept {
  const int fd = ::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool is_set = ::write(fd, score, std::strlen(score)) > 0;
  const int error = errno;
  ::close(fd);
  errno = error;
  return is_set;
}

bool raise_descriptor_limit(unsigned count) noexcept {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return false;
  if (limit.rlim_cur >= count) return true;
  const rlimit raised = {count, std::max<rlim_t>(limit.rlim_max, count)};
  if (::setrlimit(RLIMIT_NOFILE, &raised) == 0) return true;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  return false;
}

void lengthen_descriptor_table(unsigned count) noexcept {
  const int last = ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, count - 1);
  if (last >= 0) ::close(last);
}

void close_all_but(std::vector<int> keep) noexcept {
  std::erase_if(keep, [](int fd) { return fd < 0; });
  std::sort(keep.begin(), keep.end());
  close_others(STDERR_FILENO + 1, keep);
}

std::vector<std::string> become_background(const char* name, std::vector<int> keep) {
  std::vector<std::string> missing;
  sigset_t all;
  ::sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, nullptr);
  detach_stdio();
  static_cast<void>(!::chdir("/"));
  ::umask(S_IRWXG | S_IRWXO);
  if (!set_oom_score("-1000")) {
    missing.push_back(std::string(name) + " is not spared by the OOM killer: " + errno_text(errno) +
                      (errno == EACCES ? " (this needs CAP_SYS_RESOURCE)" : ""));
  }
  ::prctl(PR_SET_DUMPABLE, 0);
  stay_background(name, std::move(keep), {});
  return missing;
}

void stay_background(const char* name, std::vector<int> keep, const std::vector<int>& inherited) noexcept {
  ::setsid();
  if (inherited.empty()) {
    close_all_but(std::move(keep));
  } else {
    std::sort(keep.begin(), keep.end());
    for (const int fd : inherited) {
      if (fd > STDERR_FILENO && !std::binary_search(keep.begin(), keep.end(), fd)) ::close(fd);
    }
  }
  ::prctl(PR_SET_NAME, name);
}

std::optional<ProcessStat> parse_stat(std::string_view stat) noexcept {
  std::string_view rest = stat_after_name(stat);
  const auto number = [](std::string_view word, auto& to) {
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), to);
    return error == std::errc() && end == word.data() + word.size();
  };
  ProcessStat process;
  const std::string_view state = next_word(rest);
  if (state.size() != 1 || !number(next_word(rest), process.parent)) return std::nullopt;
  process.state = state.front();
  constexpr int kBetween = 15;  // Fields 5 to 19 of proc(5).
  for (int i = 0; i < kBetween; ++i) static_cast<void>(next_word(rest));
  if (!number(next_word(rest), process.threads)) return std::nullopt;
  static_cast<void>(next_word(rest));
  if (!number(next_word(rest), process.started)) return std::nullopt;
  return process;
}

void kill_descendants(pid_t reaper, int patience_ms) noexcept {
  constexpr int kPause = 5;
  ::kill(reaper, SIGSTOP);
  const Deadline deadline = Deadline::in(std::chrono::milliseconds(patience_ms));
  const UniqueFd proc(::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (bool one_lives = true; one_lives && !deadline.expired();) {
    one_lives = false;
    ::lseek(proc.get(), 0, SEEK_SET);
    for_each_listed(proc.get(), [&](unsigned number) {
      const auto process = static_cast<pid_t>(number);
      if (!is_living_child(process, reaper)) return;
      one_lives = true;
      // The handle before the last look: if it is another process's by now, this one has ended.
      const ProcessHandle handle = ProcessHandle::of(process);
      if (is_living_child(process, reaper)) handle.send(SIGKILL);
    });
    if (one_lives) ::poll(nullptr, 0, kPause);  // The children of who ends become its children.
  }
}

DescriptorList DescriptorList::open() noexcept {
  return DescriptorList(UniqueFd(::open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
}

std::vector<int> DescriptorList::numbers() const {
  std::vector<int> numbers;
  ::lseek(directory_.get(), 0, SEEK_SET);
  for_each_listed(directory_.get(), [&](unsigned fd) { numbers.push_back(static_cast<int>(fd)); });
  return numbers;
}

Result<void> lock_memory() {
  // Pages of libraries that are never called need no memory: those in use are locked as they are touched, and those
  // that thawing may need are brought in at once.
  if (::mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0) {
    return system_failure("memory cannot be locked, so a thaw may have to wait for swap", errno);
  }
  int error = 0;
  ::dl_iterate_phdr(lock_object, &error);
  if (error != 0) return system_failure("the program cannot be locked in memory", error);
  return {};
}

}  // namespace dlm_freeze
