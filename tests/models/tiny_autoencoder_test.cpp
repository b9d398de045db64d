#include "easel/models/tiny_autoencoder.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <easel/base/error.h>
#include <easel/io/tensor_file.h>
#include <easel/nn/module.h>

#include "tests/support/compare.h"
#include "tests/support/hashed_weights.h"

namespace easel {
namespace {

constexpr TinyAutoencoderConfig kSmall{.channels = 8};

TEST(TinyAutoencoder, GivesDiffusersOutputs) {
  const TensorFile fixture =
      read_safetensors(std::string(EASEL_TEST_DATA) + "/models/tiny_autoencoder.safetensors");
  TinyAutoencoder model{.encoder = TinyEncoder(kSmall), .decoder = TinyDecoder(kSmall)};
  test::fill_hashed(model);
  at::NoGradGuard no_grad;
  test::expect_close(model.encoder->forward(fixture.tensors.at("x")), fixture.tensors.at("encoded"),
                     1e-5, "encoder");
  test::expect_close(model.decoder->forward(fixture.tensors.at("z")), fixture.tensors.at("decoded"),
                     1e-5, "decoder");
}

TEST(TinyAutoencoder, HasTheParametersOfTaesd) {
  const auto count = [](const auto& module) {
    int64_t sum = 0;
    for (const auto& parameter : nn::named_parameters(module)) sum += parameter.tensor->numel();
    return sum;
  };
  EXPECT_EQ(count(TinyEncoder({})), 1'222'532);
  EXPECT_EQ(count(TinyDecoder({})), 1'222'531);
}

TEST(TinyAutoencoder, ConfigsThatCannotBeHonouredAreErrors) {
  EXPECT_THROW(TinyEncoder({.channels = 0}), Error);
  EXPECT_THROW(TinyDecoder({.latent_channels = -1}), Error);
}

}  // namespace
}  // namespace easel
