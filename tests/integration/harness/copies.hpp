// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "filesystem.hpp"

namespace dlm_freeze::integration {

/// Something that is done to a copy, and what verify has to say then.
struct Damage {
  std::string name;
  std::function<void(const std::string& at)> make;  ///< To the directory where it is mounted; or to its image.
  std::string found;
  int code = 1;
  std::string databases = {};  ///< What the file of --databases says of its database.
};

/// Copies the image of a filesystem as it is now, as a snapshot would. Gives the copy's path.
std::string copy_image(const Filesystem& filesystem, const std::string& name);

/// A copy of `copy`, changed by `change`, which is given the directory where it is mounted. Unmounted properly, so that
/// only what `change` did is wrong with it.
std::string changed_copy(const std::string& copy, const std::string& name,
                         const std::function<void(const std::string& directory)>& change);

/// Overwrites `size` bytes of a file from `offset` on.
void spoil(const std::string& path, std::size_t offset, std::size_t size, char with = '\x5A');

/// Replaces `from` in the manifest below `directory`.
void edit_manifest(const std::string& directory, const std::string& from, const std::string& to);

/// The blocks in docs/`page` that begin with "```" and `kind`, one after the other. Throws when there is none.
[[nodiscard]] std::string blocks_of_page(const std::string& page, const std::string& kind);

/// Has a shell run `commands`, which stops at the first that fails. Gives what they print; throws when one fails.
std::string run_commands(const std::string& commands);

/// Whether more rounds than a change needs are asked for (DLM_FREEZE_TEST_ROUNDS).
[[nodiscard]] bool is_thorough();

}  // namespace dlm_freeze::integration
