// SPDX-License-Identifier: Apache-2.0
#include "copies.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <sstream>
#include <stdexcept>

#include "rounds.hpp"
#include "system.hpp"

namespace dlm_freeze::integration {

std::string copy_image(const Filesystem& filesystem, const std::string& name) {
  std::string copy = "/srv/images/" + name + ".copy";
  std::filesystem::remove(copy);  // mount(8) would use the loop device again that the one before has had.
  run_tool({"cp", "--sparse=always", filesystem.image(), copy});
  return copy;
}

std::string changed_copy(const std::string& copy, const std::string& name,
                         const std::function<void(const std::string& directory)>& change) {
  std::string changed = "/srv/images/" + name + ".changed";
  const std::string directory = "/srv/change";
  std::filesystem::remove(changed);  // As in copy_image; that loop device may be read-only besides.
  run_tool({"cp", "--sparse=always", copy, changed});
  std::filesystem::create_directories(directory);
  run_tool({"mount", "-o",
            run_tool({"blkid", "-p", "-o", "value", "-s", "TYPE", copy}) == "xfs\n" ? "loop,nouuid" : "loop", changed,
            directory});
  change(directory);
  run_tool({"umount", directory});
  return changed;
}

void spoil(const std::string& path, std::size_t offset, std::size_t size, char with) {
  const UniqueFd file(check(::open(path.c_str(), O_WRONLY | O_CLOEXEC), path));
  const std::string bytes(size, with);
  if (::pwrite(file.get(), bytes.data(), size, static_cast<off_t>(offset)) != static_cast<ssize_t>(size))
    throw std::runtime_error("cannot write " + path);
}

void edit_manifest(const std::string& directory, const std::string& from, const std::string& to) {
  const std::string path = directory + "/.dlm-freeze/manifest.json";
  std::string text = read_text(path);
  const std::size_t at = text.find(from);
  if (at == std::string::npos) throw std::runtime_error("the manifest does not have " + from);
  write_text(path, text.replace(at, from.size(), to));
}

std::string blocks_of_page(const std::string& page, const std::string& kind) {
  std::istringstream lines(read_text(DLM_FREEZE_SOURCE_DIR "/docs/" + page));
  std::string blocks;
  bool is_inside = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("```")) {
      is_inside = line == "```" + kind;
    } else if (is_inside) {
      blocks += line + "\n";
    }
  }
  if (blocks.empty()) throw std::runtime_error(page + " has no block of the kind " + kind);
  return blocks;
}

std::string run_commands(const std::string& commands) {
  write_text("/srv/etc/commands.sh", commands);
  return run_tool({"bash", "-eu", "-o", "pipefail", "/srv/etc/commands.sh"});
}

bool is_thorough() { return rounds_or(1) > 3; }

}  // namespace dlm_freeze::integration
