// SPDX-License-Identifier: Apache-2.0
#include "quiesce/iris/log_files.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "dlm_freeze/base/files.hpp"
#include "dlm_freeze/quiesce/account.hpp"

namespace dlm_freeze::iris {
namespace {

Result<void> make_directory(const std::string& path, mode_t mode) {
  if (::mkdir(path.c_str(), mode) == 0) {
    if (::chmod(path.c_str(), mode) != 0) return system_failure("cannot make " + path, errno);  // Whatever the umask.
  } else if (errno != EEXIST) {
    return system_failure("cannot make " + path, errno);
  }
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return system_failure("cannot look at " + path, errno);
  if (!S_ISDIR(status.st_mode)) return failure(path + " is not a directory: remove it");
  return {};
}

}  // namespace

Result<std::string> log_directory_of(const std::string& account, const std::string& parent) {
  if (auto made = make_directory(parent, 0755); !made) return tl::unexpected(made.error());
  // From here on nobody but root can put something else in its place.
  if (auto trusted = check_trusted(parent); !trusted) return tl::unexpected(trusted.error());
  std::string directory = parent + "/" + (account.empty() ? "root" : account);
  if (auto made = make_directory(directory, 0700); !made) return tl::unexpected(made.error());
  if (account.empty()) return directory;
  const auto owner = account_named(account);
  if (!owner) return tl::unexpected(owner.error());
  if (::lchown(directory.c_str(), owner->uid, owner->gid) != 0)
    return system_failure("cannot give " + directory + " to " + account, errno);
  return directory;
}

}  // namespace dlm_freeze::iris
