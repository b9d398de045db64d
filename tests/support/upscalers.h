// The cases of scripts/fixtures/upscalers.py: files of weights to be written, inputs and outputs.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <easel/checkpoint/weights.h>
#include <easel/io/tensor_file.h>

#include "tests/support/hashed_weights.h"

namespace easel::test {

class UpscalerCases {
 public:
  UpscalerCases()
      : file_(read_safetensors(std::string(EASEL_TEST_DATA) + "/checkpoint/upscalers.safetensors")),
        shapes_(nlohmann::json::parse(file_.metadata.at("cases"))) {}

  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& [name, shapes] : shapes_.items()) names.push_back(name);
    return names;
  }
  const Tensor& x(const std::string& name) const { return file_.tensors.at(name + "/x"); }
  const Tensor& y(const std::string& name) const { return file_.tensors.at(name + "/y"); }

  Tensors tensors(const std::string& name) const {
    Tensors made;
    for (const auto& [parameter, shape] : shapes_.at(name).items()) {
      made[parameter] = hashed_tensor(parameter, shape.get<std::vector<int64_t>>());
    }
    return made;
  }
  std::filesystem::path write(const std::string& name, const std::filesystem::path& file) const {
    write_safetensors(file, tensors(name), {}, IfExists::Replace);
    return file;
  }

 private:
  TensorFile file_;
  nlohmann::json shapes_;
};

}  // namespace easel::test
