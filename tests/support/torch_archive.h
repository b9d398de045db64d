// Small torch.save archives made in memory, right or wrong on purpose.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <easel/io/file.h>

#include "src/io/zip_writer.h"

namespace easel::test {

// Keeps what is written to it.
class StringWriter : public FileWriter {
 public:
  using FileWriter::write;
  void write(std::span<const std::byte> bytes) override {
    text_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

using ZipFiles = std::vector<std::pair<std::string, std::string>>;

inline std::string make_zip(const ZipFiles& files, uint64_t zip64_from = 0xFFFFFFFF) {
  StringWriter out;
  ZipWriter zip(out, zip64_from);
  for (const auto& [name, data] : files) zip.add(name, data);
  zip.finish();
  return out.text();
}

// A zip with this pickle and a storage "0" of the floats 0 to 5 (24 bytes).
inline std::string make_archive(std::string_view pickle) {
  std::string data;
  for (int i = 0; i < 6; ++i) {
    const float value = static_cast<float>(i);
    data.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  return make_zip({{"archive/data.pkl", std::string(pickle)}, {"archive/data/0", data}});
}

// Pieces of pickles.

inline std::string le(uint64_t value, size_t num_bytes) {
  std::string bytes;
  for (size_t i = 0; i < num_bytes; ++i) bytes += static_cast<char>(value >> (8 * i) & 0xFF);
  return bytes;
}
inline std::string pickle_str(std::string_view text) {
  return "X" + le(text.size(), 4) + std::string(text);
}
inline std::string pickle_int(int64_t value) {
  return "\x8a\x08" + le(static_cast<uint64_t>(value), 8);
}
inline std::string pickle_ints(const std::vector<int64_t>& values) {
  std::string text = "(";
  for (const int64_t value : values) text += pickle_int(value);
  return text + "t";
}

struct TensorSpec {
  std::string type = "FloatStorage";
  std::string key = "0";
  int64_t num_items = 6;
  int64_t offset = 0;
  std::vector<int64_t> sizes{2, 3};
  std::vector<int64_t> strides{3, 1};
};

inline std::string pickle_tensor(const TensorSpec& spec) {
  return "ctorch._utils\n_rebuild_tensor_v2\n((" + pickle_str("storage") + "ctorch\n" + spec.type +
         "\n" + pickle_str(spec.key) + pickle_str("cpu") + pickle_int(spec.num_items) + "tQ" +
         pickle_int(spec.offset) + pickle_ints(spec.sizes) + pickle_ints(spec.strides) +
         "\x89"
         "ccollections\nOrderedDict\n)RtR";
}

// {"w": tensor}
inline std::string pickle_state(const TensorSpec& spec) {
  return "\x80\x02}" + pickle_str("w") + pickle_tensor(spec) + "s.";
}

}  // namespace easel::test
