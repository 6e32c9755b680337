#include "engine/core/digest.h"

#include <openssl/evp.h>

#include <array>

#include "engine/core/error.h"

namespace impasto {

void Digest::Free::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

Digest::Digest(const evp_md_st* kind) : context_(EVP_MD_CTX_new()) {
  if (context_ && EVP_DigestInit_ex(context_.get(), kind, nullptr) != 1) context_.reset();
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

Sha256::Sha256() : Digest(EVP_sha256()) {
  if (!available()) throw Error(ErrorCode::kInternal, "digest: expected OpenSSL to have SHA-256, found none");
}

Md5::Md5() : Digest(EVP_md5()) {}

}  // namespace impasto
