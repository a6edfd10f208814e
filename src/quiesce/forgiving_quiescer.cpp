// SPDX-License-Identifier: Apache-2.0
#include "quiesce/forgiving_quiescer.hpp"

#include <string>
#include <utility>

namespace dlm_freeze {
namespace {

class ForgivingQuiescer final : public Quiescer {
 public:
  explicit ForgivingQuiescer(std::unique_ptr<Quiescer> quiescer) : quiescer_(std::move(quiescer)) {}

  Result<Presence> locate(StageContext& context) override {
    auto presence = bounded(context, [&] { return quiescer_->locate(context); });
    if (presence) return presence;
    leave_out(presence.error(), context);
    return Presence{true, presence.error().message, {}};
  }

  Result<void> probe(StageContext& context) override {
    if (left_out_) return {};
    auto ready = bounded(context, [&] { return quiescer_->probe(context); });
    if (!ready) leave_out(ready.error(), context);
    return {};
  }

  Result<std::vector<Fact>> prepare(StageContext& context) override {
    if (left_out_) return {};
    auto facts = bounded(context, [&] { return quiescer_->prepare(context); });
    if (facts) return facts;
    leave_out(facts.error(), context);
    return {};
  }

  Result<std::vector<Fact>> quiesce(StageContext& context) override {
    if (!left_out_) {
      auto facts = bounded(context, [&] { return quiescer_->quiesce(context); });
      if (facts) return facts;
      leave_out(facts.error(), context);
      if (auto released = quiescer_->release(context, Outcome::rolled_back); !released)
        context.notes.push_back({LogLevel::warn, released.error().message});
    }
    return std::vector<Fact>{{std::string(kNotQuiesced), why_}};  // For the record and the manifest.
  }

  int watch_fd() const override { return left_out_ ? -1 : quiescer_->watch_fd(); }

  bool is_left_out() const override { return left_out_; }

  Result<void> release(StageContext& context, Outcome outcome) override {
    return left_out_ ? Result<void>() : quiescer_->release(context, outcome);
  }

  Result<void> recover(StageContext& context, const std::vector<Fact>& facts) override {
    return quiescer_->recover(context, facts);
  }

 private:
  /// Runs a stage that one which hangs leaves most of the time of.
  template <typename Stage>
  static auto bounded(StageContext& context, const Stage& stage) -> decltype(stage()) {
    constexpr int kShare = 3;
    const Deadline whole = std::exchange(context.deadline, context.patience().share(kShare).deadline);
    auto result = stage();
    context.deadline = whole;
    return result;
  }

  void leave_out(const Error& error, StageContext& context) {
    left_out_ = true;
    why_ = error.message;
    context.notes.push_back({LogLevel::warn, "NOT quiesced: " + error.message});
  }

  std::unique_ptr<Quiescer> quiescer_;
  bool left_out_ = false;
  std::string why_;
};

}  // namespace

std::unique_ptr<Quiescer> forgive(std::unique_ptr<Quiescer> quiescer) {
  return std::make_unique<ForgivingQuiescer>(std::move(quiescer));
}

}  // namespace dlm_freeze
