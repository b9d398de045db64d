#include "easel/checkpoint/tiny_autoencoder.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <easel/base/error.h>
#include <easel/nn/module.h>

#include "tests/support/hashed_weights.h"
#include "tests/support/temp_dir.h"

namespace easel {
namespace {

Tensors diffusers_file() {
  constexpr TinyAutoencoderConfig small{.channels = 8};
  TinyAutoencoder model{.encoder = TinyEncoder(small), .decoder = TinyDecoder(small)};
  test::fill_hashed(model);
  Tensors file;
  for (const auto& parameter : nn::named_parameters(model)) {
    file[parameter.name] = *parameter.tensor;
  }
  return file;
}

// A half as its author's file has it: layers by number, in the decoder behind a clamp.
Tensors authors_file(const std::string& half) {
  const std::string prefix = half + ".layers.";
  Tensors file;
  for (const auto& [name, tensor] : diffusers_file()) {
    if (!name.starts_with(prefix)) continue;
    const std::string rest = name.substr(prefix.size());
    const size_t dot = rest.find('.');
    const int index = std::stoi(rest.substr(0, dot)) + (half == "decoder" ? 1 : 0);
    file[std::to_string(index) + rest.substr(dot)] = tensor;
  }
  return file;
}

void expect_loads(const Tensors& file, bool encoder, bool decoder) {
  EXPECT_EQ(identify(file).kind, ModelKind::TinyAutoencoder);
  const TinyAutoencoder loaded = load_tiny_autoencoder(file, 4, at::kFloat, "file");
  EXPECT_EQ(loaded.encoder.has_value(), encoder);
  EXPECT_EQ(loaded.decoder.has_value(), decoder);
  const Tensors all = diffusers_file();
  for (const auto& parameter : nn::named_parameters(loaded)) {
    EXPECT_TRUE(at::equal(*parameter.tensor, all.at(parameter.name))) << parameter.name;
  }
}

TEST(TinyAutoencoderFiles, WholeAndInHalvesInBothLayouts) {
  expect_loads(diffusers_file(), true, true);
  expect_loads(authors_file("encoder"), true, false);
  expect_loads(authors_file("decoder"), false, true);
}

TEST(TinyAutoencoderFiles, DamagedOnesAndThoseOfOtherLatentsAreErrors) {
  const auto error_of = [](const Tensors& file, int64_t latents) {
    return test::message_of<Error>(
        [&] { load_tiny_autoencoder(file, latents, at::kFloat, "file"); });
  };
  Tensors file = diffusers_file();
  file.erase("decoder.layers.6.weight");
  EXPECT_NE(error_of(file, 4).find("file: it is no TAESD"), std::string::npos);
  EXPECT_NE(error_of(file, 4).find("decoder.layers.6.weight is missing"), std::string::npos)
      << error_of(file, 4);
  file = diffusers_file();
  file["decoder.layers.99.weight"] = at::zeros({1});
  EXPECT_NE(error_of(file, 4).find("1 tensors are unexpected"), std::string::npos);
  EXPECT_NE(error_of(diffusers_file(), 16).find("latents of 16 channels"), std::string::npos);
}

}  // namespace
}  // namespace easel
