// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dlm_freeze/quiesce/quiescer.hpp"
#include "quiesce/hana/client.hpp"
#include "quiesce/hana/statements.hpp"

namespace dlm_freeze::hana {

/// What a system says of itself before it is asked for a snapshot.
struct SystemState {
  std::vector<HanaPart> databases;  ///< Those that are not up; none where the login may not look.
  std::vector<HanaPart> hosts;      ///< None where the login may not look.
  std::vector<HanaSnapshot> open;   ///< Data snapshots that are being made or wait to be closed.
};

/// The data snapshots of a HANA system, as its backup catalog has them, and how to make and close one. Each function
/// takes one login shell where nothing has to be waited for.
class DataSnapshots {
 public:
  /// `database`: to log in to; empty: the system database, where there is one.
  DataSnapshots(ClientSettings client, std::string database)
      : client_(std::move(client)), database_(std::move(database)) {}

  /// Also learns the version, which the other functions need.
  Result<SystemState> look(const StageContext& context);
  Result<void> ask_version(const StageContext& context);
  [[nodiscard]] const std::optional<HanaVersion>& version() const { return version_; }

  /// Says CREATE SNAPSHOT and waits until it is prepared; gives its id. `uncertain` tells, also after an error, whether
  /// there may be one all the same.
  Result<std::string> create(const std::string& comment, bool& uncertain, const StageContext& context) const;

  /// The id of the snapshot with that comment which waits to be closed; empty when there is none. One that is being
  /// made is waited for, and one that `may_still_come` is looked for a while.
  [[nodiscard]] Result<std::string> find_left(const std::string& comment, bool may_still_come,
                                              const StageContext& context) const;

  /// Closes a snapshot. An error of kind protection_lost: it was not there to be closed any more.
  Result<void> close(const std::string& backup_id, bool successful, const std::string& text,
                     const StageContext& context) const;

 private:
  [[nodiscard]] Result<std::vector<Answer>> run_all(const std::vector<Question>& questions,
                                                    const StageContext& context) const;
  [[nodiscard]] Result<Answer> run(const std::string& statement, const StageContext& context) const;
  [[nodiscard]] Result<std::string> ask(const std::string& query, const StageContext& context) const;
  [[nodiscard]] std::string database() const;
  Result<void> take_version(const Answer& answer);
  [[nodiscard]] Result<std::string> await_prepared(const std::string& comment, const std::string& first,
                                                   const StageContext& context) const;

  ClientSettings client_;
  std::string database_;
  std::optional<HanaVersion> version_;
};

}  // namespace dlm_freeze::hana
