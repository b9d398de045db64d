#include "easel/io/tensor_file.h"

#include <cstring>

#include <easel/base/error.h>

#include "path_text.h"
#include "sniff.h"

namespace easel {
namespace {

using namespace std::string_view_literals;

// The length's last byte is zero in every header that can exist, and no text has a NUL there.
// Looked at before the pickle's, since a length may begin as a pickle does.
bool is_safetensors(std::string_view bytes) {
  return bytes.size() > 8 && bytes[7] == '\0' && bytes[8] == '{';
}

bool is_npy(std::string_view bytes) { return bytes.starts_with("\x93NUMPY"); }

bool is_torch(std::string_view bytes) {
  const bool zip = bytes.starts_with("PK\x03\x04"sv);
  const bool pickle = bytes.size() > 2 && bytes[0] == '\x80' && bytes[1] >= 2 && bytes[1] <= 5;
  const bool tar = bytes.size() >= 512 && bytes.substr(257, 5) == "ustar";
  return zip || pickle || tar;
}

}  // namespace

TensorFile read_tensor_file(const std::filesystem::path& path) {
  const std::shared_ptr<const MappedFile> file = MappedFile::open(path);
  const std::string_view bytes = as_text(file->bytes());
  if (is_safetensors(bytes)) return read_safetensors(path);
  if (is_npy(bytes)) {
    TensorFile result;
    result.tensors.emplace("array", read_npy(path));
    result.format = "npy";
    return result;
  }
  if (is_torch(bytes)) return read_torch_file(path);
  const std::string_view guess = guess_content(file->bytes());
  fail("'{}' holds no tensors that can be read (safetensors, torch.save, npy){}{}", path_text(path),
       guess.empty() ? "" : "; it seems to be ", guess);
}

}  // namespace easel
