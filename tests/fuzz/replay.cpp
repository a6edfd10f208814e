// SPDX-License-Identifier: Apache-2.0
// In place of libFuzzer: gives every file of the directories on the command line to the fuzzer, whole and cut short.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "fuzzer.hpp"

namespace {

int count = 0;

void try_text(const std::string& text) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
  ++count;
}

void try_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  try_text(text);
  const std::size_t step = text.size() / 16 + 1;
  for (std::size_t length = 0; length < text.size(); length += step) {
    try_text(text.substr(0, length));
    try_text(text.substr(length));
    std::string changed = text;
    changed[length] = static_cast<char>(changed[length] ^ 0x15);
    try_text(changed);
  }
}

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[i])) {
      if (entry.is_regular_file()) try_file(entry.path());
    }
  }
  std::printf("%d inputs\n", count);
  return count > 0 ? 0 : 1;
}
