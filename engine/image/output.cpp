#include "engine/image/output.h"

#include <algorithm>
#include <utility>

namespace impasto::codec {
namespace {
constexpr std::size_t kBlockBytes = std::size_t{1} << 20;
}

Output::Output(NewFile& file) : file_(file) {}

template <class Work>
bool Output::attempt(const Work& work) noexcept {
  try {
    work();
    return true;
  } catch (...) {
    failure_ = std::current_exception();
    return false;
  }
}

void Output::write(const void* data, std::size_t bytes) {
  if (!try_write(data, bytes)) rethrow();
}

bool Output::try_write(const void* data, std::size_t bytes) noexcept {
  return attempt([&] {
    const auto* const from = static_cast<const std::uint8_t*>(data);
    block_.insert(block_.end(), from, from + bytes);
    size_ = std::max(size_, position());
    if (block_.size() >= kBlockBytes) flush();
  });
}

void Output::seek(std::uint64_t position) {
  if (!try_seek(position)) rethrow();
}

bool Output::try_seek(std::uint64_t position) noexcept {
  return attempt([&] {
    if (position == this->position()) return;
    flush();
    start_ = position;
  });
}

void Output::flush() {
  if (!block_.empty()) file_.write_at(start_, block_.data(), block_.size());
  start_ += block_.size();
  block_.clear();
}

void Output::rethrow() const {
  if (failure_) std::rethrow_exception(failure_);
}

}  // namespace impasto::codec
