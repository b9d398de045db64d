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
