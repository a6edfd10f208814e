// SPDX-License-Identifier: Apache-2.0
#include "commands/verify/private_root.hpp"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <iterator>
#include <string_view>
#include <system_error>

#include "base/text.hpp"
#include "commands/verify/loop.hpp"
#include "commands/verify/tools.hpp"

namespace dlm_freeze {
namespace {

namespace stdfs = std::filesystem;

const std::string kSpace = std::string(kWork) + "/space";
const std::string kNewRoot = std::string(kWork) + "/root";
constexpr const char* kOldRoot = "/.dlm-freeze-host";
constexpr unsigned long kTame = MS_NOSUID | MS_NODEV;
/// Of the space for writes what is left to the filesystem itself.
constexpr auto kFormatPatience = std::chrono::minutes(5);

/// One that is there already is left as it is: it may be the host's.
Result<void> make_directory(const std::string& path) {
  std::error_code error;
  const bool is_new = stdfs::create_directories(path, error);
  if (error || (is_new && ::chmod(path.c_str(), 0755) != 0)) return failure("cannot create " + path);
  return {};
}

Result<void> mount_or_say(const char* source, const std::string& target, const char* type, unsigned long flags,
                          const std::string& options) {
  if (auto made = make_directory(target); !made) return made;
  if (::mount(source, target.c_str(), type, flags, options.c_str()) != 0)
    return system_failure(std::string("cannot mount ") + type + " on " + target, errno);
  return {};
}

Result<void> mount_overlay(const std::string& lower, const std::string& space, const std::string& target,
                           unsigned long flags) {
  for (const char* part : {"/upper", "/work"}) {
    if (auto made = make_directory(space + part); !made) return made;
  }
  return mount_or_say("overlay", target, "overlay", flags,
                      "lowerdir=" + lower + ",upperdir=" + space + "/upper,workdir=" + space + "/work");
}

/// A filesystem on a sparse file without a name.
Result<void> mount_space(const std::string& scratch) {
  const UniqueFd file(::open(scratch.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  struct statvfs space {};
  if (!file || ::fstatvfs(file.get(), &space) != 0)
    return system_failure("cannot create a file without a name in " + scratch, errno);
  const std::uint64_t size = std::uint64_t{space.f_bavail} * space.f_frsize / 10 * 9;
  if (::ftruncate(file.get(), static_cast<off_t>(size)) != 0)
    return system_failure("cannot use the space of " + scratch, errno);
  const auto loop = attach_loop(file.get());
  if (!loop) return tl::unexpected(loop.error());
  const std::string mkfs = find_program({"mkfs.ext4"});
  if (mkfs.empty()) return failure("--scratch needs mkfs.ext4, which is not installed");
  const auto made = run_program(tool({mkfs, "-q", "-m", "0", "-E", "nodiscard,lazy_itable_init=1", loop->path}),
                                {Deadline::in(kFormatPatience)});
  if (!made) return tl::unexpected(made.error());
  if (made->exit_status != 0) return failure(mkfs + " " + exited(made->exit_status, made->output));
  // Nor are its inode tables to be filled in the background, which an unmount would wait for.
  return mount_or_say(loop->path.c_str(), kSpace, "ext4", kTame, "noinit_itable");
}

/// What only the kernel makes, as far as a server needs it.
Result<void> mount_system() {
  if (auto proc = mount_or_say("proc", "/proc", "proc", kTame | MS_NOEXEC, ""); !proc) return proc;
  ::mount("sysfs", "/sys", "sysfs", kTame | MS_NOEXEC | MS_RDONLY, "");  // Servers do without.
  if (auto dev = mount_or_say("tmpfs", "/dev", "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=0755"); !dev) return dev;
  for (const char* name : {"null", "zero", "full", "random", "urandom"}) {
    const std::string device = std::string("/dev/") + name;
    const UniqueFd node(::open(device.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0666));
    if (::mount((kOldRoot + device).c_str(), device.c_str(), nullptr, MS_BIND, nullptr) != 0)
      return system_failure("cannot mount " + device, errno);
  }
  for (const auto& [name, target] :
       {std::pair("/dev/fd", "/proc/self/fd"), std::pair("/dev/stderr", "/proc/self/fd/2")})
    static_cast<void>(!::symlink(target, name));
  if (auto shared = mount_or_say("tmpfs", "/dev/shm", "tmpfs", kTame, "mode=1777"); !shared) return shared;
  return mount_or_say("tmpfs", "/tmp", "tmpfs", kTame, "mode=1777");
}

/// Directories of programs that are mounts of their own, so that an overlay does not show them.
Result<void> bind_program_directories() {
  struct stat root {};
  if (::stat(kOldRoot, &root) != 0) return system_failure("cannot see the host's root", errno);
  for (const char* directory : {"/usr", "/usr/local", "/opt", "/etc", "/nix", "/gnu"}) {
    const std::string original = kOldRoot + std::string(directory);
    struct stat info {};
    if (::lstat(original.c_str(), &info) != 0 || !S_ISDIR(info.st_mode) || info.st_dev == root.st_dev) continue;
    if (::mount(original.c_str(), directory, nullptr, MS_BIND, nullptr) != 0 ||
        ::mount(nullptr, directory, nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY | kTame, nullptr) != 0)
      return system_failure(std::string("cannot mount ") + directory, errno);
  }
  return {};
}

/// Of /etc and of programs the host's own are needed, which run as root; the rest is made here.
constexpr const char* kReserved[] = {"/proc",    "/sys",      "/dev",     "/run",       "/tmp",
                                     "/etc",     "/bin",      "/sbin",    "/lib",       "/lib64",
                                     "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib64", "/usr/libexec"};

bool lies_in(const std::string& path, const std::string& directory) {
  return (path + "/").starts_with(directory + "/");
}

bool is_reserved(const std::string& mount_point) {
  return mount_point == "/" || mount_point == "/usr" || lies_in(mount_point, kOldRoot) ||
         std::any_of(std::begin(kReserved), std::end(kReserved),
                     [&](const char* directory) { return lies_in(mount_point, directory); });
}

/// Makes what is missing of the directory `path`, and opens it. No symbolic link is followed: it may be a copy's.
Result<UniqueFd> make_mount_point(const std::string& path) {
  constexpr int kFlags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  UniqueFd directory(::open("/", kFlags));
  for (const std::string_view part : split(path, '/')) {
    const std::string name(part);
    if (name.empty()) continue;
    if (::mkdirat(directory.get(), name.c_str(), 0755) != 0 && errno != EEXIST)
      return system_failure("cannot create the mount point " + path, errno);
    directory = UniqueFd(::openat(directory.get(), name.c_str(), kFlags));
    if (!directory)
      return system_failure("cannot use the mount point " + path + ": '" + name + "' is not a directory", errno);
  }
  return directory;
}

std::string staged(std::size_t copy) { return "/run/copies/" + std::to_string(copy); }

/// Under names of this program's alone, which lead through no copy, as long as the host's root can be reached.
Result<void> stage(const std::vector<PlacedCopy>& copies) {
  for (std::size_t i = 0; i < copies.size(); ++i) {
    auto mounted = mount_overlay(kOldRoot + copies[i].root, kOldRoot + kSpace + "/" + std::to_string(i), staged(i),
                                 kTame | MS_NOEXEC);
    if (!mounted) return mounted;
  }
  return {};
}

/// Moves them to where a manifest says, which is not to be trusted.
Result<void> move_into_place(const std::vector<PlacedCopy>& copies) {
  for (std::size_t i = 0; i < copies.size(); ++i) {
    const auto directory = make_mount_point(copies[i].mount_point);
    if (!directory) return tl::unexpected(directory.error());
    const std::string target = "/proc/self/fd/" + std::to_string(directory->get());
    if (::mount(staged(i).c_str(), target.c_str(), nullptr, MS_MOVE, nullptr) != 0)
      return system_failure("cannot mount the copy on " + copies[i].mount_point, errno);
    ::rmdir(staged(i).c_str());
  }
  return {};
}

}  // namespace

Result<void> mount_work(const std::string& scratch, std::uint64_t most) {
  const std::string size = most == 0 ? "50%" : std::to_string(most);
  if (auto work = mount_or_say("tmpfs", kWork, "tmpfs", kTame, "mode=0755,size=" + size); !work) return work;
  if (auto space = make_directory(kSpace); !space) return space;
  return scratch.empty() ? Result<void>() : mount_space(scratch);
}

Result<void> enter_private_root(std::vector<PlacedCopy> copies) {
  if (auto root = mount_overlay("/", std::string(kWork) + "/root-space", kNewRoot, kTame); !root) return root;
  if (auto old = make_directory(kNewRoot + kOldRoot); !old) return old;
  if (::syscall(SYS_pivot_root, kNewRoot.c_str(), (kNewRoot + kOldRoot).c_str()) != 0 || ::chdir("/") != 0)
    return system_failure("cannot change the root directory", errno);
  if (auto system = mount_system(); !system) return system;
  if (auto programs = bind_program_directories(); !programs) return programs;
  if (auto run = mount_or_say("tmpfs", "/run", "tmpfs", kTame, "mode=0755"); !run) return run;
  std::erase_if(copies, [](const PlacedCopy& copy) { return is_reserved(copy.mount_point); });
  // One may have been mounted below another.
  std::sort(copies.begin(), copies.end(), [](const PlacedCopy& left, const PlacedCopy& right) {
    return left.mount_point.size() < right.mount_point.size();
  });
  if (auto mounted = stage(copies); !mounted) return mounted;
  if (::umount2(kOldRoot, MNT_DETACH) != 0) return system_failure("cannot leave the host's root directory", errno);
  if (auto moved = move_into_place(copies); !moved) return moved;
  return make_directory(kRunDirectory);
}

}  // namespace dlm_freeze
