// SPDX-License-Identifier: Apache-2.0
#include "disturbed_session.hpp"

#include <atomic>
#include <thread>

namespace dlm_freeze::integration {

std::string to_string(ContainerEvent event) {
  if (event == ContainerEvent::killed) return "Killed";
  return event == ContainerEvent::stopped ? "Stopped" : "Restarted";
}

DisturbedSession disturbed_session(const std::function<RunResult(const std::string& command)>& run,
                                   const std::function<bool()>& is_held, bool until_deadline, Clock::duration after,
                                   const std::function<void()>& event) {
  DisturbedSession session;
  std::atomic<bool> happened{false};
  std::thread beside([&] {
    sleep_for(after);
    event();
    happened.store(true);
  });
  session.pre = run("pre-script");
  if (session.pre.exit_code == 0) {
    session.was_held = is_held();
    sleep_for(Milliseconds(100));
    if (until_deadline) static_cast<void>(eventually([&] { return !is_held(); }, std::chrono::seconds(10)));
    session.before_post = happened.load();
    session.post = run("post-script");
  }
  beside.join();
  return session;
}

}  // namespace dlm_freeze::integration
