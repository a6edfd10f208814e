// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace dlm_freeze::iris {

/// An instance of InterSystems IRIS, as its own tools list it.
struct IrisInstance {
  enum class Status {
    running,
    down,
    other,  ///< Starting, stopping, sign-on inhibited.
  };

  std::string name;
  std::string directory;  ///< Where it is installed.
  std::string version;
  Status status = Status::other;
  std::string status_text;     ///< "running, since Fri May 13 22:07:02 2016".
  std::string cpf;             ///< The configuration parameter file, as it is listed.
  std::string state;           ///< "ok", "warn", "alert", "hung"; empty when it is not listed.
  std::string data_directory;  ///< That of durable %SYS; empty when it is the installation's.
  std::string mirror;          ///< Its part in a mirror, "Failover, Primary"; empty when it has none.

  [[nodiscard]] bool is_hung() const { return state == "hung"; }
  [[nodiscard]] bool is_mirror_primary() const { return mirror.ends_with("Primary"); }

  /// Where its files are: IRISSYS is in the directory `mgr` there.
  [[nodiscard]] const std::string& home() const { return data_directory.empty() ? directory : data_directory; }
};

/// Whether a name can be that of an instance, and an argument of a command.
[[nodiscard]] bool is_instance_name(std::string_view text);

/// What `iris qlist` prints: an instance a line, fields separated by '^'. Lines that are nothing of the kind are left
/// out.
[[nodiscard]] std::vector<IrisInstance> parse_qlist(std::string_view text);

/// What `iris list` and `iris all` print: a paragraph for each instance, "Configuration 'NAME'" first, then lines of a
/// word and what it stands for. Whatever else is in it is left out.
[[nodiscard]] std::vector<IrisInstance> parse_list(std::string_view text);

/// What `iris qall` prints: a table, "up" or "dn" first. Whatever else is in it is left out.
[[nodiscard]] std::vector<IrisInstance> parse_qall(std::string_view text);

}  // namespace dlm_freeze::iris
