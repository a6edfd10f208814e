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

namespace dlm_freeze::iris {
namespace {

constexpr std::size_t kAccountSize = std::size_t{64} * 1024;  // More than an entry of the account database takes.
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

/// The account that owns a file; empty for root.
Result<std::string> owning_account(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return system_failure("cannot look at " + path, errno);
  if (status.st_uid == 0) return std::string();
  std::vector<char> buffer(kAccountSize);
  passwd entry{};
  passwd* found = nullptr;
  ::getpwuid_r(status.st_uid, &entry, buffer.data(), buffer.size(), &found);
  if (found == nullptr) {
    return failure(path + " belongs to uid " + std::to_string(status.st_uid) +
                   ", which has no account: say with os_user whom to call its instance as");
  }
  return std::string(found->pw_name);
}

/// As Program::os_user has it.
std::string configured(const std::string& user) { return user == "root" ? "" : user; }

/// Root runs only what nobody else can change.
Result<void> check_for(const std::string& user, const std::string& program) {
  if (!user.empty()) return {};
  auto trusted = check_trusted(program);
  if (!trusted) trusted.error().message += ", or say with os_user whom to run it as";
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
  auto user = settings_.os_user.empty() ? owning_account(iris_) : configured(settings_.os_user);
  if (!user) return tl::unexpected(user.error());
  lister_ = std::move(*user);
  if (auto trusted = check_for(lister_, iris_); !trusted) return tl::unexpected(trusted.error());
  return std::string();
}

Result<ProgramResult> IrisTools::run(std::vector<std::string> argv, const std::string& user,
                                     const StageContext& context) const {
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
  return run_program(program, context.patience());
}

Result<ContainerState> IrisTools::inspect(const StageContext& context) const {
  const Program program{
      {container_program_, "container", "inspect", "--format", std::string(kInspectFormat), settings_.container},
      roots_environment()};
  const auto ran = run_program(program, context.patience());
  if (!ran) return tl::unexpected(ran.error());
  if (ran->exit_status != 0) return ContainerState{};
  auto state = parse_container(ran->output);
  if (!state) return tl::unexpected(state.error().with_context(container_program_ + " container inspect"));
  return state;
}

Result<std::vector<IrisInstance>> IrisTools::list(const StageContext& context) const {
  const std::string& user = in_container() ? settings_.os_user : lister_;
  std::string said;
  for (const auto& [word, parse] :
       {std::pair<std::string, Parser>("qlist", parse_qlist), std::pair<std::string, Parser>("qall", parse_qall),
        std::pair<std::string, Parser>("list", parse_list)}) {
    const auto ran = run({iris_, word}, user, context);
    if (!ran) return tl::unexpected(Error{ErrorKind::not_ready, ran.error().message, ran.error().errno_value});
    auto instances = parse(ran->output);
    if (!instances.empty()) return instances;
    if (ran->exit_status != 0) said = ", and says: " + last_line(ran->output);
  }
  return failure(iris_ + " lists no instance" + said);
}

Result<ProgramResult> IrisTools::call(const IrisInstance& instance, const std::string& expression,
                                      const StageContext& context) const {
  auto user = in_container() ? Result<std::string>(settings_.os_user) : user_of(instance);
  if (!user) return tl::unexpected(user.error());
  if (!in_container()) {
    if (auto trusted = check_for(*user, session_[0]); !trusted) return tl::unexpected(trusted.error());
  }
  Result<ProgramResult> ran;
  for (std::vector<std::string> argv : sessions()) {
    argv.insert(argv.end(), {instance.name, "-U", "%SYS", expression});
    ran = run(std::move(argv), *user, context);
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
