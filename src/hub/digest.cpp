#include "digest.h"

#include <algorithm>
#include <array>
#include <memory>

#include <openssl/evp.h>

#include <easel/base/error.h>
#include <easel/io/file.h>

namespace easel {
namespace {

constexpr size_t kSha1Digits = 40;
constexpr size_t kSha256Digits = 64;
constexpr size_t kBlockBytes = 16 << 20;

}  // namespace

bool is_file_hash(std::string_view text) {
  return (text.size() == kSha1Digits || text.size() == kSha256Digits) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::string hash_of_file(const std::filesystem::path& path, std::string_view like,
                         const std::function<void()>& check) {
  const auto file = MappedFile::open(path);
  const bool is_git = like.size() == kSha1Digits;
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                        &EVP_MD_CTX_free);
  bool good =
      context && EVP_DigestInit_ex(context.get(), is_git ? EVP_sha1() : EVP_sha256(), nullptr) == 1;
  if (is_git && good) {
    const std::string header = fmt::format("blob {}", file->bytes().size());
    // The zero at its end is part of it.
    good = EVP_DigestUpdate(context.get(), header.c_str(), header.size() + 1) == 1;
  }
  for (std::span<const std::byte> rest = file->bytes(); good && !rest.empty();) {
    const auto block = rest.first(std::min(rest.size(), kBlockBytes));
    good = EVP_DigestUpdate(context.get(), block.data(), block.size()) == 1;
    rest = rest.subspan(block.size());
    if (check) check();
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  if (!good || EVP_DigestFinal_ex(context.get(), digest.data(), &size) != 1) {
    fail("OpenSSL cannot compute {}", is_git ? "SHA-1" : "SHA-256");
  }
  std::string text;
  for (unsigned int i = 0; i < size; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

}  // namespace easel
