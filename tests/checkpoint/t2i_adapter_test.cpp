#include "easel/checkpoint/t2i_adapter.h"

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

const nlohmann::json& fixture() {
  static const auto json =
      nlohmann::json::parse(test::read_all(test::checkpoint_data() / "t2i_adapter.json"));
  return json;
}

// A model of the fixture's widths, whose latents are an eighth of the pictures.
ModelConfig model_config() {
  ModelConfig config = read_model_config(test::checkpoint_data() / "v1.yaml");
  config.unet.model_channels = 32;
  config.unet.channel_mult = {1, 2, 2};
  config.autoencoder.ch_mult = {1, 1, 1, 1};
  return config;
}

// The authors' file of a kind, "full" or "light".
Tensors authors_file(const std::string& kind) {
  Tensors file;
  for (const auto& [name, shape] : fixture().at(kind).at("shapes").items()) {
    file[name] = test::hashed_tensor(kind + "." + name, shape.template get<std::vector<int64_t>>());
  }
  return file;
}

void expect_authors_features(const T2IAdapter& network, const std::string& kind) {
  at::NoGradGuard no_grad;
  const Tensor picture = (test::hashed_tensor("picture.input", {1, 3, 32, 64}) + 1) / 2;
  const auto got = network.forward(kind == "full" ? picture : picture.narrow(1, 0, 1));
  const auto first = fixture().at(kind).at("first").get<std::vector<std::vector<double>>>();
  const auto sums = fixture().at(kind).at("sums").get<std::vector<double>>();
  ASSERT_EQ(got.size(), first.size());
  for (size_t i = 0; i < got.size(); ++i) {
    const Tensor want = at::tensor(first[i], at::kDouble).to(at::kFloat);
    test::expect_close(got[i].select(0, 0).select(1, 0).select(1, 0), want, 1e-5,
                       std::to_string(i));
    const double scale = got[i].abs().sum().item<double>();
    EXPECT_NEAR(got[i].to(at::kDouble).sum().item<double>() / scale, sums[i] / scale, 1e-5) << i;
  }
}

class T2IAdapterFiles : public testing::TestWithParam<std::string> {
 protected:
  std::filesystem::path write(const Tensors& tensors) {
    const auto path = folder / "adapter.safetensors";
    write_safetensors(path, tensors, {}, IfExists::Replace);
    return path;
  }
  T2IAdapter read(const Tensors& tensors) {
    return read_t2i_adapter(write(tensors), model_config(), at::kFloat).value();
  }
  std::string error_of(const Tensors& tensors, const ModelConfig& model = model_config()) {
    return test::message_of<Error>([&] { read_t2i_adapter(write(tensors), model, {}); });
  }
  test::TempDir folder;
};

TEST_P(T2IAdapterFiles, EitherLayoutGivesTheAuthorsFeatures) {
  const T2IAdapter network = read(authors_file(GetParam()));
  expect_authors_features(network, GetParam());
  Tensors diffusers;
  for (const auto& parameter : nn::named_parameters(network)) {
    diffusers[parameter.name] = *parameter.tensor;
  }
  EXPECT_TRUE(diffusers.contains("adapter.body.2.resnets.1.block2.weight"));
  std::filesystem::create_directories(folder / "net");
  write_safetensors(folder / "net" / "diffusion_pytorch_model.safetensors", diffusers, {},
                    IfExists::Refuse);
  expect_authors_features(read_t2i_adapter(folder / "net", model_config(), at::kFloat).value(),
                          GetParam());
}

TEST_P(T2IAdapterFiles, WhatIsNotWholeOrForAnotherModelIsRefused) {
  const auto expect_in = [](const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  Tensors file = authors_file(GetParam());
  file["body.1.novelty"] = at::zeros({1});
  expect_in(error_of(file), "tensor is unexpected");
  file = authors_file(GetParam());
  const std::string bias =
      GetParam() == "full" ? "body.3.block2.bias" : "body.1.body.1.block2.bias";
  ASSERT_EQ(file.erase(bias), 1u);
  expect_in(error_of(file), "tensor is missing");
  ModelConfig wide = model_config();
  wide.unet.channel_mult = {1, 2, 4};
  expect_in(error_of(authors_file(GetParam()), wide),
            "levels have 32, 64, 64 channels, and this model's have 32, 64, 128");
  ModelConfig other = model_config();
  other.autoencoder.ch_mult = {1, 1, 1, 1, 1};
  expect_in(error_of(authors_file(GetParam()), other), "latents are of another size");
}

INSTANTIATE_TEST_SUITE_P(Kinds, T2IAdapterFiles, testing::Values("full", "light"),
                         [](const auto& kind) { return kind.param; });

TEST_F(T2IAdapterFiles, OtherFilesAreLeftToOthers) {
  const Tensors control{{"input_hint_block.0.weight", at::zeros({1, 3, 3, 3})}};
  EXPECT_FALSE(read_t2i_adapter(write(control), model_config(), {}).has_value());
  EXPECT_NE(test::message_of<Error>([&] {
              read_t2i_adapter(folder / "absent", model_config(), {});
            }).find("no such file"),
            std::string::npos);
}

}  // namespace
}  // namespace easel
