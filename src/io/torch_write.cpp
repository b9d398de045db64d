#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ATen/ATen.h>

#include <easel/base/error.h>
#include <easel/base/utf8.h>
#include <easel/io/tensor_file.h>

#include "path_text.h"
#include "tensor_view.h"
#include "zip_writer.h"

namespace easel {
namespace {

using Row = std::pair<const std::string, Tensor>;

// The storage class that torch's pickles name for a dtype; empty for the newer dtypes, which are
// saved as bytes and named beside them.
std::string_view storage_class(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat:
      return "FloatStorage";
    case at::kHalf:
      return "HalfStorage";
    case at::kBFloat16:
      return "BFloat16Storage";
    case at::kDouble:
      return "DoubleStorage";
    case at::kLong:
      return "LongStorage";
    case at::kInt:
      return "IntStorage";
    case at::kShort:
      return "ShortStorage";
    case at::kChar:
      return "CharStorage";
    case at::kByte:
      return "ByteStorage";
    case at::kBool:
      return "BoolStorage";
    case at::kComplexFloat:
      return "ComplexFloatStorage";
    case at::kComplexDouble:
      return "ComplexDoubleStorage";
    default:
      return "";
  }
}

bool is_byte_saved(at::ScalarType dtype) {
  return dtype == at::kFloat8_e4m3fn || dtype == at::kFloat8_e5m2;
}

// The part of a storage that is written: the items that its tensors reach.
struct Piece {
  std::vector<const Row*> rows;
  int64_t begin = 0;  // in items from the beginning of the tensors' storage
  int64_t end = 0;

  const Tensor& first() const { return rows.front()->second; }
  int64_t num_items() const { return end - begin; }

  // A lone tensor with gaps between its items is written without them.
  bool compact() const { return rows.size() == 1 && first().numel() < num_items(); }
};

int64_t reach_end(const Tensor& tensor) {
  if (tensor.numel() == 0) return tensor.storage_offset();
  int64_t end = tensor.storage_offset() + 1;
  for (int64_t d = 0; d < tensor.dim(); ++d) end += (tensor.size(d) - 1) * tensor.stride(d);
  return end;
}

void check_tensor(const Row& row) {
  const auto& [name, tensor] = row;
  if (!is_valid_utf8(name)) fail("the tensor name '{}' is not valid UTF-8", printable(name));
  if (!tensor.defined()) fail("the tensor '{}' is undefined", printable(name));
  const at::ScalarType dtype = tensor.scalar_type();
  if (tensor.layout() != at::kStrided || (storage_class(dtype).empty() && !is_byte_saved(dtype))) {
    fail("the tensor '{}' is {} {}, which cannot be written", printable(name),
         tensor.layout() == at::kStrided ? "of dtype" : "not dense, of dtype", dtype_name(dtype));
  }
  if (tensor.is_conj() || tensor.is_neg()) {
    fail("the tensor '{}' is a lazily conjugated or negated view; resolve it first",
         printable(name));
  }
}

// Tensors that overlap go into one piece, in the order of their names.
std::vector<Piece> make_pieces(const std::map<std::string, Tensor>& tensors) {
  std::vector<const Row*> rows;
  for (const Row& row : tensors) rows.push_back(&row);
  const auto place = [](const Row* row) {
    const Tensor& t = row->second;
    return std::tuple(t.storage().unsafeGetStorageImpl(), t.scalar_type(), t.storage_offset());
  };
  std::ranges::stable_sort(rows, std::less<>(), place);
  std::vector<Piece> pieces;
  for (const Row* row : rows) {
    const Tensor& tensor = row->second;
    const int64_t end = reach_end(tensor);
    const bool overlaps = !pieces.empty() && tensor.storage_offset() < pieces.back().end &&
                          pieces.back().first().is_alias_of(tensor) &&
                          pieces.back().first().scalar_type() == tensor.scalar_type();
    if (overlaps) {
      pieces.back().rows.push_back(row);
      pieces.back().end = std::max(pieces.back().end, end);
    } else {
      pieces.push_back({.rows = {row}, .begin = tensor.storage_offset(), .end = end});
    }
  }
  const auto first_name = [](const Piece& piece) {
    return (*std::ranges::min_element(piece.rows, {}, [](const Row* r) { return r->first; }))
        ->first;
  };
  std::ranges::sort(pieces, {}, first_name);
  return pieces;
}

// Protocol 2, with the opcodes of torch's own pickles.
class PickleWriter {
 public:
  const std::string& bytes() const { return bytes_; }

  void op(std::string_view opcodes) { bytes_ += opcodes; }
  void text(std::string_view value) {
    bytes_ += 'X';
    raw(static_cast<uint32_t>(value.size()));
    bytes_ += value;
  }
  void global(std::string_view module, std::string_view name) {
    bytes_ += fmt::format("c{}\n{}\n", module, name);
  }
  void integer(int64_t value) {
    if (value >= 0 && value <= 0x7FFFFFFF) {
      bytes_ += 'J';
      raw(static_cast<int32_t>(value));
    } else {
      bytes_ += "\x8a\x08";
      raw(value);
    }
  }
  void integers(at::IntArrayRef values) {
    bytes_ += '(';
    for (const int64_t value : values) integer(value);
    bytes_ += 't';
  }

 private:
  template <class Number>
  void raw(Number value) {
    char buffer[sizeof(Number)];
    std::memcpy(buffer, &value, sizeof(Number));
    bytes_.append(buffer, sizeof(Number));
  }
  std::string bytes_;
};

void write_tensor(PickleWriter& out, const Tensor& tensor, const Piece& piece, size_t key) {
  const std::string_view type = storage_class(tensor.scalar_type());
  const bool by_bytes = type.empty();
  const int64_t num_items = piece.compact() ? tensor.numel() : piece.num_items();
  out.global("torch._utils", by_bytes ? "_rebuild_tensor_v3" : "_rebuild_tensor_v2");
  out.op("((");
  out.text("storage");
  if (by_bytes)
    out.global("torch.storage", "UntypedStorage");
  else
    out.global("torch", type);
  out.text(std::to_string(key));
  out.text("cpu");
  out.integer(by_bytes ? num_items * tensor.element_size() : num_items);
  out.op("tQ");
  out.integer(tensor.storage_offset() - piece.begin);
  out.integers(tensor.sizes());
  if (piece.compact())
    out.integers(c10::contiguous_strides(tensor.sizes()));
  else
    out.integers(tensor.strides());
  out.op("\x89");
  out.global("collections", "OrderedDict");
  out.op(")R");
  if (by_bytes) out.global("torch", dtype_name(tensor.scalar_type()));
  out.op("tR");
}

std::string make_pickle(const std::vector<Piece>& pieces, bool wrap_state_dict) {
  std::map<std::string_view, std::pair<const Tensor*, size_t>> by_name;
  for (size_t i = 0; i < pieces.size(); ++i) {
    for (const Row* row : pieces[i].rows) by_name[row->first] = {&row->second, i};
  }
  PickleWriter out;
  out.op("\x80\x02}(");
  if (wrap_state_dict) {
    out.text("state_dict");
    out.op("}(");
  }
  for (const auto& [name, place] : by_name) {
    out.text(name);
    write_tensor(out, *place.first, pieces[place.second], place.second);
  }
  out.op(wrap_state_dict ? "uu." : "u.");
  return out.bytes();
}

// The bytes of a piece in plain memory; a view where they lie in plain memory already.
Tensor piece_data(const Piece& piece) {
  const Tensor tensor = piece.first().detach();
  if (piece.compact()) return plain_cpu_tensor(tensor);
  return plain_cpu_tensor(tensor.as_strided({piece.num_items()}, {1}, piece.begin));
}

}  // namespace

void write_torch_file(const std::filesystem::path& path,
                      const std::map<std::string, Tensor>& tensors, bool wrap_state_dict,
                      IfExists if_exists) {
  try {
    for (const Row& row : tensors) check_tensor(row);
  } catch (const Error& error) {
    fail("cannot write '{}': {}", path_text(path), error.what());
  }
  const std::vector<Piece> pieces = make_pieces(tensors);
  write_atomically(path, if_exists, [&](FileWriter& out) {
    ZipWriter zip(out);
    zip.add("archive/data.pkl", make_pickle(pieces, wrap_state_dict));
    zip.add("archive/byteorder", "little");
    for (size_t i = 0; i < pieces.size(); ++i) {
      const Tensor data = piece_data(pieces[i]);
      zip.add(fmt::format("archive/data/{}", i), tensor_bytes(data));
    }
    zip.add("archive/version", "3\n");
    zip.finish();
  });
}

}  // namespace easel
