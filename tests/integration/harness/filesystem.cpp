// SPDX-License-Identifier: Apache-2.0
#include "filesystem.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <vector>

#include "system.hpp"

namespace dlm_freeze::integration {
namespace {

constexpr std::uint64_t kMegabyte = std::uint64_t{1} << 20;

struct Recipe {
  std::uint64_t size;  ///< Not much above the least that mkfs accepts; the images are sparse.
  std::vector<std::string> mkfs;
};

Recipe recipe_of(const std::string& type) {
  if (type == "ext4") return {32 * kMegabyte, {"mkfs.ext4", "-q", "-F"}};
  if (type == "xfs") return {320 * kMegabyte, {"mkfs.xfs", "-q", "-f"}};
  if (type == "btrfs") return {128 * kMegabyte, {"mkfs.btrfs", "-q", "-f"}};
  throw std::invalid_argument("no recipe for a filesystem of type " + type);
}

std::string new_image_in(const std::string& directory) {
  static int count = 0;
  std::filesystem::create_directories(directory);
  return directory + "/" + std::to_string(++count) + ".img";
}

LoopDevice formatted(const FilesystemSpec& spec) {
  auto [size, mkfs] = recipe_of(spec.type);
  LoopDevice loop(new_image_in(spec.image_directory), std::max(size, spec.size));
  mkfs.push_back(loop.path());
  run_tool(mkfs);
  return loop;
}

/// The node that it is mounted by.
std::string source_of(const FilesystemSpec& spec, const LoopDevice& loop) {
  if (spec.node.empty()) return loop.path();
  struct stat info {};
  check(::stat(loop.path().c_str(), &info), loop.path());
  std::filesystem::create_directories(std::filesystem::path(spec.node).parent_path());
  check(::mknod(spec.node.c_str(), S_IFBLK | 0600, info.st_rdev), spec.node);
  // The kernel remembers the name by which mkfs announced the device.
  if (spec.type == "btrfs") run_tool({"btrfs", "device", "scan", "--forget", loop.path()});
  return spec.node;
}

}  // namespace

Filesystem::Filesystem(const FilesystemSpec& spec)
    : type_(spec.type), mount_point_(spec.mount_point), loop_(formatted(spec)) {
  std::filesystem::create_directories(mount_point_);
  const std::string source = source_of(spec, loop_);
  check(::mount(source.c_str(), mount_point_.c_str(), type_.c_str(), spec.flags, spec.options.c_str()),
        "mount " + mount_point_);
  directory_ = UniqueFd(check(::open(mount_point_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC), mount_point_));
}

void Filesystem::mount_also(const std::string& mount_point, const std::string& options) const {
  std::filesystem::create_directories(mount_point);
  check(::mount(device().c_str(), mount_point.c_str(), type_.c_str(), 0, options.c_str()), "mount " + mount_point);
}

void Filesystem::sync() const { check(::syncfs(directory()), "syncfs"); }

void Filesystem::freeze() const { check(::ioctl(directory(), FIFREEZE, 0), "FIFREEZE"); }

bool Filesystem::thaw() const {
  if (::ioctl(directory(), FITHAW, 0) == 0) return true;
  if (errno != EINVAL) check(-1, "FITHAW");
  return false;
}

}  // namespace dlm_freeze::integration
