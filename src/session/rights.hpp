// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace dlm_freeze {

/// Gives up what neither the watchdog nor its sentinel uses, for this process and those that it forks; docs/security.md
/// has the list. Where databases have to be released (`with_quiescers`), a program may have to be run that needs all
/// that root has, so the others are only put out of effect. Before there are threads.
void give_up_rights(bool with_quiescers) noexcept;

/// Likewise the system calls that a process of these two makes only until it is set up, for all of its threads. Not
/// where a program may have to be run.
void give_up_calls(bool with_quiescers) noexcept;

}  // namespace dlm_freeze
