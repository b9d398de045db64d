// The cases of a file that scripts/fixtures/training_theory.py wrote: settings and results.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <easel/io/tensor_file.h>

#include "tests/support/compare.h"
#include "tests/support/hashed_weights.h"

namespace easel::test {

// An input of the cases, float64.
inline Tensor given(std::string_view name, at::IntArrayRef shape) {
  return hashed_tensor(name, shape).to(at::kDouble);
}

// What the file keeps of a tensor: all of a small one, evenly spaced values of a large one.
inline Tensor thin(const Tensor& value) {
  if (value.numel() <= 64) return value;
  return value.flatten().slice(0, 0, std::nullopt, value.numel() / 64);
}

class TrainingCases {
 public:
  // `name`: a file of tests/data/training without its ending.
  explicit TrainingCases(const std::string& name)
      : file_(read_safetensors(EASEL_TEST_DATA "/training/" + name + ".safetensors")),
        settings_(nlohmann::json::parse(file_.metadata.at("cases"))) {}

  size_t size() const { return settings_.size(); }
  const nlohmann::json& settings(size_t i) const { return settings_.at(i); }

  bool has(size_t i, const std::string& key) const { return file_.tensors.count(path(i, key)) > 0; }
  const Tensor& tensor(size_t i, const std::string& key) const {
    return file_.tensors.at(path(i, key));
  }
  // Every name that begins with `prefix`, without it.
  std::vector<std::string> keys(size_t i, const std::string& prefix) const {
    std::vector<std::string> found;
    for (const auto& [name, tensor] : file_.tensors) {
      if (name.starts_with(path(i, prefix))) found.push_back(name.substr(path(i, prefix).size()));
    }
    return found;
  }

  // `got` is what the reference got, within `part` of the largest value.
  void expect(size_t i, const std::string& key, const Tensor& got, double part = 1e-9) const {
    ASSERT_TRUE(has(i, key)) << key;
    expect_close(thin(got), tensor(i, key), part, key);
  }

 private:
  static std::string path(size_t i, const std::string& key) {
    return std::to_string(i) + "/" + key;
  }

  TensorFile file_;
  nlohmann::json settings_;
};

// The sum of the values with uneven weights, whose gradients the file holds.
inline Tensor weighted_sum(const Tensor& value) {
  return (value * at::linspace(0.5, 1.5, value.numel(), at::kDouble).reshape(value.sizes())).sum();
}

}  // namespace easel::test
