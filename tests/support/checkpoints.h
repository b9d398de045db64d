// Small models for the tests of checkpoints: configs in tests/data/checkpoint, hashed weights.
#pragma once

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <unistd.h>

#include <easel/checkpoint/weights.h>

#include "tests/support/hashed_weights.h"

namespace easel::test {

inline std::filesystem::path checkpoint_data() {
  return std::filesystem::path(EASEL_TEST_DATA) / "checkpoint";
}

// A whole model in CompVis's layout, hashed weights of their CompVis names.
inline Tensors compvis_model(const ModelConfig& config) {
  Tensors native;
  for (const KeyRule& rule : key_rules(config, WeightLayout::CompVis)) {
    native.emplace(rule.native, at::zeros(rule.shape));
  }
  Tensors foreign = from_native(config, native, WeightLayout::CompVis);
  for (auto& [name, tensor] : foreign) tensor = hashed_tensor(name, tensor.sizes());
  return foreign;
}

// A folder of its own that goes when it goes.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "easel-test-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline std::string read_all(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

inline void write_all(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

}  // namespace easel::test
