// The JSON header of a safetensors file, checked as it is parsed: nothing is kept that the format
// does not allow, so a hostile header costs no more than its own size.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <easel/base/tensor.h>

namespace easel {

struct SafetensorsEntry {
  at::ScalarType dtype = at::kFloat;
  std::vector<int64_t> shape;
  uint64_t begin = 0;  // offsets into the data, in bytes
  uint64_t end = 0;
};

struct SafetensorsHeader {
  std::map<std::string, SafetensorsEntry> entries;
  std::map<std::string, std::string> metadata;
};

// Throws Error, without naming the file, where `json` is no header whose every tensor's offsets
// match its dtype and shape. Where the offsets lie in the file is the caller's to check.
SafetensorsHeader parse_safetensors_header(std::string_view json);

// The header's JSON, metadata first, tensors in the order of their offsets.
std::string safetensors_header_json(const SafetensorsHeader& header);

// The format's name of a dtype ("BF16"); empty where it has none that Easel reads.
std::string_view safetensors_dtype_name(at::ScalarType dtype);

// Where the tensors of a dtype stand in a file that is written.
size_t safetensors_dtype_rank(at::ScalarType dtype);

}  // namespace easel
