// SPDX-License-Identifier: Apache-2.0
#include "fakes/scratch.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <iterator>
#include <system_error>

#include "dlm_freeze/base/files.hpp"

namespace dlm_freeze::fakes {
namespace {

namespace stdfs = std::filesystem;

}  // namespace

Scratch::Scratch() : Scratch(stdfs::temp_directory_path()) {}

Scratch::Scratch(const std::string& parent) {
  path_ = stdfs::canonical(parent) / "dlm-freeze-test-XXXXXX";
  if (::mkdtemp(path_.data()) == nullptr) {
    throw std::system_error(errno, std::system_category(), path_);
  }
}

Scratch::~Scratch() {
  std::error_code ignored;
  stdfs::remove_all(path_, ignored);
}

std::string Scratch::write(std::string_view name, std::string_view content) const {
  const std::string path = *this / name;
  stdfs::create_directories(stdfs::path(path).parent_path());
  std::ofstream file(path, std::ios::binary);
  file << content;
  file.close();
  if (!file) throw std::system_error(EIO, std::system_category(), path);
  return path;
}

std::string Scratch::script(std::string_view name, std::string_view body) const {
  const std::string path = write(name, "#!/bin/sh\n" + std::string(body) + "\n");
  ::chmod(path.c_str(), 0755);
  return path;
}

std::string content_of(const std::string& path) {
  // A file of /proc fails to be read when its process has just ended; a stream's iterator would throw then.
  return read_file(path).value_or("");
}

std::size_t open_descriptors() {
  return static_cast<std::size_t>(std::distance(stdfs::directory_iterator("/proc/self/fd"), {}));
}

}  // namespace dlm_freeze::fakes
