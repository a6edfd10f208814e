// SPDX-License-Identifier: Apache-2.0
// FUSE's protocol (linux/fuse.h) without its library: of some forty requests, a loop device's image needs twelve.
#include "hanging_store.hpp"

#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <deque>
#include <filesystem>
#include <string_view>
#include <vector>

#include "dlm_freeze/base/unique_fd.hpp"
#include "shared_memory.hpp"

namespace dlm_freeze::integration {
namespace {

constexpr std::uint32_t kLargestWrite = 128 * 1024;
constexpr std::uint32_t kMinorVersion = 31;  // Of the protocol: what this program was written for.
constexpr std::uint64_t kForever = 3600;     // Seconds for which the kernel may remember names and attributes.

struct File {
  std::string name;
  UniqueFd content;
};

}  // namespace

class HangingStore::Server {
 public:
  Server(UniqueFd device, Shared& shared) : device_(std::move(device)), shared_(shared) {}

  [[noreturn]] void run() {
    std::vector<char> request(kLargestWrite + 4096);
    for (;;) {
      if (is_hanging()) {
        if (!poll_for(Milliseconds(5))) continue;
      } else {
        do_waiting();
        if (!poll_for(Milliseconds(20))) continue;
      }
      const ssize_t size = ::read(device_.get(), request.data(), request.size());
      if (size < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOENT)) continue;
      if (size < static_cast<ssize_t>(sizeof(fuse_in_header))) ::_exit(0);  // It is unmounted.
      const std::string_view whole(request.data(), static_cast<std::size_t>(size));
      if (is_hanging() && may_hang(whole)) {
        waiting_.emplace_back(whole);
        shared_.waiting.store(static_cast<unsigned>(waiting_.size()));
      } else {
        do_waiting();
        answer(whole);
      }
    }
  }

 private:
  /// Since when, and not for longer than it may.
  bool is_hanging() {
    if (!shared_.hangs.load()) {
      hangs_until_ = {};
      return false;
    }
    if (hangs_until_ == Clock::time_point()) hangs_until_ = Clock::now() + kLongest;
    return Clock::now() < hangs_until_;
  }

  [[nodiscard]] bool poll_for(Milliseconds limit) const {
    pollfd readable{device_.get(), POLLIN, 0};
    return ::poll(&readable, 1, static_cast<int>(limit.count())) > 0;
  }

  static const fuse_in_header& header_of(std::string_view request) {
    return *reinterpret_cast<const fuse_in_header*>(request.data());
  }
  template <typename Body>
  static const Body& body_of(std::string_view request) {
    return *reinterpret_cast<const Body*>(request.data() + sizeof(fuse_in_header));
  }
  static std::string name_after(std::string_view request, std::size_t size) {
    return request.data() + sizeof(fuse_in_header) + size;
  }

  static bool may_hang(std::string_view request) {
    const std::uint32_t opcode = header_of(request).opcode;
    return opcode == FUSE_WRITE || opcode == FUSE_FSYNC;
  }

  void do_waiting() {
    for (; !waiting_.empty(); waiting_.pop_front()) answer(waiting_.front());
    shared_.waiting.store(0);
  }

  void answer(std::string_view request) {
    const fuse_in_header& header = header_of(request);
    switch (header.opcode) {
      case FUSE_INIT: {
        fuse_init_out agreed{};
        agreed.major = FUSE_KERNEL_VERSION;
        agreed.minor = std::min(body_of<fuse_init_in>(request).minor, kMinorVersion);
        agreed.flags = FUSE_BIG_WRITES;
        agreed.max_write = kLargestWrite;
        return reply(header, agreed);
      }
      case FUSE_LOOKUP: {
        const std::uint64_t node = node_of(name_after(request, 0));
        return node == 0 ? fail(header, ENOENT) : reply(header, entry_of(node));
      }
      case FUSE_CREATE: {
        files_.push_back({name_after(request, sizeof(fuse_create_in)), UniqueFd(::memfd_create("image", MFD_CLOEXEC))});
        const std::uint64_t node = FUSE_ROOT_ID + files_.size();
        struct {
          fuse_entry_out entry;
          fuse_open_out open;
        } created{entry_of(node), opened(node)};
        return reply(header, created);
      }
      case FUSE_GETATTR:
        return reply(header, shown(header.nodeid));
      case FUSE_SETATTR: {
        const auto& wanted = body_of<fuse_setattr_in>(request);
        if ((wanted.valid & FATTR_SIZE) != 0 && ::ftruncate(content_of(header.nodeid), static_cast<off_t>(wanted.size)))
          return fail(header, errno);
        return reply(header, shown(header.nodeid));
      }
      case FUSE_OPEN:
      case FUSE_OPENDIR:
        return reply(header, opened(header.nodeid));
      case FUSE_READ: {
        const auto& wanted = body_of<fuse_read_in>(request);
        data_.resize(wanted.size);
        const ssize_t got =
            ::pread(content_of(header.nodeid), data_.data(), data_.size(), static_cast<off_t>(wanted.offset));
        return got < 0 ? fail(header, errno) : send(header, 0, data_.data(), static_cast<std::size_t>(got));
      }
      case FUSE_WRITE: {
        const auto& wanted = body_of<fuse_write_in>(request);
        const ssize_t put =
            ::pwrite(content_of(header.nodeid), request.data() + sizeof(fuse_in_header) + sizeof(fuse_write_in),
                     wanted.size, static_cast<off_t>(wanted.offset));
        if (put < 0) return fail(header, errno);
        return reply(header, fuse_write_out{static_cast<std::uint32_t>(put), 0});
      }
      case FUSE_STATFS:
        return reply(header, fuse_statfs_out{});
      case FUSE_FSYNC:
      case FUSE_FLUSH:
      case FUSE_RELEASE:
      case FUSE_RELEASEDIR:
      case FUSE_DESTROY:
        return fail(header, 0);
      case FUSE_FORGET:
      case FUSE_BATCH_FORGET:
      case FUSE_INTERRUPT:
        return;  // They have no answer.
      default:
        return fail(header, ENOSYS);
    }
  }

  [[nodiscard]] std::uint64_t node_of(const std::string& name) const {
    for (std::size_t i = 0; i < files_.size(); ++i) {
      if (files_[i].name == name) return FUSE_ROOT_ID + 1 + i;
    }
    return 0;
  }
  [[nodiscard]] int content_of(std::uint64_t node) const { return files_.at(node - FUSE_ROOT_ID - 1).content.get(); }

  [[nodiscard]] fuse_attr attributes_of(std::uint64_t node) const {
    fuse_attr attributes{};
    attributes.ino = node;
    attributes.mode = S_IFDIR | 0700;
    attributes.nlink = 1;
    if (node == FUSE_ROOT_ID) return attributes;
    struct stat info {};
    ::fstat(content_of(node), &info);
    attributes.mode = S_IFREG | 0600;
    attributes.size = static_cast<std::uint64_t>(info.st_size);
    attributes.blocks = static_cast<std::uint64_t>(info.st_blocks);
    return attributes;
  }
  [[nodiscard]] fuse_attr_out shown(std::uint64_t node) const { return {kForever, 0, 0, attributes_of(node)}; }
  [[nodiscard]] fuse_entry_out entry_of(std::uint64_t node) const {
    return {node, 0, kForever, kForever, 0, 0, attributes_of(node)};
  }
  static fuse_open_out opened(std::uint64_t node) {
    fuse_open_out open{};
    open.fh = node;
    open.open_flags = FOPEN_KEEP_CACHE;
    return open;
  }

  template <typename Body>
  void reply(const fuse_in_header& to, const Body& body) const {
    send(to, 0, &body, sizeof body);
  }
  void fail(const fuse_in_header& to, int error) const { send(to, error, nullptr, 0); }

  void send(const fuse_in_header& to, int error, const void* body, std::size_t size) const {
    fuse_out_header header{static_cast<std::uint32_t>(sizeof(fuse_out_header) + size), -error, to.unique};
    const std::array<iovec, 2> parts = {iovec{&header, sizeof header}, iovec{const_cast<void*>(body), size}};
    static_cast<void>(!::writev(device_.get(), parts.data(), static_cast<int>(parts.size())));
  }

  UniqueFd device_;
  Shared& shared_;
  Clock::time_point hangs_until_;
  std::deque<std::string> waiting_;
  std::vector<File> files_;
  std::vector<char> data_;
};

HangingStore::HangingStore(const std::string& directory) : shared_(make_shared_memory<Shared>()) {
  std::filesystem::create_directories(directory);
  UniqueFd device(check(::open("/dev/fuse", O_RDWR | O_CLOEXEC), "/dev/fuse"));
  const std::string options = "fd=" + std::to_string(device.get()) + ",rootmode=40700,user_id=0,group_id=0";
  check(::mount("store", directory.c_str(), "fuse", 0, options.c_str()), "mount fuse");
  const pid_t parent = ::getpid();
  server_ = check(::fork(), "fork");
  if (server_ != 0) return;  // This process closes the device: with the server's the connection ends.
  die_with_parent(parent);
  Server(std::move(device), *shared_).run();
}

HangingStore::~HangingStore() {
  ::kill(server_, SIGKILL);
  ::waitpid(server_, nullptr, 0);
  free_shared_memory(shared_);
}

void HangingStore::hang() { shared_->hangs.store(true); }

void HangingStore::let_go() {
  shared_->hangs.store(false);
  static_cast<void>(eventually([this] { return waiting() == 0; }, std::chrono::seconds(2)));
}

}  // namespace dlm_freeze::integration
