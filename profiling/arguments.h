#pragma once
// Command lines of the small programs here: --NAME VALUE or --NAME=VALUE, and flags.
#include <charconv>
#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "engine/backend/precision.h"
#include "engine/core/error.h"

namespace impasto::profiling {

class Arguments {
 public:
  /// `values`: every option with its default; `flags`: those without a value. Error(kUsage) for any other.
  Arguments(int argc, char** argv, std::map<std::string, std::string> values,
            const std::set<std::string>& flags)
      : values_(std::move(values)) {
    for (int i = 1; i < argc; ++i) {
      std::string name = argv[i];
      if (flags.contains(name)) {
        flags_.insert(name);
        continue;
      }
      const std::size_t equals = name.find('=');
      const bool apart = equals == std::string::npos;
      std::string value = apart ? "" : name.substr(equals + 1);
      name.resize(apart ? name.size() : equals);
      if (!values_.contains(name))
        throw Error(ErrorCode::kUsage, "expected " + allowed(flags) + ", found '" + name + "'");
      if (apart) {
        if (++i == argc) throw Error(ErrorCode::kUsage, "option " + name + ": expected a value, found none");
        value = argv[i];
      }
      values_[name] = value;
    }
  }

  [[nodiscard]] bool flag(const std::string& name) const { return flags_.contains(name); }
  [[nodiscard]] const std::string& text(const std::string& name) const { return values_.at(name); }
  [[nodiscard]] std::int64_t integer(const std::string& name, std::int64_t lower, std::int64_t upper) const {
    const auto value = number<std::int64_t>(name);
    if (value < lower || value > upper) fail(name, std::to_string(lower) + " to " + std::to_string(upper));
    return value;
  }
  /// Not negative.
  [[nodiscard]] double real(const std::string& name) const {
    const auto value = number<double>(name);
    if (!(value >= 0)) fail(name, "a number of 0 or more");
    return value;
  }
  [[nodiscard]] Precision precision(const std::string& name) const {
    if (const auto precision = find_precision(text(name))) return *precision;
    fail(name, precision_names());
  }
  [[noreturn]] void fail(const std::string& name, const std::string& expected) const {
    throw Error(ErrorCode::kUsage,
                "option " + name + ": expected " + expected + ", found '" + text(name) + "'");
  }

 private:
  template <class T>
  [[nodiscard]] T number(const std::string& name) const {
    const std::string& t = text(name);
    T value{};
    const auto [end, status] = std::from_chars(t.data(), t.data() + t.size(), value);
    if (status != std::errc() || end != t.data() + t.size()) fail(name, "a number");
    return value;
  }
  [[nodiscard]] std::string allowed(const std::set<std::string>& flags) const {
    std::string all;
    for (const auto& [name, value] : values_) all += (all.empty() ? "" : ", ") + name;
    for (const std::string& name : flags) all += ", " + name;
    return all;
  }

  std::map<std::string, std::string> values_;
  std::set<std::string> flags_;
};

}  // namespace impasto::profiling
