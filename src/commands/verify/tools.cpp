// SPDX-License-Identifier: Apache-2.0
#include "commands/verify/tools.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "base/text.hpp"

namespace dlm_freeze {
namespace {

bool is_program(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) && ::access(path.c_str(), X_OK) == 0;
}

}  // namespace

std::string find_program(const std::vector<std::string>& names, const std::vector<std::string>& directories) {
  std::vector<std::string> places = directories;
  for (const std::string_view directory : split(kProgramPath, ':')) places.emplace_back(directory);
  places.emplace_back("/usr/libexec");  // RHEL's mysqld
  for (const std::string& name : names) {
    for (const std::string& place : places) {
      std::string path = place + "/" + name;
      if (is_program(path)) return path;
    }
  }
  return "";
}

Finding missing_program(const std::string& name) { return unchecked("there is no program " + name + " on this host"); }

Program tool(std::vector<std::string> argv, std::string os_user) {
  return {.argv = std::move(argv),
          .environment = {std::string("PATH=") + kProgramPath, "LC_ALL=C"},
          .os_user = std::move(os_user)};
}

Result<int> run_by_line(const Program& program, const Patience& patience,
                        const std::function<void(std::string_view)>& take) {
  auto running = RunningProgram::start(program, ProgramInput::nothing, BootClock::duration::zero());
  if (!running) return tl::unexpected(running.error());
  for (;;) {
    const auto line = running->next_line(patience);
    if (!line) return tl::unexpected(line.error());
    if (!*line) break;
    take(**line);
  }
  const auto ended = running->finish(patience);
  if (!ended) return tl::unexpected(ended.error());
  if (const std::string_view rest = trimmed(ended->output); !rest.empty()) take(rest);
  return ended->exit_status;
}

Finding finding_of(const Result<ProgramResult>& ran) {
  if (!ran) return unchecked(ran.error().message);
  if (ran->exit_status == 0) return {};
  return bad(exited(ran->exit_status, ran->output));
}

}  // namespace dlm_freeze
