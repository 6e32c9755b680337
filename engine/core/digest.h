#pragma once
// Digests of bytes that come in parts.
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

struct evp_md_ctx_st;  // OpenSSL's context of a digest

namespace impasto {

/// What SHA-256 and MD5 share.
class Digest {
 public:
  void update(const void* data, std::size_t bytes);
  void update(std::string_view text) { update(text.data(), text.size()); }
  /// The values as they lie in memory.
  template <class T, std::size_t N>
  void update(std::span<T, N> values) {
    static_assert(std::is_arithmetic_v<T>);
    update(values.data(), values.size_bytes());
  }
  /// In lower-case hex; the digest is at its end then. Empty where OpenSSL has none of this kind.
  [[nodiscard]] std::string hex();

 protected:
  explicit Digest(const char* kind);  // OpenSSL's name of it
  [[nodiscard]] bool available() const { return context_ != nullptr; }

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;  // null: not available, or at its end
};

class Sha256 : public Digest {
 public:
  /// std::bad_alloc where OpenSSL has no memory for it.
  Sha256();
  [[nodiscard]] std::string hex();  ///< never empty; std::bad_alloc as above
};

/// For telling published files only. OpenSSL has none in FIPS mode.
class Md5 : public Digest {
 public:
  Md5();
};

}  // namespace impasto
