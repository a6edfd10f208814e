// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "dlm_freeze/base/error.hpp"

namespace dlm_freeze::iris {

/// A directory in which an account (empty: root) and nobody else can write, on a filesystem that is never frozen: /run.
/// Made if it is not there.
[[nodiscard]] Result<std::string> log_directory_of(const std::string& account,
                                                   const std::string& parent = "/run/dlm-freeze-iris");

}  // namespace dlm_freeze::iris
