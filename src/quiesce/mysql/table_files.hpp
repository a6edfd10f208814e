// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "dlm_freeze/quiesce/quiescer.hpp"

namespace dlm_freeze::mysql {

/// The directories outside `data_directory` (a path of this host) that hold schemas and tables of it, by the symbolic
/// links and the .isl files in it (CREATE TABLE … DATA DIRECTORY): also of tables that nobody has open. `root` goes
/// before the absolute paths in them, for a server in a chroot. What cannot be read is left out.
[[nodiscard]] std::vector<DataLocation> find_linked_tables(const std::string& data_directory, const std::string& root);

/// Whether a file of that name holds what a restore needs: tables, redo, undo or binary logs.
[[nodiscard]] bool is_data_file(std::string_view name);

/// The paths in a setting of the form of innodb_data_file_path, "ibdata1:12M;/more/ibdata2:10M:autoextend".
[[nodiscard]] std::vector<std::string> paths_of_data_files(std::string_view setting);

}  // namespace dlm_freeze::mysql
