// SPDX-License-Identifier: Apache-2.0
#include "fs/elsewhere.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <linux/openat2.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <string_view>
#include <utility>

#include "base/directory.hpp"
#include "base/text.hpp"
#include "dlm_freeze/base/files.hpp"
#include "fs/filesystem_type.hpp"

namespace dlm_freeze {
namespace {

#ifndef RESOLVE_CACHED
constexpr std::uint64_t RESOLVE_CACHED = 0x20;  // Linux 5.12.
#endif

/// Whether a look-up in a filesystem of that type may wait for another host or program.
bool may_wait(std::string_view type) { return may_hang(type) || type == "autofs"; }

Failure is_another() { return Failure(Error{ErrorKind::failed, "another mount is there by now", ESTALE}); }

/// Looks up one name, which may be a mount point, without opening what it finds. Linux 5.12 finds it in memory or not
/// at all, and what leads to a mount point always is in memory; older kernels are only asked for what lies on a
/// filesystem of this host.
Result<UniqueFd> step(int directory, const std::string& name) {
  constexpr long kOpenat2 = 437;  // SYS_openat2, on every architecture; older headers lack it.
  constexpr int kAttempts = 8;    // A rename anywhere may send the kernel another way, on which it would have to wait.
  open_how how{};
  how.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_CACHED;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    UniqueFd found(static_cast<int>(::syscall(kOpenat2, directory, name.c_str(), &how, sizeof how)));
    if (found) return found;
    if (errno != EAGAIN) break;
  }
  if (errno == EAGAIN) return system_failure("its path leads through a filesystem that may not answer", EAGAIN);
  if (errno == ENOSYS || errno == EINVAL || errno == E2BIG || errno == EPERM) {
    UniqueFd found(::openat(directory, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (found) return found;
  }
  return system_failure("cannot look up " + name + " there", errno);
}

/// The way from the root directory of one process to a mount.
class Way {
 public:
  explicit Way(int process) : process_("/proc/" + std::to_string(process)) {}

  Result<UniqueFd> open(const MountElsewhere& wanted) {
    directory_ = UniqueFd(::open(process_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!directory_) return gone();
    if (!wanted.name_space.empty() && name_space() != wanted.name_space) return gone();
    if (auto read = read_table(); !read) return tl::unexpected(read.error());
    if (table_.root() == nullptr || may_wait(table_.root()->type)) return is_another();
    // The kernel goes there at once.
    at_ = UniqueFd(::openat(directory_.get(), "root", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!at_ && errno != ENOENT && errno != ESRCH)
      return system_failure("cannot look into the root directory of that process", errno);
    if (!at_) return gone();
    if (auto arrived = arrive(); !arrived) return tl::unexpected(arrived.error());
    for (const std::string_view name : split(wanted.mount.mount_point, '/')) {
      if (name.empty()) continue;
      if (auto went = go(std::string(name)); !went) return tl::unexpected(went.error());
    }
    return open_here(wanted.mount);
  }

 private:
  /// ESRCH: the process is, or it has left the namespace.
  static Failure gone() { return Failure(Error{ErrorKind::failed, "the process that had it mounted is gone", ESRCH}); }

  [[nodiscard]] std::string name_space() const {
    std::array<char, 64> target{};
    const ssize_t length = ::readlinkat(directory_.get(), "ns/mnt", target.data(), target.size());
    return length > 0 ? std::string(target.data(), static_cast<std::size_t>(length)) : std::string();
  }

  Result<void> read_table() {
    const auto text = read_file_at(directory_.get(), "mountinfo");
    if (!text || text->empty()) return gone();
    auto table = MountTable::parse(*text);
    if (!table) return tl::unexpected(table.error());
    table_ = std::move(*table);
    return {};
  }

  /// Finds out on what mount `at_` lies; the kernel gives the id of one that is gone to the next, so the table has to
  /// be newer than the descriptor.
  Result<void> arrive() {
    const auto id = mount_id_without_asking(at_.get());
    if (!id) return tl::unexpected(id.error());
    if (*id == id_) return {};
    if (auto read = read_table(); !read) return read;
    id_ = *id;
    return {};
  }

  Result<void> go(const std::string& name) {
    const Mount* here = table_.find(id_);
    if (here == nullptr) return is_another();
    if (may_wait(here->type)) return failure("the way to it leads through " + here->type + ", which may not answer");
    auto next = step(at_.get(), name);
    if (!next) return tl::unexpected(next.error());
    at_ = std::move(*next);
    return arrive();
  }

  /// Of a directory its filesystem is asked for nothing but to be opened, once it is known which that is.
  Result<UniqueFd> open_here(const Mount& wanted) {
    const Mount* here = table_.find(id_);
    const bool is_it = here != nullptr && here->id == wanted.id && here->device == wanted.device &&
                       here->type == wanted.type && has_volume(*here);
    if (!is_it) return is_another();
    UniqueFd fd(::openat(at_.get(), ".", O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (!fd && errno == ENOTDIR) return system_failure("it is mounted there for a single file", ENOTDIR);
    if (!fd) return system_failure("cannot open " + wanted.mount_point + " there", errno);
    struct stat info {};
    if (::fstat(fd.get(), &info) != 0) return system_failure("cannot examine it", errno);
    // A btrfs gives each subvolume a number of its own.
    if (major(wanted.device) != 0 && info.st_dev != wanted.device) return is_another();
    return fd;
  }

  std::string process_;
  UniqueFd directory_;
  MountTable table_{{}};
  UniqueFd at_;
  int id_ = -1;
};

/// Another process of that namespace; 0 for none.
int other_process_in(const std::string& name_space, int but) {
  for (const std::string& name : names_in("/proc")) {
    const auto number = parse_decimal(name, 1, std::int64_t{1} << 30);
    if (!number || *number == but) continue;
    std::array<char, 64> target{};
    const ssize_t length = ::readlink(("/proc/" + name + "/ns/mnt").c_str(), target.data(), target.size());
    if (length > 0 && std::string_view(target.data(), static_cast<std::size_t>(length)) == name_space)
      return static_cast<int>(*number);
  }
  return 0;
}

}  // namespace

std::string MountElsewhere::where() const {
  const std::string number = "process " + std::to_string(process);
  return container.empty() ? number + " (" + command + ")" : container + " (" + number + ", " + command + ")";
}

std::string MountElsewhere::name() const {
  const std::string seen_by = "process " + std::to_string(process) + ", " + command;
  return mount.mount_point + " (" + (container.empty() ? seen_by : container) + ")";
}

std::string obstacle_to(const MountTable& table, const Mount& mount) {
  if (table.root() == nullptr) return "the root directory of that process is no mount point";
  if (!table.is_visible(mount)) return "another mount hides it there";
  const auto above = table.ancestors(mount);
  const auto waits = std::find_if(above.begin(), above.end(), [](const Mount* one) { return may_wait(one->type); });
  if (waits == above.end()) return {};
  return "the way to it leads through " + (*waits)->type + ", which may not answer";
}

std::string obstacle_to_namespace_of(int proc, int process) {
  const std::string name = std::to_string(process) + "/ns/mnt";
  const UniqueFd name_space(::openat(proc, name.c_str(), O_RDONLY | O_CLOEXEC));
  if (!name_space) return "that namespace cannot be examined";
  const UniqueFd owner(::ioctl(name_space.get(), NS_GET_USERNS));
  struct stat theirs {};
  struct stat ours {};
  const bool is_known = owner && ::fstat(owner.get(), &theirs) == 0 && ::stat("/proc/self/ns/user", &ours) == 0;
  const bool is_ours = is_known && theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino;
  return is_ours ? "" : "it belongs to a user namespace";
}

Result<UniqueFd> open_elsewhere(const MountElsewhere& mount) {
  auto opened = Way(mount.process).open(mount);
  if (opened || opened.error().errno_value != ESRCH || mount.name_space.empty()) return opened;
  const int other = other_process_in(mount.name_space, mount.process);
  if (other != 0) opened = Way(other).open(mount);
  return opened;
}

}  // namespace dlm_freeze
