// Digests: of a network's values, the same in every file that holds them, and of a whole file.
#include <openssl/evp.h>

#include <array>
#include <bit>
#include <fstream>
#include <memory>
#include <span>

#include "engine/network/weights_file.h"

namespace impasto::weights {
namespace {

static_assert(std::endian::native == std::endian::little, "values are hashed as they lie in memory");

class Hash {
 public:
  explicit Hash(const EVP_MD* kind) : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    // MD5 is absent where OpenSSL runs in FIPS mode; the digest is then empty, and the file merely unknown.
    ok_ = context_ != nullptr && EVP_DigestInit_ex(context_.get(), kind, nullptr) == 1;
  }
  void update(const void* data, std::size_t size) {
    if (ok_) ok_ = EVP_DigestUpdate(context_.get(), data, size) == 1;
  }
  void update(const std::string& text) { update(text.data(), text.size()); }
  void update(const std::vector<float>& values) { update(values.data(), values.size() * sizeof(float)); }
  [[nodiscard]] std::string hex() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    if (!ok_ || EVP_DigestFinal_ex(context_.get(), digest.data(), &size) != 1) return {};
    std::string out;
    for (const unsigned char b : std::span(digest).first(size)) {
      out += "0123456789abcdef"[b >> 4];
      out += "0123456789abcdef"[b & 15];
    }
    return out;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
  bool ok_ = false;
};

}  // namespace

ContentDigest content_digest(const Weights& weights) {
  ContentDigest result;
  std::string lines = "impasto-content 1\n" + weights.network + "\n";
  for (const ConvWeights& layer : weights.layers) {
    Hash values(EVP_sha256());
    values.update(layer.filter);
    values.update(layer.bias);
    result.layers.push_back(values.hex());
    lines += layer.name + " 3 3 " + std::to_string(layer.in_channels) + " " +
             std::to_string(layer.out_channels) + " " + result.layers.back() + "\n";
  }
  Hash whole(EVP_sha256());
  whole.update(lines);
  result.whole = whole.hex();
  return result;
}

std::string md5_of_file(const std::filesystem::path& file) {
  Hash md5(EVP_md5());
  std::ifstream in(file, std::ios::binary);
  std::vector<char> chunk(std::size_t{1} << 20);
  while (in) {
    in.read(chunk.data(), static_cast<std::streamsize>(chunk.size()));
    md5.update(chunk.data(), static_cast<std::size_t>(in.gcount()));
  }
  if (!in.eof()) refuse(file, "expected a readable file, found a read error");
  return md5.hex();
}

}  // namespace impasto::weights
