// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "dlm_freeze/quiesce/quiescer.hpp"

namespace dlm_freeze::hana {

/// An SAP HANA system that is installed on this host: /usr/sap/<SID>/HDB<NN>.
struct HanaSystem {
  std::string sid;        ///< "HDB": three capital letters or digits.
  std::string number;     ///< "00".
  std::string directory;  ///< "/usr/sap/HDB".

  /// The administrator of the operating system, "hdbadm".
  [[nodiscard]] std::string administrator() const;
  [[nodiscard]] std::string instance_directory() const { return directory + "/HDB" + number; }
};

/// The systems below /usr/sap, by name.
[[nodiscard]] std::vector<HanaSystem> find_hana_systems(const std::string& sap = "/usr/sap");

/// Whether a process of the database runs. Its administrator owns it; those that run all the time, such as SAP's start
/// service, do not count.
[[nodiscard]] bool is_running(const HanaSystem& system, const std::string& proc = "/proc");

/// In which mode it takes what a primary of system replication sends it, by its global.ini: "sync", "syncmem" or
/// "async"; empty when it is a primary itself, or replicates nothing.
[[nodiscard]] std::string replication_mode(const HanaSystem& system);

/// Where its data and log volumes lie, by its global.ini or the default paths, as far as they exist. Symbolic links are
/// resolved. `may_be_frozen` is false for the log, to which it goes on writing.
[[nodiscard]] std::vector<DataLocation> locations_of(const HanaSystem& system, const std::string& hana = "/hana");

/// The first hdbsql in the standard places; empty when there is none.
[[nodiscard]] std::string find_hdbsql(const HanaSystem& system);

}  // namespace dlm_freeze::hana
