// SPDX-License-Identifier: Apache-2.0
#include "quiesce/iris/tools.hpp"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <iterator>
#include <utility>

#include "dlm_freeze/base/files.hpp"
#include "quiesce/resolved_path.hpp"

namespace dlm_freeze::iris {
namespace {

constexpr std::size_t kAccountSize = std::size_t{64} * 1024;  // More than an entry of the account database takes.
constexpr const char* kRegistry = "/usr/local/etc/irissys";   // Made by every installation by root.
constexpr std::array kProgramDirectories = {"/usr/bin", "/usr/local/bin"};

bool is_executable(const std::string& path) { return ::access(path.c_str(), X_OK) == 0; }

/// The program of that name or absolute path; empty when there is none.
std::string found_program(const std::string& name) {
  if (name.starts_with('/')) return is_executable(name) ? name : "";
  for (const std::string directory : kProgramDirectories) {
    std::string path = directory + "/" + name;
    if (is_executable(path)) return path;
  }
  return "";
}

/// Exit statuses of `docker exec` for a program that is not there.
constexpr int kCannotExecute = 126;
constexpr int kNotFound = 127;

std::string missing(const std::string& name) {
  if (name.starts_with('/')) return "there is no program " + name;
  return "there is no program " + name + " in /usr/bin or /usr/local/bin";
}

using Parser = std::vector<IrisInstance> (*)(std::string_view text);

Failure not_ready(const std::string& message) { return failure(message, ErrorKind::not_ready); }

/// The account that owns a file; empty for root. A link is refused: whoever may make one would choose the account.
Result<std::string> owning_account(const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return system_failure("cannot examine " + path, errno);
  if (S_ISLNK(status.st_mode))
    return failure(path + " is a symbolic link, whose owner tells nothing: set os_user to the account of its instance");
  if (status.st_uid == 0) return std::string();
  std::vector<char> buffer(kAccountSize);
  passwd entry{};
  passwd* found = nullptr;
  ::getpwuid_r(status.st_uid, &entry, buffer.data(), buffer.size(), &found);
  if (found == nullptr) {
    return failure(path + " belongs to uid " + std::to_string(status.st_uid) +
                   ", which has no account: set os_user to the account of its instance");
  }
  return std::string(found->pw_name);
}

/// The same of a program, which the product may have installed as a link of root's.
Result<std::string> account_of_program(const std::string& path) {
  struct stat status {};
  const bool is_roots_link = ::lstat(path.c_str(), &status) == 0 && S_ISLNK(status.st_mode) && status.st_uid == 0;
  return owning_account(is_roots_link ? resolved_path(path) : path);
}

/// As Program::os_user has it.
std::string configured(const std::string& user) { return user == "root" ? "" : user; }

/// Root runs only what nobody else can change.
Result<void> check_for(const std::string& user, const std::string& program) {
  if (!user.empty()) return {};
  auto trusted = check_trusted(program);
  if (!trusted) trusted.error().message += ", or set os_user to the account to run it as";
  return trusted;
}

std::vector<std::string> roots_environment() { return {std::string("PATH=") + kProgramPath, "HOME=/root"}; }

}  // namespace

Result<std::string> IrisTools::find() {
  if (in_container()) {
    container_program_ = found_program(settings_.container_command);
    if (container_program_.empty()) return missing(settings_.container_command);
    if (auto trusted = check_trusted(container_program_); !trusted) return tl::unexpected(trusted.error());
    iris_ = settings_.iris_command.empty() ? "iris" : settings_.iris_command;
    session_ = {settings_.session_command.empty() ? "irissession" : settings_.session_command};
    return std::string();
  }
  const std::string name = settings_.iris_command.empty() ? "iris" : settings_.iris_command;
  iris_ = found_program(name);
  if (iris_.empty()) return missing(name);
  const std::string beside = iris_.substr(0, iris_.rfind('/') + 1) + "irissession";
  if (!settings_.session_command.empty()) {
    session_ = {settings_.session_command};
  } else if (is_executable(beside)) {
    session_ = {beside};
  } else {
    session_ = {iris_, "session"};
  }
  if (!is_executable(session_[0])) return missing(session_[0]);
  auto user = settings_.os_user.empty() ? account_of_program(iris_) : configured(settings_.os_user);
  if (!user) return tl::unexpected(user.error());
  lister_ = std::move(*user);
  if (auto trusted = check_for(lister_, iris_); !trusted) return tl::unexpected(trusted.error());
  return std::string();
}

bool IrisTools::is_certain() const { return session_.size() == 1 || ::access(kRegistry, F_OK) == 0; }

Result<ProgramResult> IrisTools::run(std::vector<std::string> argv, const std::string& user,
                                     const Patience& patience) const {
  Program program;
  program.environment = {"LANG=C.UTF-8"};
  if (in_container()) {
    program.argv = {container_program_, "exec"};
    if (!user.empty()) program.argv.insert(program.argv.end(), {"--user", user});
    program.argv.push_back(settings_.container);
  } else {
    program.os_user = user;
  }
  if (program.os_user.empty()) {
    program.environment = roots_environment();
  }
  program.argv.insert(program.argv.end(), std::make_move_iterator(argv.begin()), std::make_move_iterator(argv.end()));
  return run_program(program, patience);
}

Result<ContainerState> IrisTools::inspect(const Patience& patience) const {
  const Program program{
      {container_program_, "container", "inspect", "--format", std::string(kInspectFormat), settings_.container},
      roots_environment()};
  const std::string name = container_program_ + " container inspect";
  const auto ran = run_program(program, patience);
  if (!ran) return not_ready(ran.error().message);
  // "No such container: box", "no such container box".
  if (ran->exit_status != 0 && ran->output.find("o such container") != std::string::npos) return ContainerState{};
  if (ran->exit_status != 0) return not_ready(name + " " + exited(ran->exit_status, ran->output));
  auto state = parse_container(ran->output);
  if (!state) return not_ready(name + ": " + state.error().message);
  return state;
}

Result<std::vector<IrisInstance>> IrisTools::list(const Patience& patience) const {
  const std::string& user = in_container() ? settings_.os_user : lister_;
  bool has_worked = false;
  std::string why;
  for (const auto& [word, parse] :
       {std::pair<std::string, Parser>("qlist", parse_qlist), std::pair<std::string, Parser>("qall", parse_qall),
        std::pair<std::string, Parser>("list", parse_list)}) {
    const auto ran = run({iris_, word}, user, patience);
    if (!ran) return not_ready(ran.error().message);
    auto instances = parse(ran->output);
    if (!instances.empty()) return instances;
    has_worked = has_worked || ran->exit_status == 0;
    why = iris_ + " " + word + " " + exited(ran->exit_status, ran->output);
  }
  if (!has_worked) return not_ready("its instances cannot be listed: " + why);
  return std::vector<IrisInstance>();
}

Result<ProgramResult> IrisTools::call(const IrisInstance& instance, const std::string& expression,
                                      const Patience& patience) const {
  auto user = in_container() ? Result<std::string>(settings_.os_user) : user_of(instance);
  if (!user) return tl::unexpected(user.error());
  if (!in_container()) {
    if (auto trusted = check_for(*user, session_[0]); !trusted) return tl::unexpected(trusted.error());
  }
  Result<ProgramResult> ran;
  for (std::vector<std::string> argv : sessions()) {
    argv.insert(argv.end(), {instance.name, "-U", "%SYS", expression});
    ran = run(std::move(argv), *user, patience);
    if (!ran || (ran->exit_status != kCannotExecute && ran->exit_status != kNotFound)) break;
  }
  return ran;
}

std::vector<std::vector<std::string>> IrisTools::sessions() const {
  if (!in_container() || !settings_.session_command.empty()) return {session_};
  return {session_, {iris_, "session"}};
}

Result<std::string> IrisTools::user_of(const IrisInstance& instance) const {
  if (!settings_.os_user.empty()) return configured(settings_.os_user);
  auto owner = owning_account(instance.home() + "/mgr");
  if (!owner && owner.error().errno_value != 0) owner = owning_account(instance.directory);
  return owner;
}

}  // namespace dlm_freeze::iris
