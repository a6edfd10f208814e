// SPDX-License-Identifier: Apache-2.0
#include "sample_module/flag_file_quiescer.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dlm_freeze/base/files.hpp"
#include "dlm_freeze/base/unique_fd.hpp"

namespace dlm_freeze {
namespace {

struct FlagFileOptions {
  std::string path;
};

const OptionTable<FlagFileOptions>& option_table() {
  static const OptionTable<FlagFileOptions> kTable = {
      {"path", &FlagFileOptions::path, "The file.", kAbsolutePath, Need::mandatory},
  };
  return kTable;
}

class FlagFileQuiescer final : public Quiescer {
 public:
  explicit FlagFileQuiescer(FlagFileOptions options)
      : path_(std::move(options.path)), directory_(path_.substr(0, path_.rfind('/') + 1)) {}

  Result<Presence> locate(StageContext& /*context*/) override {
    Presence presence;
    presence.running = ::access(directory_.c_str(), F_OK) == 0;
    presence.detail = presence.running ? "" : "there is no directory " + directory_;
    return presence;
  }

  Result<void> probe(StageContext& context) override {
    if (const Coverage coverage = context.coverage(directory_); coverage.frozen) {
      return failure(path_ + " would be in the snapshot, and stop the restored program: " + coverage.mount_point +
                     " is going to be frozen; use a path in /run");
    }
    if (::access(path_.c_str(), F_OK) == 0) return is_there_already();
    if (::access(directory_.c_str(), W_OK) != 0) {
      return failure("cannot write to " + directory_ + ": " + errno_text(errno), ErrorKind::not_ready);
    }
    return {};
  }

  Result<std::vector<Fact>> quiesce(StageContext& context) override {
    const UniqueFd file(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    if (!file && errno == EEXIST) return is_there_already();
    if (!file) return system_failure("cannot create " + path_, errno);
    holds_ = true;
    if (::write(file.get(), context.execution_id.data(), context.execution_id.size()) < 0) {
      return system_failure("cannot write " + path_, errno);
    }
    return std::vector<Fact>{{"flag_file", path_}};
  }

  Result<void> release(StageContext& /*context*/, Outcome /*outcome*/) override {
    if (!std::exchange(holds_, false)) return {};  // quiesce failed: the file, if there is one, is somebody else's.
    if (::unlink(path_.c_str()) == 0) return {};
    if (errno == ENOENT) return failure("somebody removed " + path_, ErrorKind::protection_lost);
    return system_failure("cannot remove " + path_, errno);
  }

  Result<void> recover(StageContext& context, const std::vector<Fact>& /*facts*/) override {
    const auto holder = read_file(path_);
    if (!holder || *holder != context.execution_id) return {};  // Never created, removed already, or somebody else's.
    if (::unlink(path_.c_str()) != 0) return system_failure("cannot remove " + path_, errno);
    return {};
  }

 private:
  [[nodiscard]] Failure is_there_already() const {
    return failure(path_ + " is there already: somebody else holds it", ErrorKind::already_frozen);
  }

  std::string path_;
  std::string directory_;
  bool holds_ = false;
};

Result<std::unique_ptr<Quiescer>> create(const QuiescerConfig& config) {
  return std::make_unique<FlagFileQuiescer>(option_table().read(config.options));
}

}  // namespace

const QuiescerType& flag_file_quiescer_type() {
  static const QuiescerType kType = {
      .name = "flag_file",
      .description = "A program that stops writing as long as a file exists.",
      .options = option_table().specs(),
      .create = create,
      .detect = nullptr,
  };
  return kType;
}

}  // namespace dlm_freeze
