// SPDX-License-Identifier: Apache-2.0
#include "fakes/fake_kernel.hpp"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <system_error>
#include <utility>

namespace dlm_freeze::fakes {
namespace {

void check(int error, const char* what) {
  if (error != 0) throw std::system_error(error, std::system_category(), what);
}

// std::atomic::wait does not reach other processes.
void wait_while(std::atomic<std::uint32_t>& word, std::uint32_t value) noexcept {
  while (word.load() == value) {
    ::syscall(SYS_futex, &word, FUTEX_WAIT, value, nullptr, nullptr, 0);
  }
}

void set_and_wake(std::atomic<std::uint32_t>& word, std::uint32_t value) noexcept {
  word.store(value);
  ::syscall(SYS_futex, &word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

[[noreturn]] void die() {
  ::raise(SIGKILL);
  std::abort();
}

/// What comes of going astray.
int error_of(FakeKernel::Stray stray) noexcept {
  if (stray == FakeKernel::Stray::file) {
    const UniqueFd file(::open("/etc/passwd", O_RDONLY | O_CLOEXEC));
    return file ? 0 : errno;
  }
  ::execl("/nonexistent", "nonexistent", nullptr);
  return errno;
}

/// Holds a superblock as s_umount is held; also the one of a process that was killed while it held it.
class Holding {
 public:
  explicit Holding(pthread_mutex_t& mutex) : mutex_(&mutex) {
    if (::pthread_mutex_lock(mutex_) == EOWNERDEAD) ::pthread_mutex_consistent(mutex_);
  }
  Holding(const Holding&) = delete;
  Holding& operator=(const Holding&) = delete;
  ~Holding() { ::pthread_mutex_unlock(mutex_); }

 private:
  pthread_mutex_t* mutex_;
};

}  // namespace

FakeKernel::FakeKernel() : shared_(SharedArray<Shared>::create(1).value()) {
  pthread_mutexattr_t attributes;
  check(::pthread_mutexattr_init(&attributes), "pthread_mutexattr_init");
  check(::pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED), "pthread_mutexattr");
  check(::pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST), "pthread_mutexattr");
  for (Superblock& superblock : shared_[0].superblocks) {
    check(::pthread_mutex_init(&superblock.call_under_way, &attributes), "pthread_mutex_init");
    superblock.lies_on.store(kNone);
  }
  ::pthread_mutexattr_destroy(&attributes);
}

UniqueFd FakeKernel::add(Id& id) {
  UniqueFd fd(::memfd_create("filesystem", MFD_CLOEXEC));
  if (!fd) check(errno, "memfd_create");
  return adopt(std::move(fd), id);
}

UniqueFd FakeKernel::add_at(const std::string& directory, Id& id) {
  UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) check(errno, directory.c_str());
  return adopt(std::move(fd), id);
}

UniqueFd FakeKernel::adopt(UniqueFd fd, Id& id) {
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) check(errno, "fstat");
  id = shared_[0].count.load();
  if (id == kMost) check(ENOSPC, "too many filesystems");
  of(id).device = info.st_dev;
  of(id).inode = info.st_ino;
  shared_[0].count.store(id + 1);
  return fd;
}

FakeKernel::Superblock* FakeKernel::find(int fd) const noexcept {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return nullptr;
  for (Id id = 0; id < shared_[0].count.load(); ++id) {
    if (of(id).device == info.st_dev && of(id).inode == info.st_ino) return &of(id);
  }
  return nullptr;
}

template <typename Act>
int FakeKernel::run(int fd, Call call, Act act) noexcept {
  Superblock* superblock = find(fd);
  if (superblock == nullptr) return EBADF;
  CallState& state = of(*superblock, call);
  ++state.begun;
  const Death death = state.death.exchange(Death::never);
  if (death == Death::before) die();
  const Stray stray = state.stray.exchange(Stray::none);
  if (stray != Stray::none) state.astray.store(error_of(stray));
  const Holding holding(superblock->call_under_way);
  wait_while(state.hanging, 1);
  if (call != Call::sync && superblock->lies_on.load() != kNone) {
    wait_while(of(superblock->lies_on.load()).frozen, 1);
  }
  const int error = state.error.load() != 0 ? state.error.load() : act(*superblock);
  if (error == 0) finish(state);
  if (death == Death::after) die();
  return error;
}

void FakeKernel::finish(CallState& state) noexcept {
  state.at.store(BootClock::now().time_since_epoch().count());
  state.order.store(++shared_[0].successes);
  ++state.succeeded;
}

int FakeKernel::sync(int fd) noexcept {
  return run(fd, Call::sync, [](Superblock&) { return 0; });
}

int FakeKernel::flush(int fd) noexcept {
  return run(fd, Call::flush, [](Superblock&) { return 0; });
}

int FakeKernel::freeze(int fd) noexcept {
  return run(fd, Call::freeze, [](Superblock& superblock) {
    if (superblock.frozen.load() != 0) return EBUSY;
    superblock.frozen.store(1);
    return 0;
  });
}

int FakeKernel::thaw(int fd) noexcept {
  if (find(fd) == nullptr) return EINVAL;  // No superblock of a test is frozen there.
  return run(fd, Call::thaw, [](Superblock& superblock) {
    if (superblock.frozen.load() == 0) return EINVAL;
    set_and_wake(superblock.frozen, 0);
    return 0;
  });
}

void FakeKernel::lay(Id upper, Id lower) { of(upper).lies_on.store(lower); }

void FakeKernel::freeze_by_somebody_else(Id id) { of(id).frozen.store(1); }

void FakeKernel::thaw_by_somebody_else(Id id) { set_and_wake(of(id).frozen, 0); }

void FakeKernel::fail(Id id, Call call, int error) { of(of(id), call).error.store(error); }

void FakeKernel::hang(Id id, Call call) { of(of(id), call).hanging.store(1); }

void FakeKernel::let_go(Id id, Call call) { set_and_wake(of(of(id), call).hanging, 0); }

void FakeKernel::let_go_all() {
  for (Id id = 0; id < shared_[0].count.load(); ++id) {
    for (const Call call : {Call::sync, Call::freeze, Call::thaw, Call::flush}) let_go(id, call);
  }
}

void FakeKernel::kill_caller(Id id, Call call, Death death) { of(of(id), call).death.store(death); }

void FakeKernel::go_astray(Id id, Call call, Stray stray) { of(of(id), call).stray.store(stray); }

std::optional<int> FakeKernel::astray(Id id, Call call) const {
  const int error = of(of(id), call).astray.load();
  return error == kNotAstray ? std::nullopt : std::optional(error);
}

bool FakeKernel::any_frozen() const {
  for (Id id = 0; id < shared_[0].count.load(); ++id) {
    if (is_frozen(id)) return true;
  }
  return false;
}

int FakeKernel::begun(Id id, Call call) const { return of(of(id), call).begun.load(); }

int FakeKernel::succeeded(Id id, Call call) const { return of(of(id), call).succeeded.load(); }

int FakeKernel::order(Id id, Call call) const { return of(of(id), call).order.load(); }

BootClock::time_point FakeKernel::frozen_at(Id id) const {
  return BootClock::time_point(BootClock::duration(of(of(id), Call::freeze).at.load()));
}

BootClock::time_point FakeKernel::thawed_at(Id id) const {
  return BootClock::time_point(BootClock::duration(of(of(id), Call::thaw).at.load()));
}

}  // namespace dlm_freeze::fakes
