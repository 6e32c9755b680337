#pragma once
// What the devices' choices have in common: those made, those of an earlier run while they are on offer, and
// those that one render asked for.
#include <map>
#include <set>
#include <string>
#include <utility>

#include "engine/backend/choice_cache.h"
#include "engine/backend/tuning.h"
#include "engine/core/message.h"

namespace impasto {

/// Key: one thing to choose for, ordered, with to_string(). Choice: what may be chosen.
template <class Key, class Choice>
class TunedChoices : public Tuning {
 public:
  void begin(const std::string& text, const std::string& source) final {
    const std::string first = text.substr(0, text.find('\n'));
    if (titled_ && !text.empty() && first != cache_.title()) {
      throw make_error(ErrorCode::kBadInput, "{}: expected to go on with {}, found {}", source, first,
                       cache_.title());
    }
    cache_.set_given(text, source);
    before_ = chosen_;
    asked_.clear();
  }
  std::string end() final {
    cache_.set_given({}, {});
    cache_.save();
    std::string text;
    for (const Key& key : asked_) text += ChoiceCache::line(to_string(key), describe(chosen_.at(key)));
    return text.empty() || !titled_ ? text : cache_.title() + "\n" + text;
  }
  void take_back() final {
    cache_.set_given({}, {});
    cache_.save();
    chosen_ = before_;
  }
  void forget() final { chosen_.clear(); }

  /// "timed 24 convolutions"; empty without autotune.
  [[nodiscard]] std::string activity() const {
    return cache_.measuring() ? fmt::format("timed {} convolutions", num_timed_) : std::string();
  }

 protected:
  /// `titled`: an earlier run's text begins with its title, which must be this one.
  TunedChoices(std::string title, bool measuring, bool titled)
      : cache_(std::move(title), measuring), titled_(titled) {}

  [[nodiscard]] virtual std::string describe(const Choice& choice) const = 0;

  /// Was one made for the key already? Error(kUsage) if it is another than the earlier run's.
  [[nodiscard]] bool made(const Key& key) {
    asked_.insert(key);
    const auto found = chosen_.find(key);
    if (found == chosen_.end()) return false;
    const std::string name = to_string(key), choice = describe(found->second);
    if (const auto given = cache_.given(name); given && *given != choice) {
      throw make_error(ErrorCode::kUsage, "{}: expected {} = {} as renders before it have it, found {}",
                       cache_.source(), name, choice, *given);
    }
    return true;
  }
  void keep_measured(const Key& key, const std::string& choice) {
    ++num_timed_;
    cache_.keep(to_string(key), choice);
  }

  ChoiceCache cache_;
  std::map<Key, Choice> chosen_;

 private:
  bool titled_;
  int num_timed_ = 0;
  std::map<Key, Choice> before_;
  std::set<Key> asked_;
};

}  // namespace impasto
