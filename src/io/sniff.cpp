#include "sniff.h"

#include <algorithm>
#include <array>

namespace easel {
namespace {

using namespace std::string_view_literals;

struct Magic {
  size_t offset;
  std::string_view bytes;
  std::string_view meaning;
};

constexpr std::string_view kHtml =
    "an HTML page, perhaps the answer to a download that needs a login";

constexpr std::array kMagics{
    Magic{0, "version https://git-lfs"sv,
          "a Git LFS pointer, not the file itself; get that with 'git lfs pull'"},
    Magic{0, "<!DOCTYPE"sv, kHtml},
    Magic{0, "<!doctype"sv, kHtml},
    Magic{0, "<html"sv, kHtml},
    Magic{0, "<HTML"sv, kHtml},
    Magic{0, "<?xml"sv, "an XML document"},
    Magic{0, "\x89PNG\r\n\x1a\n"sv, "a PNG picture"},
    Magic{0, "\xff\xd8\xff"sv, "a JPEG picture"},
    Magic{0, "GIF8"sv, "a GIF picture"},
    Magic{8, "WEBP"sv, "a WebP picture"},
    Magic{4, "ftypavif"sv, "an AVIF picture"},
    Magic{4, "ftyphei"sv, "a HEIF picture"},
    Magic{4, "ftyp"sv, "an MP4 film"},
    Magic{0, "BM"sv, "a BMP picture"},
    Magic{0, "II*\0"sv, "a TIFF picture"},
    Magic{0, "MM\0*"sv, "a TIFF picture"},
    Magic{0, "%PDF"sv, "a PDF document"},
    Magic{0, "GGUF"sv, "a GGUF model (llama.cpp, stable-diffusion.cpp)"},
    Magic{0, "lmgg"sv, "a GGML model"},
    Magic{0, "tjgg"sv, "a GGML model"},
    Magic{4, "TFL3"sv, "a TensorFlow Lite model"},
    Magic{0, "\x89HDF\r\n\x1a\n"sv, "an HDF5 file (Keras)"},
    Magic{0, "\x08\x03\x12"sv, "an ONNX model"},
    Magic{0, "\x08\x04\x12"sv, "an ONNX model"},
    Magic{0, "\x08\x05\x12"sv, "an ONNX model"},
    Magic{0, "\x08\x06\x12"sv, "an ONNX model"},
    Magic{0, "\x08\x07\x12"sv, "an ONNX model"},
    Magic{0, "\x08\x08\x12"sv, "an ONNX model"},
    Magic{0, "\x08\x09\x12"sv, "an ONNX model"},
    Magic{0, "\x08\x0a\x12"sv, "an ONNX model"},
    Magic{0, "PK\x03\x04"sv, "a zip archive"},
    Magic{0, "\x1f\x8b"sv, "gzip-compressed; unpack it with 'gunzip'"},
    Magic{0,
          "\xfd"
          "7zXZ\0"sv,
          "xz-compressed; unpack it with 'unxz'"},
    Magic{0, "BZh"sv, "bzip2-compressed; unpack it with 'bunzip2'"},
    Magic{0, "\x28\xb5\x2f\xfd"sv, "zstd-compressed; unpack it with 'unzstd'"},
    Magic{0, "7z\xbc\xaf\x27\x1c"sv, "a 7z archive"},
    Magic{0, "Rar!"sv, "a RAR archive"},
    Magic{0,
          "\x7f"
          "ELF"sv,
          "a program"},
    Magic{0, "\x93NUMPY"sv, "a numpy array"},
};

}  // namespace

std::string_view guess_content(std::span<const std::byte> bytes) {
  const std::string_view text = as_text(bytes.first(std::min<size_t>(bytes.size(), 1024)));
  if (text.empty()) return "empty";
  for (const Magic& magic : kMagics) {
    if (text.size() > magic.offset && text.substr(magic.offset).starts_with(magic.bytes)) {
      return magic.meaning;
    }
  }
  if (std::all_of(text.begin(), text.end(), [](char c) { return c == '\0'; })) {
    return "all zeros, as an interrupted download leaves it";
  }
  const size_t start = text.find_first_not_of(" \t\r\n");
  if (start != std::string_view::npos) {
    const std::string_view rest = text.substr(start);
    if (rest.starts_with('<')) return kHtml;
    if (rest.starts_with('{') || rest.starts_with('[')) return "a JSON document";
    const bool plain = std::all_of(rest.begin(), rest.end(), [](char c) {
      return (c >= ' ' && c != '\x7f') || c == '\n' || c == '\r' || c == '\t';
    });
    if (plain) return "a text file";
  }
  return {};
}

}  // namespace easel
