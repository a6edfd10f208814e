// SPDX-License-Identifier: Apache-2.0
#include "session.hpp"

#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <set>

namespace dlm_freeze::faults {
namespace {

using integration::eventually;

/// How much later than its deadline a session may be over: the watchdog's grace, then that of who does its work, and a
/// busy machine.
constexpr Milliseconds kGrace{2500};
/// What a caller gives a command before it kills its process group.
constexpr Milliseconds kCaller{3500};
/// The loader's own failure, before the program has begun.
constexpr int kNotLoaded = 127;

class Session {
 public:
  Session(Host& host, Injector& injector, const Trial& trial) : host_(host), injector_(injector), trial_(trial) {}

  Verdict run() {
    const std::optional<Fault>& fault = trial_.fault;
    host_.restart_safety_limit();
    for (const auto& ticker : host_.tickers()) static_cast<void>(ticker->take_longest());
    injector_.arm(fault);
    // What is written cannot arrive.
    is_silenced_ =
        fault && fault->lasting && std::set<std::string>{"poll", "ppoll", "write"}.contains(fault->site.call);
    const RunResult pre = command("pre-script");
    if (trial_.pre_script_fails && pre.exit_code == 0) violated("pre-script: 0");
    if (pre.exit_code == 0) {
      expect_held(pre, is_stopping(fault));
      expect_post_script(fault);
    } else {
      expect_refusal(pre, {201, 204, 206});
    }
    verdict_.reached = injector_.reached();
    const bool is_undone = pre.exit_code.has_value() && pre.err.find("everything else is undone") == std::string::npos;
    expect_over(is_undone && !is_stopping(fault));
    expect_next_works();
    if (!verdict_.violations.empty()) host_.clean();
    return std::move(verdict_);
  }

 private:
  static bool is_stopping(const std::optional<Fault>& fault) { return fault && (fault->act || fault->hangs); }

  RunResult command(const std::string& name) {
    const auto run = host_.start({name}, injector_.wrapper(name), trial_.environment);
    RunResult result = run->wait(kCaller + trial_.suspension);
    if (!result.ended) {
      injector_.release();
      run->kill_group();
      RunResult rest = run->wait();
      rest.out.insert(0, result.out);
      rest.err.insert(0, result.err);
      result = std::move(rest);
    }
    verdict_.text += name + ": " + result.text();
    return result;
  }

  /// How long anything may be frozen or locked.
  [[nodiscard]] Milliseconds longest() const { return Host::kAutoThaw + kGrace + trial_.suspension; }

  void violated(const std::string& what) { verdict_.violations.push_back(what); }

  /// 0 is the promise that all is held that is not named. What is killed after that was said breaks the hold, and
  /// post-script has to say so.
  void expect_held(const RunResult& pre, bool may_be_over) {
    begun_.clear();
    for (const auto& ticker : host_.tickers()) begun_.push_back(ticker->begun());
    is_named_.clear();
    for (std::size_t i = 0; i < begun_.size(); ++i)
      is_named_.push_back((pre.out + pre.err).find(host_.mount_point(i)) != std::string::npos);
    integration::sleep_for(Milliseconds(12));
    if (may_be_over || Clock::now() > pre.started + Host::kAutoThaw) return;  // As post-script will say.
    for (std::size_t i = 0; i < begun_.size(); ++i) {
      if (!is_frozen_since(i) && !is_named_[i])
        violated("pre-script: 0 although " + host_.mount_point(i) + " is written to");
    }
    if (!Host::is_locked() && (pre.out + pre.err).find("db") == std::string::npos)
      violated("pre-script: 0 although the database is not locked");
  }

  [[nodiscard]] bool is_frozen_since(std::size_t i) const { return host_.tickers()[i]->done() <= begun_[i]; }

  void expect_post_script(const std::optional<Fault>& fault) {
    bool lasted = Host::is_locked();
    for (std::size_t i = 0; i < begun_.size(); ++i) lasted = lasted && (is_frozen_since(i) || is_named_[i]);
    const RunResult post = command("post-script");
    if (post.exit_code == 0) {
      if (!lasted) violated("post-script: 0 although the hold was over");
    } else {
      // Where the watchdog can never say anything again, its session looks like that of another post-script. So it does
      // where it dies with everything undone and on record, before it answers: it has just removed its socket.
      const bool is_mute = fault && ((fault->lasting && fault->site.call == "sendto") ||
                                     (fault->site.role == "dlm-watchdog" && fault->site.call == "unlinkat"));
      expect_refusal(post, is_mute ? std::set{202, 203, 205} : std::set{202, 203});
      // As its caller would do.
      const RunResult again = host_.run({"post-script"});
      verdict_.text += "again: " + again.text();
      if (again.exit_code == 0 && !lasted) violated("the second post-script: 0 although the hold was over");
    }
  }

  /// An error has its code, and its cause in words.
  void expect_refusal(const RunResult& result, const std::set<int>& codes) {
    if (!result.exit_code) return;  // Killed by the fault.
    const int code = *result.exit_code;
    if (code == kNotLoaded || is_silenced_) return;
    if (!codes.contains(code)) violated("exit code " + std::to_string(code));
    const bool is_explained = result.err.find("ERROR: ") != std::string::npos &&
                              result.err.find("Return Error Code: " + std::to_string(code)) != std::string::npos;
    if (!is_explained) violated("exit code " + std::to_string(code) + " without its cause");
  }

  /// Nothing is held any more: at once where the commands could see to that, else by the deadline.
  void expect_over(bool at_once) {
    const Milliseconds limit = at_once ? Milliseconds(1500) : longest();
    const auto is_free = [&] {
      return !Host::is_locked() &&
             std::ranges::all_of(host_.tickers(), [](const auto& ticker) { return ticker->goes_on(Milliseconds(20)); });
    };
    const bool freed = eventually(is_free, limit);
    if (!freed) {
      for (std::size_t i = 0; i < host_.tickers().size(); ++i) {
        if (!host_.tickers()[i]->goes_on(Milliseconds(100))) violated(host_.mount_point(i) + " is still frozen");
      }
      if (Host::is_locked()) violated("the database is still locked");
    }
    injector_.release();
    for (const auto& process : host_.processes()) process.signal(SIGCONT);
    if (!all_gone(std::chrono::seconds(15))) {
      for (const auto& process : host_.processes())
        violated(process.name() + " is left, in state " + integration::process_state(process.pid()));
    }
    for (std::size_t i = 0; i < host_.tickers().size(); ++i) {
      const Milliseconds took = host_.tickers()[i]->take_longest();
      if (took > longest()) violated(host_.mount_point(i) + " was frozen for " + std::to_string(took.count()) + " ms");
    }
    if (host_.safety_fired()) violated("the safety thaw had to step in");
  }

  /// To look takes as long as what is waited for.
  [[nodiscard]] bool all_gone(Milliseconds limit) const {
    const auto end = Clock::now() + limit;
    while (!host_.processes().empty()) {
      if (Clock::now() > end) return false;
      integration::sleep_for(Milliseconds(10));
    }
    return true;
  }

  void expect_next_works() {
    std::error_code ignored;
    std::filesystem::remove("/run/filler", ignored);
    injector_.arm({});
    host_.configure_patient();
    const RunResult pre = host_.run({"pre-script"});
    const RunResult post = host_.run({"post-script"});
    if (pre.exit_code != 0 || post.exit_code != 0) {
      violated("the next session fails");
      verdict_.text += "next: " + pre.text() + post.text();
    }
    host_.configure_usual();
  }

  Host& host_;
  Injector& injector_;
  const Trial& trial_;
  Verdict verdict_;
  std::vector<std::uint64_t> begun_;
  std::vector<bool> is_named_;
  bool is_silenced_ = false;
};

}  // namespace

Verdict run_session(Host& host, Injector& injector, const Trial& trial) { return Session(host, injector, trial).run(); }

}  // namespace dlm_freeze::faults
