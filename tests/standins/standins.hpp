// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace dlm_freeze {

/// The programs of this directory, copied to where a test wants them, and the state that they keep; what the files mean
/// is said at the top of each program. They have to be run by root and, where a test says so, by other accounts.
class Standins {
 public:
  /// What plays the account of an instance's owner and of <sid>adm.
  static constexpr const char* kUser = "daemon";
  static constexpr const char* kKey = "DLMFREEZE";

  /// Makes `directory`, which every account has to be able to reach.
  explicit Standins(std::string directory);

  [[nodiscard]] std::string program(std::string_view name) const { return directory_ + "/" + std::string(name); }

  /// An instance of IRIS that runs and belongs to kUser, with its databases and journals in `home` (made if need be; in
  /// a directory of its own when empty).
  void add_instance(const std::string& name, std::string home = "") const;
  [[nodiscard]] bool is_suspended(const std::string& instance) const;

  /// A container that runs; `volume` is a directory of the host in it.
  void add_container(const std::string& name, const std::string& volume) const;

  /// An SAP HANA that runs and lets kUser in with kKey.
  void start_hana(const std::string& version = "2.00.059.00.1636471") const;
  [[nodiscard]] std::string catalog() const { return get("hana/catalog"); }

  /// Makes the part `name` of a program behave as `how` says: see common.sh.
  void fail(const std::string& name, std::string_view how) const { set("fail/" + name, how); }
  void work(const std::string& name) const { remove("fail/" + name); }

  // Files of the state.
  void set(const std::string& name, std::string_view text) const;
  void remove(const std::string& name) const;
  [[nodiscard]] std::string get(const std::string& name) const;

  /// What was called, a line each, since the last look.
  std::string take_calls() const;

 private:
  [[nodiscard]] std::string path(const std::string& name) const { return directory_ + "/state/" + name; }

  std::string directory_;
};

}  // namespace dlm_freeze
