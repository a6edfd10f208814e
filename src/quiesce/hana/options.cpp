// SPDX-License-Identifier: Apache-2.0
#include "quiesce/hana/options.hpp"

namespace dlm_freeze::hana {

const OptionTable<HanaOptions>& option_table() {
  static const OptionTable<HanaOptions> kTable = {
      {"user_store_key", &HanaOptions::key, "The key in hdbuserstore to log in with.", kArgument},
      {"os_user", &HanaOptions::os_user,
       "The account that has the key; <sid>adm of the only system on the host when absent.", kArgument},
      {"database", &HanaOptions::database, "The database to log in to; SYSTEMDB where there is one.", kArgument},
      {"hdbsql", &HanaOptions::hdbsql, "The program, when it is not in a standard place.", kAbsolutePath},
      {"hdbsql_options", &HanaOptions::hdbsql_options, "More options for it, such as those for TLS."},
      {"freeze_log", &HanaOptions::freeze_log,
       "Freeze the filesystem of the log volume too: commits wait for the thaw."},
      {"close_successful", &HanaOptions::close_successful,
       "Whether post-script reports the snapshot to HANA as a backup."},
  };
  return kTable;
}

}  // namespace dlm_freeze::hana
