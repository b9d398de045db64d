#include <bit>
#include <cstring>
#include <utility>

#include <ATen/ATen.h>

#include <easel/base/error.h>
#include <easel/io/tensor_file.h>

#include "path_text.h"
#include "safetensors_header.h"
#include "tensor_view.h"

namespace easel {
namespace {

static_assert(std::endian::native == std::endian::little, "tensor files are little-endian");

constexpr uint64_t kMaxHeaderBytes = 100'000'000;
constexpr size_t kLengthBytes = 8;

// Every byte of the data belongs to exactly one tensor.
void check_coverage(const SafetensorsHeader& header, uint64_t data_bytes) {
  using Row = std::pair<const std::string, SafetensorsEntry>;
  std::vector<const Row*> rows;
  uint64_t last = 0;
  for (const Row& row : header.entries) {
    rows.push_back(&row);
    last = std::max(last, row.second.end);
  }
  if (last > data_bytes) {
    fail("its tensors need {} bytes of data, but {} follow the header: it is truncated or damaged",
         last, data_bytes);
  }
  std::sort(rows.begin(), rows.end(), [](const Row* a, const Row* b) {
    return std::pair(a->second.begin, a->second.end) < std::pair(b->second.begin, b->second.end);
  });
  uint64_t covered = 0;
  for (const Row* row : rows) {
    if (row->second.begin < covered) {
      fail("tensor '{}' at offset {} overlaps the one before it, which ends at {}",
           printable(row->first), row->second.begin, covered);
    }
    if (row->second.begin > covered) {
      fail("there is a hole in the data between offset {} and tensor '{}' at {}", covered,
           printable(row->first), row->second.begin);
    }
    covered = row->second.end;
  }
  if (covered != data_bytes) {
    fail("{} bytes of data at the end belong to no tensor", data_bytes - covered);
  }
}

TensorFile read_mapped(const std::shared_ptr<const MappedFile>& file) {
  const std::span<const std::byte> bytes = file->bytes();
  if (bytes.size() < kLengthBytes) fail("it has {} bytes, too few for the header", bytes.size());
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, bytes.data(), kLengthBytes);
  if (header_bytes > kMaxHeaderBytes) {
    fail("its header claims {} bytes, more than the {} that are allowed", header_bytes,
         kMaxHeaderBytes);
  }
  if (header_bytes > bytes.size() - kLengthBytes) {
    fail("its header claims {} bytes, but {} follow: it is truncated or damaged", header_bytes,
         bytes.size() - kLengthBytes);
  }
  const auto header_span = bytes.subspan(kLengthBytes, header_bytes);
  SafetensorsHeader header;
  try {
    header = parse_safetensors_header(
        {reinterpret_cast<const char*>(header_span.data()), header_span.size()});
  } catch (const Error& error) {
    fail("its header is malformed: {}", error.what());
  }
  const auto data = bytes.subspan(kLengthBytes + header_bytes);
  check_coverage(header, data.size());

  TensorFile result;
  result.format = "safetensors";
  result.metadata = std::move(header.metadata);
  for (const auto& [name, entry] : header.entries) {
    try {
      result.tensors.emplace_hint(
          result.tensors.end(), name,
          tensor_of_mapped(file, data.subspan(entry.begin, entry.end - entry.begin), entry.shape,
                           entry.dtype));
    } catch (const Error& error) {
      fail("tensor '{}': {}", printable(name), error.what());
    }
  }
  return result;
}

}  // namespace

TensorFile read_safetensors(const std::filesystem::path& path) {
  const std::shared_ptr<const MappedFile> file = MappedFile::open(path);
  try {
    return read_mapped(file);
  } catch (const Error& error) {
    fail("'{}' is no valid safetensors file: {}", path_text(path), error.what());
  }
}

void write_safetensors(const std::filesystem::path& path,
                       const std::map<std::string, Tensor>& tensors,
                       const std::map<std::string, std::string>& metadata, IfExists if_exists) {
  using Row = std::pair<const std::string, Tensor>;
  std::vector<const Row*> rows;
  for (const Row& row : tensors) {
    const auto& [name, tensor] = row;
    if (name == "__metadata__") fail("a safetensors file cannot hold a tensor named '{}'", name);
    if (!tensor.defined()) fail("cannot write the tensor '{}': it is undefined", printable(name));
    if (tensor.layout() != at::kStrided || safetensors_dtype_name(tensor.scalar_type()).empty()) {
      fail("cannot write the tensor '{}' to a safetensors file: it is {} {}", printable(name),
           tensor.layout() == at::kStrided ? "of dtype" : "not dense, of dtype",
           dtype_name(tensor.scalar_type()));
    }
    rows.push_back(&row);
  }
  std::stable_sort(rows.begin(), rows.end(), [](const Row* a, const Row* b) {
    return safetensors_dtype_rank(a->second.scalar_type()) <
           safetensors_dtype_rank(b->second.scalar_type());
  });

  SafetensorsHeader header{.entries = {}, .metadata = metadata};
  uint64_t offset = 0;
  for (const Row* row : rows) {
    const uint64_t end = offset + row->second.numel() * row->second.element_size();
    header.entries.emplace(row->first, SafetensorsEntry{.dtype = row->second.scalar_type(),
                                                        .shape = row->second.sizes().vec(),
                                                        .begin = offset,
                                                        .end = end});
    offset = end;
  }
  std::string json = safetensors_header_json(header);
  json.resize((json.size() + 7) / 8 * 8, ' ');
  if (json.size() > kMaxHeaderBytes) {
    fail("cannot write '{}': its header would take {} bytes, more than the {} that are allowed",
         path_text(path), json.size(), kMaxHeaderBytes);
  }
  const uint64_t length = json.size();
  write_atomically(path, if_exists, [&](FileWriter& out) {
    out.write(std::as_bytes(std::span(&length, 1)));
    out.write(json);
    for (const Row* row : rows) out.write(tensor_bytes(plain_cpu_tensor(row->second)));
  });
}

}  // namespace easel
