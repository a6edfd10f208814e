// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "commands/readiness.hpp"
#include "commands/volume_report.hpp"

namespace dlm_freeze {

/// Whether a snapshot that is taken between pre-script and post-script is consistent, of what, and of what not.
struct Consistency {
  enum class Answer {
    yes,     ///< For all that can be written, but / and /boot.
    partly,  ///< There are causes in `causes`, or volumes of which it cannot be told or not of all, or too little time.
    no,      ///< For nothing.
  };
  Answer answer = Answer::no;
  std::vector<std::string> covered;     ///< Volumes.
  std::vector<Advice> partly;           ///< Volumes of which a part is not mounted here, and which part.
  std::vector<Advice> causes;           ///< What it is not consistent for, and why.
  std::vector<std::string> boot;        ///< Volumes that are as after a crash, as those of / and /boot always are.
  std::vector<std::string> untold;      ///< Volumes of which nothing is mounted here.
  std::vector<std::string> conditions;  ///< "the databases can be quiesced (--probe asks them)"
  std::size_t databases = 0;            ///< That are going to be quiesced.
  std::string failure;                  ///< Why pre-script would fail; empty where it would not.

  /// One sentence: "Consistent: yes, for vol-1 and vol-2; no for vol-3, because ...".
  [[nodiscard]] std::string text() const;
};

/// Judges what was found. Pure. Whatever pre-script would warn of as a gap is a cause. `late` says that the freeze
/// needs more time than there is; empty when it does not.
[[nodiscard]] Consistency judge_consistency(const HostPlan& plan, const Settings& settings, const Readiness& readiness,
                                            const VolumeReport& volumes, const std::string& late);

/// The enumerator's name.
[[nodiscard]] std::string_view to_string(Consistency::Answer answer);

}  // namespace dlm_freeze
