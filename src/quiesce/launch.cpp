// SPDX-License-Identifier: Apache-2.0
#include "quiesce/launch.hpp"

#include <fcntl.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "base/process.hpp"
#include "dlm_freeze/quiesce/account.hpp"
#include "quiesce/entry.hpp"

namespace dlm_freeze {
namespace {

constexpr int kCannotExecute = 127;

void add_default(std::vector<std::string>& environment, const std::string& name, const std::string& value) {
  const bool given = std::any_of(environment.begin(), environment.end(),
                                 [&](const std::string& entry) { return entry.starts_with(name + "="); });
  if (!given) environment.push_back(name + "=" + value);
}

/// Lets the account's shell start the program. argv[0] with a dash makes it a login shell; what follows its text for
/// -c are arguments, which that text executes as they are. A C shell drops arguments that are empty, so that they are
/// given to it with a mark in front, which sh takes off again.
void start_by_login_shell(Launch& launch, const std::string& shell) {
  const std::string name = shell.substr(shell.rfind('/') + 1);
  std::vector<std::string> argv = {"-" + name, "-c"};
  std::string mark;
  if (name == "csh" || name == "tcsh") {
    mark = "=";
    argv.emplace_back(R"(exec /bin/sh -c 'for a; do shift; set -- "$@" "${a#=}"; done; exec "$@"' sh $argv:q)");
  } else if (name == "sh" || name == "bash" || name == "dash" || name == "ksh" || name == "zsh") {
    argv.insert(argv.end(), {"exec \"$@\"", name});
  } else {
    return;
  }
  for (const std::string& argument : launch.argv) argv.push_back(mark + argument);
  launch.argv = std::move(argv);
  launch.path = shell;
}

/// Leaves nothing open but stdio and what the entrant needs. Gives the descriptor of its image, which ends with the
/// exec.
int keep_for_entrant(const Launch& launch) {
  constexpr int kAbove = 16;  // Than where they go.
  const int image = ::fcntl(launch.entry_image.get(), F_DUPFD, kAbove);
  const int channel = ::fcntl(launch.entry_channel.get(), F_DUPFD, kAbove);
  ::dup2(channel, kEntryChannel);
  ::dup3(image, kEntryChannel + 1, O_CLOEXEC);
  close_from(kEntryChannel + 2);
  return kEntryChannel + 1;
}

/// Lets the program's user open what is a pipe by its name, /dev/stdin or /dev/stderr.
void give_pipe(int fd, const Launch& launch) {
  struct stat status {};
  if (::fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode)) static_cast<void>(!::fchown(fd, launch.uid, launch.gid));
}

}  // namespace

Result<Launch> launch_of(const Program& program) {
  Launch launch;
  launch.path = program.argv[0];
  launch.argv = program.argv;
  launch.environment = program.environment;
  if (program.place) {
    launch.argv = entrant_arguments(program);
    auto image = entry_image();
    if (!image) return tl::unexpected(image.error());
    launch.entry_image = std::move(*image);
    return launch;
  }
  if (program.os_user.empty()) return launch;

  const auto account = account_named(program.os_user);
  if (!account) return tl::unexpected(account.error());
  const std::string shell = account->shell.empty() ? "/bin/sh" : account->shell;
  add_default(launch.environment, "HOME", account->home);
  add_default(launch.environment, "USER", account->name);
  add_default(launch.environment, "LOGNAME", account->name);
  add_default(launch.environment, "SHELL", shell);
  add_default(launch.environment, "PATH", kProgramPath);
  if (program.login) start_by_login_shell(launch, shell);
  // An ordinary user cannot change to anybody, and need not change to himself.
  launch.changes_user = ::geteuid() == 0 || account->uid != ::geteuid();
  launch.uid = account->uid;
  launch.gid = account->gid;
  int count = 64;
  launch.groups.resize(static_cast<std::size_t>(count));
  while (::getgrouplist(account->name.c_str(), account->gid, launch.groups.data(), &count) < 0) {
    launch.groups.resize(static_cast<std::size_t>(count));
  }
  launch.groups.resize(static_cast<std::size_t>(count));
  return launch;
}

std::string why_not_executable(const std::string& path) {
  struct stat info {};
  const bool is_file = ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
  if (is_file && ::access(path.c_str(), X_OK) == 0) return "";
  return path +
         " cannot be executed: " + (is_file ? "chmod +x it, or move it from a mount with noexec" : "it is no file");
}

void complain(std::string_view what) {
  static_cast<void>(!::write(STDERR_FILENO, what.data(), what.size()));
  ::_exit(kCannotExecute);
}

void become(const Launch& launch, char* const* argv, char* const* environment, pid_t keeper) {
  ::setsid();
  const int image = launch.entry_image ? keep_for_entrant(launch) : -1;
  if (image < 0) close_from(STDERR_FILENO + 1);
  // The parent may be spared by the OOM killer, block signals and keep its files to itself: not its children.
  set_oom_score("0");
  for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::umask(S_IWGRP | S_IWOTH);
  if (launch.changes_user) {
    give_pipe(STDIN_FILENO, launch);
    give_pipe(STDERR_FILENO, launch);
    // Not the C library's functions of these names: those want to change all threads of the process that was forked.
    if (::syscall(SYS_setgroups, launch.groups.size(), launch.groups.data()) != 0 ||
        ::syscall(SYS_setresgid, launch.gid, launch.gid, launch.gid) != 0 ||
        ::syscall(SYS_setresuid, launch.uid, launch.uid, launch.uid) != 0) {
      complain("cannot change to its user\n");
    }
  }
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // A change of user clears it (prctl(2)).
  if (::getppid() != keeper) ::_exit(kCannotExecute);
  static_cast<void>(!::chdir("/"));
  if (image >= 0) {
    ::syscall(SYS_execveat, image, "", argv, environment, AT_EMPTY_PATH);
  } else {
    ::execve(launch.path.c_str(), argv, environment);
  }
  complain("cannot be executed\n");
}

}  // namespace dlm_freeze
