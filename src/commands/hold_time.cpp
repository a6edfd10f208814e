// SPDX-License-Identifier: Apache-2.0
#include "commands/hold_time.hpp"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "base/text.hpp"
#include "base/utc.hpp"
#include "commands/planning_guard.hpp"

namespace dlm_freeze {
namespace {

/// How long before the moment the last write-back begins.
constexpr auto kLead = std::chrono::milliseconds(1000);
/// A host that is later than this is not held with the others.
constexpr auto kLate = std::chrono::milliseconds(500);
/// Between two looks at the wall clock.
constexpr auto kLook = std::chrono::milliseconds(250);

}  // namespace

BootClock::duration HoldTime::remaining() const { return wanted_ - std::chrono::system_clock::now(); }

Result<void> HoldTime::check(Deadline stage_deadline) const {
  const std::string wanted = "--hold-at " + format_utc_milliseconds(wanted_);
  if (remaining() <= BootClock::duration::zero()) {
    return failure(wanted + " has passed: it is " + format_utc_milliseconds(std::chrono::system_clock::now()) +
                   " here; give a later time, and check the clock");
  }
  if (deadline().at() < stage_deadline.at()) return {};
  return failure(wanted + " is " + format_seconds(remaining()) +
                 " seconds ahead, and the time budget ends before; raise --timeout, or start pre-script later");
}

Error HoldTime::judge(Error error) const {
  if (remaining() > BootClock::duration::zero()) return error;
  return {ErrorKind::failed,
          "--hold-at " + format_utc_milliseconds(wanted_) +
              " came before everything was prepared; give a later time: " + error.message,
          0};
}

Result<void> HoldTime::await(SessionClient& client, MountWatch& mounts, Deadline stage_deadline, Log& log) const {
  if (auto in_time = check(stage_deadline); !in_time) return tl::unexpected(judge(in_time.error()));
  log.info("prepared; waiting " + format_seconds(remaining()) + " seconds, until " + format_utc_milliseconds(wanted_));
  if (remaining() > 2 * kLead) {
    if (auto slept = sleep_until(client, kLead, stage_deadline); !slept) return slept;
    if (auto written = client.write_back(stage_deadline); !written) return written;
    const PlanningGuard guard(stage_deadline);
    mounts.look(log);
  }
  if (auto slept = sleep_until(client, {}, stage_deadline); !slept) return slept;
  if (remaining() >= -kLate) return {};
  return failure("too late for --hold-at " + format_utc_milliseconds(wanted_) + " by " + format_seconds(-remaining()) +
                 " seconds: writing back took long, or the clock was set");
}

/// The wall clock is looked at again and again, since it may be set.
Result<void> HoldTime::sleep_until(SessionClient& client, BootClock::duration before, Deadline latest) const {
  while (remaining() > before) {
    if (latest.expired()) return check(latest);
    const auto slice = std::min<BootClock::duration>(remaining() - before, kLook);
    if (auto waited = client.wait_until(Deadline::in(slice).or_earlier(latest)); !waited) return waited;
  }
  return {};
}

}  // namespace dlm_freeze
