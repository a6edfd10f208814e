// SPDX-License-Identifier: Apache-2.0
#include "fs/dirty_memory.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <initializer_list>
#include <string_view>
#include <utility>

#include "base/text.hpp"
#include "fs/sysfs.hpp"

namespace dlm_freeze {
namespace {

constexpr std::uint64_t kKibi = 1024;
constexpr std::uint64_t kSectorBytes = 512;
/// Of what the host writes back, the share that makes the host's dirty memory one device's.
constexpr double kNearlyAll = 0.8;

UniqueFd open_for_reading(const std::string& path) { return UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC)); }

/// What the kernel has to say now: such a file begins anew at every read from its beginning.
std::string text_of(int fd) {
  constexpr std::size_t kPart = 16384;
  std::string text;
  for (;;) {
    const std::size_t size = text.size();
    text.resize(size + kPart);
    const ssize_t count = ::pread(fd, text.data() + size, kPart, static_cast<off_t>(size));
    text.resize(size + static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    if (count <= 0) return text;
  }
}

std::uint64_t pages_of(std::string_view vmstat, std::initializer_list<std::string_view> keys) {
  std::uint64_t pages = 0;
  for (const std::string_view key : keys) pages += value_of(vmstat, key);
  return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

std::uint64_t dirty_of(std::string_view vmstat) { return pages_of(vmstat, {"nr_dirty", "nr_writeback"}); }

/// What was written to each device since the host was started (Documentation/admin-guide/iostats.rst).
std::vector<std::uint64_t> written_by(std::string_view diskstats, const std::vector<std::string>& numbers) {
  constexpr std::size_t kSectorsWritten = 6;  // After the name.
  std::vector<std::uint64_t> written(numbers.size());
  for (std::string_view line : split(diskstats, '\n')) {
    std::string number(next_word(line));
    number += ":" + std::string(next_word(line));
    const auto found = std::find(numbers.begin(), numbers.end(), number);
    if (found == numbers.end()) continue;
    static_cast<void>(next_word(line));
    for (std::size_t i = 0; i < kSectorsWritten; ++i) static_cast<void>(next_word(line));
    written[static_cast<std::size_t>(found - numbers.begin())] = number_of(next_word(line)) * kSectorBytes;
  }
  return written;
}

}  // namespace

std::uint64_t dirty_on_host(const DeviceRoots& roots) {
  const UniqueFd vmstat = open_for_reading(roots.proc + "/vmstat");
  return dirty_of(text_of(vmstat.get()));
}

DirtyMemory DirtyMemory::open(std::vector<std::string> names, const DeviceRoots& roots) {
  DirtyMemory memory;
  memory.names_ = std::move(names);
  for (const std::string& name : memory.names_) {
    UniqueFd fd = open_for_reading(roots.sys + "/kernel/debug/bdi/" + name + "/stats");
    if (!fd) break;
    memory.stats_.push_back(std::move(fd));
  }
  if (memory.stats_.size() == memory.names_.size()) return memory;
  memory.stats_.clear();
  memory.vmstat_ = open_for_reading(roots.proc + "/vmstat");
  memory.diskstats_ = open_for_reading(roots.proc + "/diskstats");
  return memory;
}

std::vector<DirtySample> DirtyMemory::look() {
  std::vector<DirtySample> samples(names_.size());
  for (DirtySample& sample : samples) sample.at = BootClock::now();
  stats_.empty() ? look_at_host(samples) : look_at_each(samples);
  return samples;
}

void DirtyMemory::look_at_each(std::vector<DirtySample>& samples) const {
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const std::string text = text_of(stats_[i].get());
    samples[i].dirty = (value_of(text, "BdiReclaimable:") + value_of(text, "BdiWriteback:")) * kKibi;
    samples[i].written = value_of(text, "BdiWritten:") * kKibi;
  }
}

void DirtyMemory::look_at_host(std::vector<DirtySample>& samples) {
  const std::string vmstat = text_of(vmstat_.get());
  const std::uint64_t written = pages_of(vmstat, {"nr_written"});
  const std::vector<std::uint64_t> by_each = written_by(text_of(diskstats_.get()), names_);
  if (first_.empty()) {
    first_ = by_each;
    first_of_host_ = written;
  }
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const bool is_host = names_[i] == kHost;
    samples[i].written = is_host ? written : by_each[i];
    const auto share = static_cast<double>(by_each[i] - first_[i]);
    if (is_host || share >= kNearlyAll * static_cast<double>(written - first_of_host_))
      samples[i].dirty = dirty_of(vmstat);
  }
}

void DirtyMemory::add_descriptors(std::vector<int>& keep) const {
  for (const UniqueFd& fd : stats_) keep.push_back(fd.get());
  keep.insert(keep.end(), {vmstat_.get(), diskstats_.get()});
}

}  // namespace dlm_freeze
