// Source of the format: numpy, numpy/lib/format.py ("NPY format", versions 1.0, 2.0 and 3.0).
#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstdint>
#include <optional>
#include <utility>

#include <ATen/ATen.h>

#include <easel/base/error.h>
#include <easel/io/tensor_file.h>

#include "checked.h"
#include "path_text.h"
#include "sniff.h"
#include "tensor_view.h"

namespace easel {
namespace {

static_assert(std::endian::native == std::endian::little, "tensor files are little-endian");

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kMaxHeaderBytes = 10000;  // numpy's own limit
constexpr size_t kMaxDimensions = 64;
constexpr size_t kAlignment = 64;

constexpr std::array<std::pair<std::string_view, at::ScalarType>, 9> kDtypes{{
    {"<f8", at::kDouble},
    {"<f4", at::kFloat},
    {"<f2", at::kHalf},
    {"<i8", at::kLong},
    {"<i4", at::kInt},
    {"<i2", at::kShort},
    {"|i1", at::kChar},
    {"|u1", at::kByte},
    {"|b1", at::kBool},
}};

struct NpyHeader {
  at::ScalarType dtype = at::kFloat;
  bool fortran_order = false;
  std::vector<int64_t> shape;
};

at::ScalarType dtype_of(std::string_view descr) {
  for (const auto& [name, dtype] : kDtypes) {
    if (name == descr) return dtype;
  }
  if (descr.starts_with('>')) {
    fail("its numbers are big-endian ('{}'); save it with array.astype('<{}')", printable(descr),
         printable(descr.substr(1)));
  }
  if (descr.starts_with("|O")) fail("it holds Python objects, not numbers");
  std::string known;
  for (const auto& row : kDtypes) known += fmt::format("{}{}", known.empty() ? "" : " ", row.first);
  fail("its dtype '{}' is not supported; supported: {}", printable(descr), known);
}

// Reads the header, a Python dictionary of three keys.
class HeaderParser {
 public:
  explicit HeaderParser(std::string_view text) : text_(text) {}

  NpyHeader parse() {
    std::optional<at::ScalarType> dtype;
    std::optional<bool> fortran_order;
    std::optional<std::vector<int64_t>> shape;
    expect('{');
    while (!take('}')) {
      const std::string_view key = string();
      expect(':');
      if (key == "descr" && !dtype) {
        if (!next_is_quote()) fail("its records have several fields; only plain arrays are read");
        dtype = dtype_of(string());
      } else if (key == "fortran_order" && !fortran_order) {
        fortran_order = boolean();
      } else if (key == "shape" && !shape) {
        shape = tuple();
      } else {
        fail("its header has the key '{}' twice, or an unknown one", printable(key));
      }
      if (!take(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (!text_.empty()) fail("its header is malformed: something follows the dictionary");
    if (!dtype || !fortran_order || !shape) {
      fail("its header lacks one of the keys 'descr', 'fortran_order' and 'shape'");
    }
    return {.dtype = *dtype, .fortran_order = *fortran_order, .shape = std::move(*shape)};
  }

 private:
  void skip_space() {
    text_.remove_prefix(std::min(text_.find_first_not_of(" \t\n"), text_.size()));
  }

  bool take(char c) {
    skip_space();
    if (!text_.starts_with(c)) return false;
    text_.remove_prefix(1);
    return true;
  }

  void expect(char c) {
    if (!take(c))
      fail("its header is malformed: '{}' expected before '{}'", c, printable(text_, 20));
  }

  bool next_is_quote() {
    skip_space();
    return text_.starts_with('\'') || text_.starts_with('"');
  }

  std::string_view string() {
    if (!next_is_quote())
      fail("its header is malformed: string expected before '{}'", printable(text_, 20));
    const size_t end = text_.find(text_.front(), 1);
    if (end == std::string_view::npos) fail("its header is malformed: a string has no end");
    const std::string_view value = text_.substr(1, end - 1);
    text_.remove_prefix(end + 1);
    return value;
  }

  bool boolean() {
    skip_space();
    for (const auto& [word, value] : {std::pair("True", true), std::pair("False", false)}) {
      if (text_.starts_with(word)) {
        text_.remove_prefix(std::string_view(word).size());
        return value;
      }
    }
    fail("its header is malformed: True or False expected before '{}'", printable(text_, 20));
  }

  std::vector<int64_t> tuple() {
    std::vector<int64_t> sizes;
    expect('(');
    while (!take(')')) {
      skip_space();
      int64_t size = 0;
      const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), size);
      if (error != std::errc() || size < 0) {
        fail("its shape is malformed before '{}'", printable(text_, 30));
      }
      if (sizes.size() == kMaxDimensions) fail("it has more than {} dimensions", kMaxDimensions);
      sizes.push_back(size);
      text_.remove_prefix(static_cast<size_t>(end - text_.data()));
      text_.remove_prefix(text_.starts_with('L') ? 1 : 0);  // as Python 2 wrote long numbers
      if (!take(',')) {
        expect(')');
        break;
      }
    }
    return sizes;
  }

  std::string_view text_;
};

Tensor read_mapped(const std::shared_ptr<const MappedFile>& file) {
  std::string_view text = as_text(file->bytes());
  if (!text.starts_with(kMagic)) fail("it does not begin as one");
  text.remove_prefix(kMagic.size());
  if (text.size() < 4) fail("it is truncated");
  const int major = static_cast<unsigned char>(text[0]);
  if (major < 1 || major > 3 || text[1] != 0) {
    fail("its format version is {}.{}; known are 1.0, 2.0 and 3.0", major,
         static_cast<unsigned char>(text[1]));
  }
  text.remove_prefix(2);
  const size_t length_bytes = major == 1 ? 2 : 4;
  if (text.size() < length_bytes) fail("it is truncated");
  size_t header_bytes = 0;
  for (size_t i = length_bytes; i-- > 0;) {
    header_bytes = header_bytes << 8 | static_cast<unsigned char>(text[i]);
  }
  text.remove_prefix(length_bytes);
  if (header_bytes > kMaxHeaderBytes) {
    fail("its header claims {} bytes, more than the {} that are allowed", header_bytes,
         kMaxHeaderBytes);
  }
  if (header_bytes > text.size()) fail("it is truncated");
  NpyHeader header = HeaderParser(text.substr(0, header_bytes)).parse();
  text.remove_prefix(header_bytes);

  const auto expected = checked_bytes(header.shape, c10::elementSize(header.dtype));
  if (!expected || *expected != text.size()) {
    fail("its shape {} of {} takes {} bytes, but {} follow the header: it is truncated or damaged",
         shape_text(header.shape), dtype_name(header.dtype),
         expected ? fmt::format("{}", *expected) : "too many", text.size());
  }
  if (header.fortran_order) std::reverse(header.shape.begin(), header.shape.end());
  const Tensor tensor =
      tensor_of_mapped(file, std::as_bytes(std::span(text)), header.shape, header.dtype);
  if (!header.fortran_order) return tensor;
  std::vector<int64_t> reversed(header.shape.size());
  for (size_t i = 0; i < reversed.size(); ++i) {
    reversed[i] = static_cast<int64_t>(reversed.size() - 1 - i);
  }
  return tensor.permute(reversed);
}

// As numpy.save writes it, byte for byte.
std::string header_of(const Tensor& tensor, std::string_view descr) {
  constexpr size_t kGrowthDigits = 21;  // room for the first dimension to grow in place
  std::string shape;
  for (const int64_t size : tensor.sizes())
    shape += fmt::format("{}{}", shape.empty() ? "" : ", ", size);
  if (tensor.dim() == 1) shape += ',';
  std::string header =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", descr, shape);
  if (tensor.dim() > 0) {
    header.append(kGrowthDigits - fmt::formatted_size("{}", tensor.size(0)), ' ');
  }
  const size_t prefix = kMagic.size() + 4;
  header.append(kAlignment - (prefix + header.size() + 1) % kAlignment, ' ');
  return header + '\n';
}

}  // namespace

Tensor read_npy(const std::filesystem::path& path) {
  const std::shared_ptr<const MappedFile> file = MappedFile::open(path);
  try {
    return read_mapped(file);
  } catch (const Error& error) {
    fail("'{}' is no valid .npy file: {}", path_text(path), error.what());
  }
}

void write_npy(const std::filesystem::path& path, const Tensor& tensor, IfExists if_exists) {
  if (!tensor.defined()) fail("cannot write '{}': the tensor is undefined", path_text(path));
  const auto row = std::find_if(kDtypes.begin(), kDtypes.end(), [&](const auto& candidate) {
    return candidate.second == tensor.scalar_type();
  });
  if (row == kDtypes.end() || tensor.layout() != at::kStrided) {
    fail("cannot write '{}': a .npy file holds no tensor of {}; convert it to float32",
         path_text(path), dtype_name(tensor.scalar_type()));
  }
  if (static_cast<size_t>(tensor.dim()) > kMaxDimensions) {
    fail("cannot write '{}': a .npy file has at most {} dimensions", path_text(path),
         kMaxDimensions);
  }
  const std::string header = header_of(tensor, row->first);
  const Tensor plain = plain_cpu_tensor(tensor);
  write_atomically(path, if_exists, [&](FileWriter& out) {
    out.write(kMagic);
    const std::array<char, 4> version_and_length{1, 0, static_cast<char>(header.size()),
                                                 static_cast<char>(header.size() >> 8)};
    out.write(std::string_view(version_and_length.data(), version_and_length.size()));
    out.write(header);
    out.write(tensor_bytes(plain));
  });
}

}  // namespace easel
