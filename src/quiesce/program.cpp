// SPDX-License-Identifier: Apache-2.0
#include "dlm_freeze/quiesce/program.hpp"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <utility>

#include "base/process.hpp"
#include "dlm_freeze/quiesce/account.hpp"

namespace dlm_freeze {
namespace {

constexpr std::size_t kOutputLimit = std::size_t{16} * 1024;
/// How much of what is kept is the beginning; the rest is the end.
constexpr std::size_t kFrontKept = kOutputLimit / 4;
constexpr int kCannotExecute = 127;
/// Reads after its end: twice what a pipe holds (pipe(7)), in the pieces of read_output.
constexpr std::size_t kMostLastReads = 32;
/// How long a killed program may take to be gone. One that waits in the kernel is not waited for.
constexpr auto kKillPatience = std::chrono::seconds(2);

std::vector<char*> pointers_to(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (const std::string& text : texts)
    pointers.push_back(const_cast<char*>(text.c_str()));  // execve(2) takes them so.
  pointers.push_back(nullptr);
  return pointers;
}

/// All that the program's process needs to become the program, made before the fork.
struct Launch {
  std::string path;
  std::vector<std::string> argv;
  std::vector<std::string> environment;
  bool changes_user = false;
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
};

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

Result<Launch> launch_of(const Program& program) {
  Launch launch;
  launch.path = program.argv[0];
  launch.argv = program.argv;
  launch.environment = program.environment;
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

// From here to the end of keep_program: between a fork and an exec, only async-signal-safe calls (fork(2)).

[[noreturn]] void complain(std::string_view what) {
  static_cast<void>(!::write(STDERR_FILENO, what.data(), what.size()));
  ::_exit(kCannotExecute);
}

/// Lets the program's user open what is a pipe by its name, /dev/stdin or /dev/stderr.
void give_pipe(int fd, const Launch& launch) {
  struct stat status {};
  if (::fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode)) static_cast<void>(!::fchown(fd, launch.uid, launch.gid));
}

/// The program's own process.
[[noreturn]] void become(const Launch& launch, char* const* argv, char* const* environment, pid_t keeper) {
  ::setsid();
  close_from(STDERR_FILENO + 1);
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
  ::execve(launch.path.c_str(), argv, environment);
  complain("cannot be executed\n");
}

struct KeeperFds {
  int input;   ///< The program's.
  int output;  ///< The same.
  int unread;  ///< The other end of its output: kept open, so that it is not killed by SIGPIPE where it says READY.
  int life;
};

/// The keeper's process. Ends as the program did.
[[noreturn]] void keep_program(const Launch& launch, char* const* argv, char* const* environment, KeeperFds fds,
                               int grace_ms) {
  sigset_t all;
  ::sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, nullptr);
  ::setsid();
  // Not prctl(2) itself: that of AddressSanitizer takes a lock here, which another thread may have held at the fork.
  ::syscall(SYS_prctl, PR_SET_NAME, "dlm-keeper");
  ::dup2(fds.input, STDIN_FILENO);
  ::dup2(fds.output, STDOUT_FILENO);
  ::dup2(fds.output, STDERR_FILENO);
  // Whoever ignores this signal gets no exit status (wait(2)), and a child inherits that.
  ::signal(SIGCHLD, SIG_DFL);

  const pid_t self = ::getpid();
  // The C library's fork() runs what others have registered for it.
  const auto child = static_cast<pid_t>(::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr));
  if (child == 0) become(launch, argv, environment, self);
  if (child < 0) complain("cannot be started\n");
  constexpr int kLife = 0;
  ::dup2(fds.life, kLife);
  ::dup2(fds.unread, 1);
  close_from(2);
  const auto end = static_cast<int>(::syscall(SYS_pidfd_open, child, 0));

  bool kill = end < 0;
  bool in_grace = false;
  while (!kill) {
    std::array<pollfd, 2> events = {pollfd{end, POLLIN, 0}, pollfd{in_grace ? -1 : kLife, POLLIN, 0}};
    const int count = ::poll(events.data(), events.size(), in_grace ? grace_ms : -1);
    if (count < 0) continue;
    if (events[0].revents != 0) break;
    char byte = 0;
    kill = in_grace || ::read(kLife, &byte, 1) > 0;
    in_grace = true;
  }
  if (kill) {
    ::kill(-child, SIGKILL);
    ::kill(child, SIGKILL);  // It may not have got as far as having a group.
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) complain("its exit status is not known\n");
  }
  ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

struct Pipe {
  UniqueFd reading;
  UniqueFd writing;
};

Result<Pipe> new_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return system_failure("cannot create a pipe", errno);
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

}  // namespace

Result<RunningProgram> RunningProgram::start(const Program& program, ProgramInput input, BootClock::duration grace) {
  const auto launch = launch_of(program);
  if (!launch) return tl::unexpected(launch.error());
  const std::vector<char*> argv = pointers_to(launch->argv);
  const std::vector<char*> environment = pointers_to(launch->environment);

  RunningProgram running(program.argv[0]);
  UniqueFd its_input;
  if (input == ProgramInput::pipe) {
    auto pipe = new_pipe();
    if (!pipe) return tl::unexpected(pipe.error());
    running.input_ = std::move(pipe->writing);
    its_input = std::move(pipe->reading);
  } else {
    its_input = UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!its_input) return system_failure("cannot open /dev/null", errno);
  }
  auto output = new_pipe();
  if (!output) return tl::unexpected(output.error());
  running.output_ = std::move(output->reading);
  ::fcntl(running.output_.get(), F_SETFL, O_NONBLOCK);
  std::array<int, 2> life{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, life.data()) != 0) {
    return system_failure("cannot create a socket pair", errno);
  }
  running.life_ = UniqueFd(life[0]);
  const UniqueFd keepers_life(life[1]);

  const auto grace_ms = static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(grace).count());
  const pid_t keeper = ::fork();
  if (keeper < 0) return system_failure("cannot start " + program.argv[0], errno);
  if (keeper == 0) {
    keep_program(*launch, argv.data(), environment.data(),
                 {its_input.get(), output->writing.get(), running.output_.get(), keepers_life.get()}, grace_ms);
  }
  running.keeper_ = keeper;
  running.end_ = open_pidfd(keeper);
  if (!running.end_) return system_failure("cannot watch a process (Linux 5.3 or newer is needed)", errno);
  return running;
}

RunningProgram::RunningProgram(RunningProgram&& other) noexcept
    : path_(std::move(other.path_)),
      keeper_(std::exchange(other.keeper_, -1)),
      end_(std::move(other.end_)),
      life_(std::move(other.life_)),
      input_(std::move(other.input_)),
      output_(std::move(other.output_)),
      text_(std::move(other.text_)),
      left_out_(other.left_out_) {}

bool RunningProgram::has_ended() const noexcept {
  pollfd event = {end_.get(), POLLIN, 0};
  return keeper_ < 0 || ::poll(&event, 1, 0) > 0;
}

/// Reads what is there; false when nothing was.
bool RunningProgram::read_output() {
  if (!output_) return false;
  std::array<char, 4096> chunk{};
  const ssize_t got = ::read(output_.get(), chunk.data(), chunk.size());
  if (got < 0) return false;
  if (got == 0) {
    output_.reset();
    return false;
  }
  text_.append(chunk.data(), static_cast<std::size_t>(got));
  if (text_.size() > kOutputLimit) {
    const std::size_t excess = text_.size() - kOutputLimit;
    text_.erase(kFrontKept, excess);
    left_out_ += excess;
  }
  return true;
}

RunningProgram::Event RunningProgram::wait(Deadline deadline, int cancel_fd) {
  for (;;) {
    std::array<pollfd, 3> events = {pollfd{end_.get(), POLLIN, 0}, pollfd{cancel_fd, POLLIN, 0},
                                    pollfd{output_.get(), POLLIN, 0}};
    const int count = ::poll(events.data(), events.size(), deadline.poll_timeout());
    if (count < 0 && errno == EINTR) continue;
    if (events[0].revents != 0) return Event::ended;
    if (count <= 0 || events[1].revents != 0) return Event::given_up;
    if (read_output()) return Event::output;
  }
}

Failure RunningProgram::given_up(const Deadline& deadline, std::string_view and_then) const {
  return failure(path_ + (deadline.expired() ? " did not " + std::string(and_then) : " was ended before it was done"));
}

Result<std::optional<std::string>> RunningProgram::next_line(Deadline deadline, int cancel_fd) {
  for (bool ended = false;;) {
    if (const std::size_t end = text_.find('\n'); end != std::string::npos) {
      std::string line = text_.substr(0, end);
      text_.erase(0, end + 1);
      return line;
    }
    if (ended) return std::nullopt;
    if (left_out_ > 0) {  // Not a line that anybody waits for.
      text_.clear();
      left_out_ = 0;
    }
    switch (wait(deadline, cancel_fd)) {
      case Event::output:
        break;
      case Event::ended:
        ended = deadline.expired() || !read_output();  // A daemon it left behind may go on printing.
        break;
      case Event::given_up:
        return given_up(deadline, "answer in time");
    }
  }
}

void RunningProgram::send_last(std::string_view text) noexcept {
  // Whoever writes to a pipe that nobody reads is sent SIGPIPE.
  sigset_t broken_pipe;
  ::sigemptyset(&broken_pipe);
  ::sigaddset(&broken_pipe, SIGPIPE);
  sigset_t before;
  ::pthread_sigmask(SIG_BLOCK, &broken_pipe, &before);
  if (input_ && ::write(input_.get(), text.data(), text.size()) < 0 && errno == EPIPE) {
    constexpr timespec kNow{};
    ::sigtimedwait(&broken_pipe, nullptr, &kNow);
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  input_.reset();
}

std::optional<int> RunningProgram::reap() noexcept {
  int status = 0;
  const pid_t keeper = std::exchange(keeper_, -1);
  while (::waitpid(keeper, &status, 0) < 0) {
    if (errno != EINTR) return std::nullopt;
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void RunningProgram::kill() noexcept {
  if (keeper_ < 0) return;
  ::send(life_.get(), "k", 1, MSG_NOSIGNAL);
  const Deadline patience = Deadline::in(kKillPatience);
  pollfd event = {end_.get(), POLLIN, 0};
  int count = -1;
  do {
    count = ::poll(&event, 1, patience.poll_timeout());
  } while (count < 0 && errno == EINTR);
  if (count > 0) {
    static_cast<void>(reap());
  } else {
    keeper_ = -1;  // The program waits in the kernel. The keeper goes on waiting for it.
  }
}

Result<ProgramResult> RunningProgram::finish(Deadline deadline, int cancel_fd) {
  for (;;) {
    const Event event = wait(deadline, cancel_fd);
    if (event == Event::ended) break;
    if (event == Event::output) continue;
    kill();
    return given_up(deadline, "end in time and was killed");
  }
  const std::optional<int> status = reap();
  // What it wrote last. Not until the end of file: a daemon it left behind may hold the pipe open, and print.
  for (std::size_t i = 0; i < kMostLastReads && read_output(); ++i) {
  }
  if (left_out_ > 0) text_.insert(kFrontKept, "\n[" + std::to_string(left_out_) + " bytes left out]\n");
  if (!status) {
    return failure("the exit status of " + path_ +
                   " is not known: this process was started with SIGCHLD ignored, or somebody else has waited for it");
  }
  return ProgramResult{*status, std::move(text_)};
}

Result<ProgramResult> run_program(const Program& program, Deadline deadline, int cancel_fd) {
  auto running = RunningProgram::start(program, ProgramInput::nothing, {});
  if (!running) return tl::unexpected(running.error());
  return running->finish(deadline, cancel_fd);
}

std::string last_line(const std::string& output) {
  const std::size_t end = output.find_last_not_of(" \t\r\n");
  if (end == std::string::npos) return "";
  const std::size_t begin = output.find_last_of('\n', end);
  return output.substr(begin == std::string::npos ? 0 : begin + 1,
                       end - (begin == std::string::npos ? 0 : begin + 1) + 1);
}

}  // namespace dlm_freeze
