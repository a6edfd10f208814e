// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "dlm_freeze/quiesce/registry.hpp"
#include "quiesce/forgiving_quiescer.hpp"

namespace dlm_freeze {
namespace {

/// What stands before everything that the quiescer called `name` says.
std::string prefix(std::string_view name) { return std::string(name) + ": "; }

/// Puts the name before whatever the quiescer that it owns says of itself.
class NamedQuiescer final : public Quiescer {
 public:
  NamedQuiescer(std::string name, std::unique_ptr<Quiescer> quiescer)
      : name_(std::move(name)), quiescer_(std::move(quiescer)) {}

  Result<Presence> locate(StageContext& context) override {
    return run(context, [&] { return quiescer_->locate(context); });
  }
  Result<void> probe(StageContext& context) override {
    return run(context, [&] { return quiescer_->probe(context); });
  }
  Result<std::vector<Fact>> prepare(StageContext& context) override {
    return run(context, [&] { return quiescer_->prepare(context); });
  }
  Result<std::vector<Fact>> quiesce(StageContext& context) override {
    return run(context, [&] { return quiescer_->quiesce(context); });
  }
  int watch_fd() const override { return quiescer_->watch_fd(); }
  bool is_left_out() const override { return quiescer_->is_left_out(); }
  Result<void> release(StageContext& context, Outcome outcome) override {
    return run(context, [&] { return quiescer_->release(context, outcome); });
  }
  Result<void> recover(StageContext& context, const std::vector<Fact>& facts) override {
    return run(context, [&] { return quiescer_->recover(context, facts); });
  }

 private:
  template <typename Stage>
  auto run(StageContext& context, const Stage& stage) const -> decltype(stage()) {
    const std::size_t before = context.notes.size();
    auto result = stage();
    for (std::size_t i = before; i < context.notes.size(); ++i) context.notes[i].text.insert(0, prefix(name_));
    if (!result) result = tl::unexpected(result.error().with_context(name_));
    return result;
  }

  std::string name_;
  std::unique_ptr<Quiescer> quiescer_;
};

}  // namespace

Result<std::unique_ptr<Quiescer>> make_quiescer(const QuiescerType& type, const QuiescerConfig& config) {
  auto made = type.create(config);
  if (!made) return tl::unexpected(made.error().with_context(config.name));
  if (config.may_be_left_out) *made = forgive(std::move(*made));
  return std::make_unique<NamedQuiescer>(config.name, std::move(*made));
}

std::string without_name(std::string_view said, std::string_view name) {
  return std::string(said.starts_with(prefix(name)) ? said.substr(prefix(name).size()) : said);
}

}  // namespace dlm_freeze
