#include "engine/core/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <array>
#include <new>

namespace impasto {
namespace {

/// One of our own: OpenSSL 3.0 makes its default one at first use, and crashes where memory ends as it does.
OSSL_LIB_CTX* library() {
  static OSSL_LIB_CTX* const made = [] {
    OSSL_LIB_CTX* const library = OSSL_LIB_CTX_new();
    if (library == nullptr) throw std::bad_alloc();
    return library;
  }();
  return made;
}

}  // namespace

void Digest::Free::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

Digest::Digest(const char* kind) : context_(EVP_MD_CTX_new()) {
  EVP_MD* const fetched = EVP_MD_fetch(library(), kind, nullptr);
  if (context_ && EVP_DigestInit_ex(context_.get(), fetched, nullptr) != 1) context_.reset();
  EVP_MD_free(fetched);
}

void Digest::update(const void* data, std::size_t bytes) {
  if (context_ && EVP_DigestUpdate(context_.get(), data, bytes) != 1) context_.reset();
}

std::string Digest::hex() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (!context_ || EVP_DigestFinal_ex(context_.get(), digest.data(), &size) != 1) size = 0;
  context_.reset();
  std::string text;
  for (const unsigned char byte : std::span(digest).first(size)) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

Sha256::Sha256() : Digest("SHA256") {
  if (!available()) throw std::bad_alloc();  // every OpenSSL has it, given memory
}

std::string Sha256::hex() {
  std::string text = Digest::hex();
  if (text.empty()) throw std::bad_alloc();
  return text;
}

Md5::Md5() : Digest("MD5") {}

}  // namespace impasto
