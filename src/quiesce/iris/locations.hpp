// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "dlm_freeze/quiesce/quiescer.hpp"
#include "quiesce/ini_file.hpp"
#include "quiesce/iris/instances.hpp"

namespace dlm_freeze::iris {

/// The directories that a configuration parameter file (CPF) names: local databases, journals, the write image journal.
[[nodiscard]] std::vector<DataLocation> locations_in_cpf(const std::vector<IniEntry>& cpf);

/// The directories that an instance on this host writes to, by its CPF, and the one it is installed in. Those that
/// cannot be found out are missing. Symbolic links are resolved.
[[nodiscard]] std::vector<DataLocation> locations_of(const IrisInstance& instance);

}  // namespace dlm_freeze::iris
