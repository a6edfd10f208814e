// SPDX-License-Identifier: Apache-2.0
#include "base/privileges.hpp"

#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace dlm_freeze {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(DLM_FREEZE_COVERAGE)
constexpr bool kIsInstrumented = true;
#elif defined(__has_feature)
constexpr bool kIsInstrumented = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
constexpr bool kIsInstrumented = false;
#endif

#if defined(__x86_64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
#error "which architecture a filter of system calls is for has to be said here"
#endif

constexpr std::array kCallsOfFreezing = {
    // The filesystems, and what was opened for the record and the kernel's variables.
    SYS_syncfs,
    SYS_fsync,
    SYS_read,
    SYS_write,
    SYS_pread64,
    SYS_pwrite64,
    SYS_ftruncate,
    SYS_fcntl,
    SYS_close,
    SYS_fstat,
    SYS_newfstatat,
    // Waiting, and other processes of the session.
    SYS_ppoll,
    SYS_futex,
    SYS_sendto,
    SYS_recvfrom,
    SYS_timerfd_settime,
    SYS_restart_syscall,
    SYS_wait4,
    SYS_getpid,
    SYS_getppid,
    SYS_gettid,
    SYS_pidfd_send_signal,
    // Memory, threads and time, as the C library has them.
    SYS_brk,
    SYS_mmap,
    SYS_munmap,
    SYS_mremap,
    SYS_mprotect,
    SYS_madvise,
    SYS_mlock,
    SYS_getrandom,
    SYS_clock_gettime,
    SYS_clock_nanosleep,
    SYS_gettimeofday,
    SYS_sched_yield,
    SYS_sched_getaffinity,
    SYS_rt_sigprocmask,
    SYS_rt_sigaction,
    SYS_rt_sigreturn,
    SYS_set_robust_list,
    SYS_rseq,
    SYS_membarrier,
    SYS_tgkill,
    SYS_exit,
    SYS_exit_group,
#if defined(SYS_poll)
    SYS_poll,
#endif
};

constexpr std::array kCallsOfRecording = {
    // The record, the history, the metrics, the inventory; the mount table, for the way to the log.
    SYS_openat,
    SYS_lseek,
    SYS_fallocate,
    SYS_renameat,
    SYS_unlinkat,
    SYS_mkdirat,
    SYS_fchmod,
    SYS_getdents64,
    SYS_statx,
    SYS_statfs,
    SYS_fstatfs,
    SYS_faccessat,
    SYS_readlinkat,
    // The log, and whoever asks for the end.
    SYS_socket,
    SYS_connect,
    SYS_accept4,
    // A new sentinel, its threads, and what they wait by.
    SYS_clone,
    SYS_clone3,
    SYS_setsid,
    SYS_prctl,
    SYS_pipe2,
    SYS_eventfd2,
    SYS_signalfd4,
    SYS_timerfd_create,
    SYS_pidfd_open,
    SYS_waitid,
    SYS_kill,
    SYS_mlockall,
    // What time it is, and how well that is known; who this is.
    SYS_clock_adjtime,
    SYS_adjtimex,
    SYS_uname,
    SYS_getuid,
    SYS_geteuid,
    SYS_getgid,
    SYS_getegid,
#if defined(SYS_open)  // As older C libraries have it on x86_64; arm64 never had them.
    SYS_open,
    SYS_stat,
    SYS_lstat,
    SYS_access,
    SYS_readlink,
    SYS_mkdir,
    SYS_rename,
    SYS_unlink,
#endif
};

constexpr auto kCallsOfKeeping = [] {
  std::array<int, kCallsOfFreezing.size() + kCallsOfRecording.size()> calls{};
  std::copy(kCallsOfRecording.begin(), kCallsOfRecording.end(),
            std::copy(kCallsOfFreezing.begin(), kCallsOfFreezing.end(), calls.begin()));
  return calls;
}();

constexpr std::array kCallsDeniedInContainers = {
    // Namespaces and mounts; files by their handles, which no root directory confines.
    SYS_unshare, SYS_setns, SYS_mount, SYS_umount2, SYS_pivot_root, SYS_open_by_handle_at, SYS_quotactl, SYS_swapon,
    SYS_swapoff, SYS_acct,
    // The kernel and its clock.
    SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_kexec_load, SYS_kexec_file_load, SYS_reboot,
    SYS_settimeofday, SYS_clock_settime, SYS_syslog,
    // What flaws are found in again and again, and what reads other processes.
    SYS_add_key, SYS_request_key, SYS_keyctl, SYS_bpf, SYS_perf_event_open, SYS_userfaultfd, SYS_ptrace,
    SYS_process_vm_readv, SYS_process_vm_writev, SYS_kcmp,
#if defined(__x86_64__)
    SYS_iopl, SYS_ioperm, SYS_modify_ldt,
#endif
    // The same on all architectures; older headers lack them.
    425,  // io_uring_setup
    426,  // io_uring_enter
    427,  // io_uring_register
    428,  // open_tree
    429,  // move_mount
    430,  // fsopen
    431,  // fsconfig
    432,  // fsmount
    433,  // fspick
    438,  // pidfd_getfd
    442,  // mount_setattr
    443,  // quotactl_fd
    467,  // open_tree_attr
};

/// The sets of a thread, in halves, as the kernel takes them.
using Sets = std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3>;

/// Lets `change` have each half of this thread's sets, with the same half of `capabilities` as a mask.
template <typename Change>
void change_sets(std::initializer_list<int> capabilities, Change change) noexcept {
  Sets sets{};
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  if (::syscall(SYS_capget, &header, sets.data()) != 0) return;
  std::uint64_t mask = 0;
  for (const int capability : capabilities) mask |= std::uint64_t{1} << static_cast<unsigned>(capability);
  for (__user_cap_data_struct& half : sets) {
    change(half, static_cast<std::uint32_t>(mask));
    mask >>= 32U;
  }
  ::syscall(SYS_capset, &header, sets.data());
}

void allow(std::vector<sock_filter>& filter) { filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)); }
void deny(std::vector<sock_filter>& filter, std::uint32_t error = EPERM) {
  filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error));
}

void load(std::vector<sock_filter>& filter, std::size_t offset) {
  filter.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset)));
}

/// Skips the next `count` instructions where what was loaded is not `value`.
void skip_unless(std::vector<sock_filter>& filter, std::uint32_t value, std::uint8_t count) {
  filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, count));
}

/// The beginning: nothing but native calls, whose number is loaded.
std::vector<sock_filter> filter_of_native_calls() {
  std::vector<sock_filter> filter;
  load(filter, offsetof(seccomp_data, arch));
  filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kArchitecture, 1, 0));
  deny(filter);
  load(filter, offsetof(seccomp_data, nr));
  return filter;
}

std::vector<sock_filter> filter_of(std::span<const int> calls) {
  constexpr std::size_t kRequest = offsetof(seccomp_data, args[1]);  // Its low half: both architectures begin with it.
  std::vector<sock_filter> filter = filter_of_native_calls();
  for (const int call : calls) {
    skip_unless(filter, static_cast<std::uint32_t>(call), 1);
    allow(filter);
  }
  skip_unless(filter, SYS_ioctl, 5);
  load(filter, kRequest);
  for (const unsigned long request : {FIFREEZE, FITHAW}) {
    skip_unless(filter, static_cast<std::uint32_t>(request), 1);
    allow(filter);
  }
  deny(filter);
  return filter;
}

std::vector<sock_filter> filter_for_containers() {
  constexpr std::size_t kFlags = offsetof(seccomp_data, args[0]);  // As above.
  constexpr std::uint32_t kNewNamespaces =
      CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
  constexpr std::uint32_t kX32 = 0x40000000;  // __X32_SYSCALL_BIT: other numbers for the same calls.
  constexpr std::uint32_t kClone3 = 435;      // Its flags are in memory: the C library does without it then.
  std::vector<sock_filter> filter = filter_of_native_calls();
  filter.push_back(BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, kX32, 0, 1));
  deny(filter);
  for (const int call : kCallsDeniedInContainers) {
    skip_unless(filter, static_cast<std::uint32_t>(call), 1);
    deny(filter);
  }
  skip_unless(filter, kClone3, 1);
  deny(filter, ENOSYS);
  skip_unless(filter, SYS_clone, 3);
  load(filter, kFlags);
  filter.push_back(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, kNewNamespaces, 0, 1));
  deny(filter);
  allow(filter);
  return filter;
}

Result<void> use_filter(std::vector<sock_filter> filter) {
  const sock_fprog program = {static_cast<unsigned short>(filter.size()), filter.data()};
  const long result = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
  if (result == 0) return {};
  return system_failure("system calls cannot be restricted", result > 0 ? EBUSY : errno);
}

}  // namespace

void use_capabilities(std::initializer_list<int> used) noexcept {
  change_sets(used, [](__user_cap_data_struct& half, std::uint32_t mask) { half.effective &= mask; });
}

void use_capability_again(int capability) noexcept {
  change_sets({capability},
              [](__user_cap_data_struct& half, std::uint32_t mask) { half.effective |= half.permitted & mask; });
}

void keep_capabilities_for_good(std::initializer_list<int> keep) noexcept {
  for (int capability = 0; ::prctl(PR_CAPBSET_READ, capability) >= 0; ++capability) {
    if (std::find(keep.begin(), keep.end(), capability) == keep.end()) ::prctl(PR_CAPBSET_DROP, capability);
  }
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  change_sets(keep, [](__user_cap_data_struct& half, std::uint32_t mask) {
    half = {half.effective & mask, half.permitted & mask, half.inheritable & mask};
  });
}

Result<void> allow_calls(std::span<const int> calls) {
  if (kIsInstrumented) return {};
  return use_filter(filter_of(calls));
}

Result<void> deny_calls_in_container() { return use_filter(filter_for_containers()); }

std::span<const int> calls_of_freezing() noexcept { return kCallsOfFreezing; }

std::span<const int> calls_of_keeping() noexcept { return kCallsOfKeeping; }

}  // namespace dlm_freeze
