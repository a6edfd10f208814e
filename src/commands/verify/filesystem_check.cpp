// SPDX-License-Identifier: Apache-2.0
#include "commands/verify/filesystem_check.hpp"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/text.hpp"
#include "commands/verify/tools.hpp"

namespace dlm_freeze {
namespace {

constexpr const char* kWasWritten = "was not frozen, or was written to after that";

/// The metadata of a filesystem, in a file full of holes, after the kernel has mounted that: what it does then to
/// deleted files and counters is done.
class TidyMetadata {
 public:
  TidyMetadata(std::string type, const std::string& scratch)
      : type_(std::move(type)), image_(scratch + "/metadata"), place_(scratch + "/mounted") {}
  TidyMetadata(const TidyMetadata&) = delete;
  TidyMetadata& operator=(const TidyMetadata&) = delete;
  ~TidyMetadata() { ::unlink(image_.c_str()); }

  [[nodiscard]] const std::string& image() const { return image_; }

  Finding tidy() {
    const UniqueFd file(::open(image_.c_str(), O_RDWR | O_CLOEXEC));
    if (!file) return unchecked("cannot open the copy of its metadata: " + errno_text(errno));
    const auto loop = attach_loop(file.get());
    if (!loop) return unchecked(loop.error().message);
    ::mkdir(place_.c_str(), 0700);
    if (::mount(loop->path.c_str(), place_.c_str(), type_.c_str(), MS_NOSUID | MS_NODEV | MS_NOEXEC,
                type_ == "xfs" ? "nouuid" : "errors=continue") != 0)
      return bad("the kernel does not mount its metadata: " + errno_text(errno));
    if (::umount2(place_.c_str(), 0) != 0) return unchecked("cannot unmount its metadata: " + errno_text(errno));
    return {};
  }

 private:
  std::string type_;
  std::string image_;
  std::string place_;
};

/// Has `argv` make something; empty when it did, else why not.
Finding make(std::vector<std::string> argv, const CheckList& checks) {
  const auto made = run_program(tool(std::move(argv)), checks.patience());
  if (!made) return unchecked(made.error().message);
  if (made->exit_status != 0) return bad("its metadata cannot be read: " + last_line(made->output));
  return {};
}

Finding check_ext4(const Copy& copy, const std::string& scratch, const CheckList& checks) {
  const std::string fsck = find_program({"e2fsck"});
  if (fsck.empty()) return missing_program("e2fsck");
  if (finding_of(run_program(tool({fsck, "-f", "-n", copy.loop->path}), checks.patience())).proof == Proof::good)
    return {};
  const std::string e2image = find_program({"e2image"});
  if (e2image.empty()) return missing_program("e2image");
  TidyMetadata metadata("ext4", scratch);
  if (Finding made = make({e2image, "-r", copy.loop->path, metadata.image()}, checks); made.proof != Proof::good)
    return made;
  if (Finding tidy = metadata.tidy(); tidy.proof != Proof::good) return tidy;
  return finding_of(run_program(tool({fsck, "-f", "-n", metadata.image()}), checks.patience()));
}

Finding check_xfs(const Copy& copy, const std::string& scratch, const CheckList& checks) {
  const std::string repair = find_program({"xfs_repair"});
  const std::string dump = find_program({"xfs_metadump"});
  const std::string restore = find_program({"xfs_mdrestore"});
  if (repair.empty()) return missing_program("xfs_repair");
  if (dump.empty() || restore.empty()) return missing_program("xfs_metadump and xfs_mdrestore");
  TidyMetadata metadata("xfs", scratch);
  const std::string dumped = metadata.image() + ".dump";
  Finding made = make({dump, "-o", copy.loop->path, dumped}, checks);
  if (made.proof == Proof::good) made = make({restore, dumped, metadata.image()}, checks);
  ::unlink(dumped.c_str());
  if (made.proof != Proof::good) return made;
  if (Finding tidy = metadata.tidy(); tidy.proof != Proof::good) return tidy;
  return finding_of(run_program(tool({repair, "-n", metadata.image()}), checks.patience()));
}

/// It is mounted, but nothing is written to it.
Finding check_btrfs(const Copy& copy, const CheckList& checks) {
  const std::string btrfs = find_program({"btrfs"});
  if (btrfs.empty()) return missing_program("btrfs");
  return finding_of(run_program(tool({btrfs, "check", "--readonly", "--force", "--check-data-csum", copy.loop->path}),
                                checks.patience()));
}

/// Whether it is as a freeze leaves it.
Finding check_frozen(const Copy& copy, const CheckList& checks) {
  if (copy.superblock->has_errors) return bad("the kernel has noted errors in it");
  if (copy.superblock->needs_recovery) return bad(std::string("its journal has to be replayed: it ") + kWasWritten);
  if (copy.superblock->type != "xfs") return {};
  const std::string logprint = find_program({"xfs_logprint"});
  if (logprint.empty()) return missing_program("xfs_logprint");
  std::string output;
  const auto ran = run_by_line(tool({logprint, "-t", copy.loop->path}), checks.patience(), [&](std::string_view line) {
    if (output.size() < (std::size_t{1} << 20)) output += std::string(line) + "\n";
  });
  if (!ran) return unchecked(ran.error().message);
  const XfsLog log = read_xfs_log(output);
  if (*ran != 0 || !log.is_output) return unchecked("xfs_logprint " + exited(*ran, output));
  if (!log.has_only_superblock) return bad(std::string("its log has to be replayed: it ") + kWasWritten);
  return {};
}

}  // namespace

XfsLog read_xfs_log(std::string_view output) {
  XfsLog log;
  bool is_buffer_named = true;
  for (const std::string_view line : split(output, '\n')) {
    const std::string_view text = trimmed(line);
    if (text.starts_with("log tail:")) log.is_output = true;
    // Items are not indented, and each has its regions and its kind below it.
    const bool is_item = line.starts_with("BUF:");
    if (is_item) {
      log.has_only_superblock &= is_buffer_named;
      is_buffer_named = false;
    } else if (text == "SUPER Block Buffer:") {
      is_buffer_named = true;
    } else if (!line.empty() && line.front() >= 'A' && line.front() <= 'Z' && line.find(": cnt:") != line.npos) {
      log.has_only_superblock = false;
    }
  }
  log.has_only_superblock &= is_buffer_named;
  return log;
}

void check_filesystem(const std::string& subject, const Copy& copy, const std::string& scratch, CheckList& checks) {
  if (!copy.loop) return checks.add_unchecked(subject, "filesystem", copy.why_no_device);
  const std::string& type = copy.superblock->type;
  if (checks.run(subject, "as frozen", [&] { return check_frozen(copy, checks); }) == Proof::bad) return;
  if (type == "xfs") {
    checks.run(subject, "xfs_repair -n", [&] { return check_xfs(copy, scratch, checks); });
  } else if (type == "btrfs") {
    checks.run(subject, "btrfs check", [&] { return check_btrfs(copy, checks); });
  } else {
    checks.run(subject, "e2fsck -f -n", [&] { return check_ext4(copy, scratch, checks); });
  }
}

}  // namespace dlm_freeze
