#include "read_text.h"

#include <memory>
#include <vector>

#include <zlib.h>

#include "easel/base/error.h"

namespace easel::text {
namespace fs = std::filesystem;
namespace {

constexpr size_t kMaxFileSize = size_t{64} << 20;

}  // namespace

std::string read_text(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error)) fail("'{}' does not exist", printable(path.string(), 500));
  if (!fs::is_regular_file(path, error)) fail("'{}' is not a file", printable(path.string(), 500));
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> file(gzopen(path.c_str(), "rb"), gzclose);
  if (!file) fail("cannot open '{}'; check its permissions", printable(path.string(), 500));
  std::string text;
  std::vector<char> buffer(size_t{1} << 16);
  for (;;) {
    const int size = gzread(file.get(), buffer.data(), static_cast<unsigned>(buffer.size()));
    int code = Z_OK;
    const char* message = gzerror(file.get(), &code);
    if (size < 0 || code < 0)
      fail("'{}' cannot be read: {}; it is truncated or corrupt", printable(path.string(), 500),
           message);
    if (size == 0) return text;
    text.append(buffer.data(), static_cast<size_t>(size));
    if (text.size() > kMaxFileSize)
      fail("'{}' is larger than {} MiB, which no tokenizer file is", printable(path.string(), 500),
           kMaxFileSize >> 20);
  }
}

nlohmann::json parse_json(const fs::path& path) {
  const std::string text = read_text(path);
  nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object())
    fail("'{}' is not a JSON object; it is truncated or corrupt", printable(path.string(), 500));
  return json;
}

}  // namespace easel::text
