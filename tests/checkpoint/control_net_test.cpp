#include "easel/checkpoint/control_net.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <easel/base/error.h>
#include <easel/io/tensor_file.h>
#include <easel/nn/module.h>

#include "tests/support/checkpoints.h"
#include "tests/support/compare.h"
#include "tests/support/temp_dir.h"

namespace easel {
namespace {

// The model of v1.yaml with an autoencoder that halves three times, as ControlNets expect.
ModelConfig model_config() {
  ModelConfig config = read_model_config(test::checkpoint_data() / "v1.yaml");
  config.autoencoder.ch_mult = {1, 1, 1, 1};
  return config;
}

// The authors' ControlNet for it, as their program names its tensors.
Tensors authors_file() {
  Tensors file;
  std::istringstream lines(test::read_all(test::checkpoint_data() / "control.names"));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name;
    words >> name;
    std::vector<int64_t> shape;
    for (int64_t size = 0; words >> size;) shape.push_back(size);
    file[name] = test::hashed_tensor(name, shape);
  }
  return file;
}

class ControlNetFiles : public testing::Test {
 protected:
  std::filesystem::path write(const Tensors& tensors) {
    const auto path = folder / "control.safetensors";
    write_safetensors(path, tensors, {}, IfExists::Replace);
    return path;
  }
  std::string error_of(const Tensors& tensors) {
    return test::message_of<Error>([&] { load_control_net(write(tensors), model_config(), {}); });
  }
  test::TempDir folder;
};

void expect_authors_outputs(const ControlNet& network) {
  const auto json = nlohmann::json::parse(test::read_all(test::checkpoint_data() / "control.json"));
  at::NoGradGuard no_grad;
  const Tensor hint = (test::hashed_tensor("hint.input", {1, 3, 32, 64}) + 1) / 2;
  const ControlResiduals got =
      network.forward(test::hashed_tensor("x.input", {1, 4, 4, 8}) * 5, at::tensor({301.0f}),
                      test::hashed_tensor("context.input", {1, 3, 32}) * 5, network.embed(hint));
  std::vector<Tensor> all = got.skips_BCHW;
  all.push_back(got.mid_BCHW);
  const auto first = json.at("first").get<std::vector<std::vector<double>>>();
  const auto sums = json.at("sums").get<std::vector<double>>();
  ASSERT_EQ(all.size(), first.size());
  for (size_t i = 0; i < all.size(); ++i) {
    const Tensor want = at::tensor(first[i], at::kDouble).to(at::kFloat);
    test::expect_close(all[i].select(0, 0).select(1, 0).select(1, 0), want, 1e-4,
                       std::to_string(i));
    const double scale = all[i].abs().sum().item<double>();
    EXPECT_NEAR(all[i].to(at::kDouble).sum().item<double>() / scale, sums[i] / scale, 1e-4) << i;
  }
}

TEST_F(ControlNetFiles, TheAuthorsGivesItsOutputs) {
  const Tensors file = authors_file();
  expect_authors_outputs(load_control_net(write(file), model_config(), at::kFloat));
  Tensors bare, whole = file;
  for (const auto& [name, tensor] : file) bare[name.substr(14)] = tensor;
  expect_authors_outputs(load_control_net(write(bare), model_config(), at::kFloat));
  // Beside the model that it was trained on, as in the first files.
  for (const auto& [name, tensor] : test::compvis_model(model_config())) whole[name] = tensor;
  expect_authors_outputs(load_control_net(write(whole), model_config(), at::kFloat));
}

TEST_F(ControlNetFiles, DiffusersLayoutIsTheSameNetwork) {
  const ControlNet network = load_control_net(write(authors_file()), model_config(), at::kFloat);
  Tensors diffusers;
  for (const auto& parameter : nn::named_parameters(network)) {
    diffusers[parameter.name] = *parameter.tensor;
  }
  EXPECT_TRUE(diffusers.contains("controlnet_cond_embedding.blocks.5.weight"));
  EXPECT_TRUE(diffusers.contains("controlnet_mid_block.weight"));
  std::filesystem::create_directories(folder / "net");
  write_safetensors(folder / "net" / "diffusion_pytorch_model.safetensors", diffusers, {},
                    IfExists::Refuse);
  expect_authors_outputs(load_control_net(folder / "net", model_config(), at::kFloat));
  expect_authors_outputs(load_control_net(write(diffusers), model_config(), at::kFloat));
  const ControlNet half = load_control_net(write(diffusers), model_config(), at::kBFloat16);
  for (const auto& parameter : nn::named_parameters(half)) {
    EXPECT_EQ(parameter.tensor->scalar_type(), at::kBFloat16);
  }
}

TEST_F(ControlNetFiles, WhatIsNoneOrForAnotherModelIsRefused) {
  EXPECT_NE(error_of({{"lora_unet_x.lora_down.weight", at::zeros({1, 1})}})
                .find("is a LoRA; expected a ControlNet"),
            std::string::npos);
  Tensors file = authors_file();
  file.erase("control_model.zero_convs.2.0.bias");
  EXPECT_NE(error_of(file).find("tensor is missing: zero_convs.2.0.bias"), std::string::npos);
  file = authors_file();
  file["control_model.novelty"] = at::zeros({1});
  EXPECT_NE(error_of(file).find("tensor is unexpected: novelty"), std::string::npos);
  file = authors_file();
  file["control_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"] =
      at::zeros({32, 1024});
  const std::string error = error_of(file);
  EXPECT_NE(error.find("context has 1024 features, and this model's has 32"), std::string::npos)
      << error;
  EXPECT_NE(test::message_of<Error>([&] {
              load_control_net(write(authors_file()),
                               read_model_config(test::checkpoint_data() / "v1.yaml"), {});
            }).find("smaller by 8, and this model's latents by 2"),
            std::string::npos);
  EXPECT_NE(test::message_of<Error>([&] {
              load_control_net(folder / "absent", model_config(), {});
            }).find("no such file"),
            std::string::npos);
}

}  // namespace
}  // namespace easel
