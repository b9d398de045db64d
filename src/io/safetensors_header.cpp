#include "safetensors_header.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <set>
#include <utility>

#include <c10/core/ScalarType.h>
#include <nlohmann/json.hpp>

#include <easel/base/error.h>

#include "checked.h"

namespace easel {
namespace {

// In the order in which the safetensors package writes them: the widest first, so that every tensor
// is aligned.
constexpr std::array<std::pair<std::string_view, at::ScalarType>, 12> kDtypes{{
    {"I64", at::kLong},
    {"F64", at::kDouble},
    {"F32", at::kFloat},
    {"I32", at::kInt},
    {"BF16", at::kBFloat16},
    {"F16", at::kHalf},
    {"I16", at::kShort},
    {"F8_E4M3", at::kFloat8_e4m3fn},
    {"F8_E5M2", at::kFloat8_e5m2},
    {"I8", at::kChar},
    {"U8", at::kByte},
    {"BOOL", at::kBool},
}};

constexpr std::string_view kMetadata = "__metadata__";
constexpr size_t kMaxDimensions = 64;

// Receives nlohmann's parse events. The parser itself does not recurse, and whatever nests deeper
// than the format does is refused at once.
class HeaderReader {
 public:
  using json = nlohmann::json;

  explicit HeaderReader(SafetensorsHeader& header) : header_(header) {}

  bool start_object(size_t) {
    if (state_ == State::Start) {
      state_ = State::Tensors;
    } else if (state_ == State::Tensors) {
      state_ = name_ == kMetadata ? State::Metadata : State::Entry;
      fields_.clear();
      entry_ = {};
      offsets_.clear();
    } else {
      refuse("an object");
    }
    return true;
  }

  bool key(std::string& key) {
    switch (state_) {
      case State::Tensors:
        name_ = std::move(key);
        if (header_.entries.contains(name_) ||
            (name_ == kMetadata && std::exchange(metadata_, true))) {
          fail("the name '{}' occurs twice", printable(name_));
        }
        break;
      case State::Metadata:
        field_ = std::move(key);
        if (header_.metadata.contains(field_)) {
          fail("the metadata key '{}' occurs twice", printable(field_));
        }
        break;
      default:
        field_ = std::move(key);
        if (field_ != "dtype" && field_ != "shape" && field_ != "data_offsets") {
          fail("tensor '{}' has an unknown field '{}'", printable(name_), printable(field_));
        }
        if (!fields_.insert(field_).second) {
          fail("tensor '{}' has the field '{}' twice", printable(name_), field_);
        }
    }
    return true;
  }

  bool string(std::string& text) {
    if (state_ == State::Metadata) {
      header_.metadata.emplace(field_, std::move(text));
    } else if (state_ == State::Entry && field_ == "dtype") {
      const auto found = std::find_if(kDtypes.begin(), kDtypes.end(),
                                      [&](const auto& row) { return row.first == text; });
      if (found == kDtypes.end()) {
        fail("tensor '{}' has dtype '{}', which is not supported; supported: {}", printable(name_),
             printable(text), supported_dtypes());
      }
      entry_.dtype = found->second;
    } else {
      refuse("a string");
    }
    return true;
  }

  bool start_array(size_t) {
    if (state_ == State::Entry && field_ == "shape") {
      state_ = State::Shape;
    } else if (state_ == State::Entry && field_ == "data_offsets") {
      state_ = State::Offsets;
    } else {
      refuse("an array");
    }
    return true;
  }

  bool number_unsigned(uint64_t number) {
    if (state_ == State::Shape) {
      if (entry_.shape.size() == kMaxDimensions) {
        fail("tensor '{}' has more than {} dimensions", printable(name_), kMaxDimensions);
      }
      if (number > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
        fail("tensor '{}' has a dimension of {}", printable(name_), number);
      }
      entry_.shape.push_back(static_cast<int64_t>(number));
    } else if (state_ == State::Offsets) {
      if (offsets_.size() == 2) fail("tensor '{}' has more than two offsets", printable(name_));
      offsets_.push_back(number);
    } else {
      refuse("a number");
    }
    return true;
  }

  bool end_array() {
    state_ = State::Entry;
    return true;
  }

  bool end_object() {
    if (state_ == State::Entry) finish_entry();
    state_ = state_ == State::Tensors ? State::End : State::Tensors;
    return true;
  }

  bool number_integer(int64_t number) {
    fail("tensor '{}' has the negative number {} in its {}", printable(name_), number,
         printable(field_));
  }
  bool number_float(double, const std::string& text) {
    fail("tensor '{}' has '{}' in its {}, which is no whole number of 64 bits", printable(name_),
         printable(text), printable(field_));
  }
  bool null() { refuse("a null"); }
  bool boolean(bool) { refuse("a boolean"); }
  bool binary(json::binary_t&) { refuse("a binary value"); }

  bool parse_error(size_t position, const std::string&, const json::exception& error) {
    fail("it is not valid JSON at byte {} ({})", position, printable(error.what(), 200));
  }

 private:
  enum class State { Start, Tensors, Metadata, Entry, Shape, Offsets, End };

  static std::string supported_dtypes() {
    std::string names;
    for (const auto& row : kDtypes)
      names += fmt::format("{}{}", names.empty() ? "" : ", ", row.first);
    return names;
  }

  [[noreturn]] void refuse(std::string_view got) const {
    const bool in_entry =
        state_ == State::Entry || state_ == State::Shape || state_ == State::Offsets;
    if (in_entry) {
      fail("the field '{}' of tensor '{}' holds {}", printable(field_), printable(name_), got);
    }
    if (state_ == State::Metadata) {
      fail("the metadata '{}' is {}, not a string", printable(field_), got);
    }
    if (state_ == State::Tensors) fail("'{}' is {}, not an object", printable(name_), got);
    fail("it is {}, not an object", got);
  }

  void finish_entry() {
    for (const std::string_view field : {"dtype", "shape", "data_offsets"}) {
      if (!fields_.contains(field)) fail("tensor '{}' has no field '{}'", printable(name_), field);
    }
    if (offsets_.size() != 2) fail("tensor '{}' has not two offsets", printable(name_));
    entry_.begin = offsets_[0];
    entry_.end = offsets_[1];
    if (entry_.begin > entry_.end) {
      fail("tensor '{}' ends at offset {}, before its start at {}", printable(name_), entry_.end,
           entry_.begin);
    }
    const std::optional<uint64_t> size =
        checked_bytes(entry_.shape, c10::elementSize(entry_.dtype));
    if (!size) {
      fail("tensor '{}' has the shape {}, which is larger than any memory", printable(name_),
           shape_text(entry_.shape));
    }
    if (*size != entry_.end - entry_.begin) {
      fail("tensor '{}' of shape {} and dtype {} takes {} bytes, but its offsets span {}",
           printable(name_), shape_text(entry_.shape), safetensors_dtype_name(entry_.dtype), *size,
           entry_.end - entry_.begin);
    }
    header_.entries.emplace(name_, std::move(entry_));
  }

  SafetensorsHeader& header_;
  State state_ = State::Start;
  bool metadata_ = false;  // whether __metadata__ has been seen
  std::string name_;
  std::string field_;
  std::set<std::string, std::less<>> fields_;
  SafetensorsEntry entry_;
  std::vector<uint64_t> offsets_;
};

}  // namespace

std::string_view safetensors_dtype_name(at::ScalarType dtype) {
  const size_t rank = safetensors_dtype_rank(dtype);
  return rank < kDtypes.size() ? kDtypes[rank].first : std::string_view();
}

size_t safetensors_dtype_rank(at::ScalarType dtype) {
  const auto found = std::find_if(kDtypes.begin(), kDtypes.end(),
                                  [&](const auto& row) { return row.second == dtype; });
  return static_cast<size_t>(found - kDtypes.begin());
}

SafetensorsHeader parse_safetensors_header(std::string_view json) {
  // The parser takes a NUL for the end of its input, and skips a byte order mark.
  if (json.find('\0') != std::string_view::npos) fail("it is not valid JSON: it holds a NUL byte");
  if (json.empty() || json.front() != '{') fail("it does not begin with '{{'");
  SafetensorsHeader header;
  HeaderReader reader(header);
  nlohmann::json::sax_parse(json.begin(), json.end(), &reader);
  return header;
}

std::string safetensors_header_json(const SafetensorsHeader& header) {
  const auto quoted = [](const std::string& text) {
    try {
      return nlohmann::json(text).dump();
    } catch (const nlohmann::json::exception&) {
      fail("cannot write the name or metadata '{}' to a safetensors file: it is not valid UTF-8",
           printable(text));
    }
  };
  std::string json = "{";
  const auto separate = [&] {
    if (json.back() != '{') json += ',';
  };
  if (!header.metadata.empty()) {
    json += fmt::format("\"{}\":{{", kMetadata);
    for (const auto& [key, value] : header.metadata) {
      separate();
      json += fmt::format("{}:{}", quoted(key), quoted(value));
    }
    json += '}';
  }
  std::vector<const std::pair<const std::string, SafetensorsEntry>*> rows;
  for (const auto& row : header.entries) rows.push_back(&row);
  std::stable_sort(rows.begin(), rows.end(),
                   [](const auto* a, const auto* b) { return a->second.begin < b->second.begin; });
  for (const auto* row : rows) {
    separate();
    std::string shape;
    for (const int64_t size : row->second.shape) {
      shape += fmt::format("{}{}", shape.empty() ? "" : ",", size);
    }
    json += fmt::format(R"({}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                        quoted(row->first), safetensors_dtype_name(row->second.dtype), shape,
                        row->second.begin, row->second.end);
  }
  return json + '}';
}

}  // namespace easel
