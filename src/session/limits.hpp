// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>

namespace dlm_freeze::limits {

// Every patience and time-out of the protocol, docs/protocol.md, in the order in which a session meets them.

/// The part of pre-script's budget that a stage leaves, so that a database's own error is heard before it is spent.
inline constexpr auto kBudgetReserve = std::chrono::milliseconds(300);
/// After the deadline of a stage: for the watchdog to say which database was late, and why.
inline constexpr auto kAnswer = std::chrono::milliseconds(150);
/// Between two looks at what is dirty, while a limit on it comes down.
inline constexpr auto kDrainLook = std::chrono::milliseconds(5);
/// What a drain leaves of the time for prepare.
inline constexpr auto kDrainReserve = std::chrono::milliseconds(200);
/// For the sentinel to set itself up.
inline constexpr auto kSentinelStart = std::chrono::seconds(2);
/// For pre-script, beyond its budget, to see a failed session undone before it says what is left.
inline constexpr auto kRollBack = std::chrono::milliseconds(800);

/// For one more manifest to be written. Then those that are not are done without: what hangs there may be another
/// program's freeze, and FIFREEZE says so.
inline constexpr auto kManifests = std::chrono::milliseconds(250);

/// For the watchdog to begin with that; then it is taken for one that is stopped or hangs, and is killed.
inline constexpr auto kBeginEnd = std::chrono::milliseconds(400);

/// For a caller of the socket to say what it wants.
inline constexpr auto kSilentCaller = std::chrono::milliseconds(100);
/// Callers that are listened to at the same time; with one more, the oldest is dropped.
inline constexpr std::size_t kCallers = 8;
/// For post-script, once it has its answer, to see the history written, so that who reads it next finds the session.
inline constexpr auto kHistory = std::chrono::milliseconds(200);

/// For a FIFREEZE under way to return and be undone by its own thread, before the databases are released.
inline constexpr auto kFreezeHang = std::chrono::milliseconds(300);
/// The same where a longest stall is promised: writers are let go within a tenth of a second after it.
inline constexpr auto kPromisedFreezeHang = std::chrono::milliseconds(50);
/// Beyond that, for a freezer that is stopped or frozen itself to go on; then it is killed. A call that hangs in the
/// kernel is undone when it returns, whether its process lives or not.
inline constexpr auto kFreezerHang = std::chrono::milliseconds(700);
/// For a FITHAW to return; then the databases are released all the same, and the watchdog waits on.
inline constexpr auto kThawHang = std::chrono::seconds(3);
/// For a quiescer to give up a stage that was cancelled.
inline constexpr auto kCancel = std::chrono::seconds(10);
/// For the databases to be released.
inline constexpr auto kRelease = std::chrono::seconds(30);

/// After the deadline a watchdog that works has thawed; then the sentinel kills it.
inline constexpr auto kThawGrace = std::chrono::seconds(1);
/// For the killed watchdog to die. One that hangs in the kernel does not, and is not waited for.
inline constexpr auto kKill = std::chrono::milliseconds(200);
/// After kThawGrace, for the watchdog to have released the databases.
inline constexpr auto kReleaseGrace = std::chrono::seconds(60);
/// For a successor's FITHAW to return, before the databases are seen to.
inline constexpr auto kSuccessorThaw = std::chrono::milliseconds(300);
/// For a freezer whose session has lost all other processes to undo its work.
inline constexpr auto kOrphanedFreezer = std::chrono::milliseconds(300);

/// For the mount namespaces of all processes to be examined, where a filesystem of one has lost who held it.
inline constexpr auto kSearch = std::chrono::milliseconds(300);

/// Without limit.
inline constexpr auto kForever = std::chrono::hours(24 * 365);

}  // namespace dlm_freeze::limits
