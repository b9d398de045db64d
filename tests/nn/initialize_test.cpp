#include "easel/nn/initialize.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

namespace easel::nn {
namespace {

double std_of(const Tensor& x) { return x.std(/*unbiased=*/false).item<double>(); }

void expect_uniform(const Tensor& x, double bound) {
  EXPECT_LE(x.abs().max().item<double>(), bound);
  EXPECT_GT(x.abs().max().item<double>(), bound * 0.98);
  EXPECT_NEAR(std_of(x), bound / std::sqrt(3.0), bound * 0.02);
  EXPECT_NEAR(x.mean().item<double>(), 0, bound * 0.03);
}

struct Layers {
  Linear linear{300, 200};
  Linear without_bias{30, 20, false};
  std::vector<Conv2d> convs;
  GroupNorm group_norm{64, 1e-5};
  std::optional<LayerNorm> layer_norm{LayerNorm(40)};
  std::variant<Embedding, Linear> embedding{Embedding(100, 100)};

  template <class Self, class Visit>
  static void members(Self& self, Visit&& visit) {
    visit("linear", self.linear);
    visit("without_bias", self.without_bias);
    visit("convs", self.convs);
    visit("group_norm", self.group_norm);
    visit("layer_norm", self.layer_norm);
    visit("embedding", self.embedding);
  }
};

Layers initialised(uint64_t seed) {
  Layers layers;
  layers.convs.emplace_back(32, 64, 3);
  layers.convs.emplace_back(32, 64, 3);
  initialize_default(layers, seed);
  return layers;
}

TEST(Initialize, HasPyTorchsDistributions) {
  const Layers layers = initialised(1);
  expect_uniform(layers.linear.weight, 1 / std::sqrt(300.0));
  EXPECT_LE(layers.linear.bias.abs().max().item<double>(), 1 / std::sqrt(300.0));
  EXPECT_GT(std_of(layers.linear.bias), 0.4 / std::sqrt(300.0));
  expect_uniform(layers.convs[0].weight, 1 / std::sqrt(32.0 * 9));
  EXPECT_LE(layers.convs[0].bias.abs().max().item<double>(), 1 / std::sqrt(32.0 * 9));
  EXPECT_TRUE(at::equal(layers.group_norm.weight, at::ones({64})));
  EXPECT_TRUE(at::equal(layers.group_norm.bias, at::zeros({64})));
  EXPECT_TRUE(at::equal(layers.layer_norm->weight, at::ones({40})));
  EXPECT_TRUE(at::equal(layers.layer_norm->bias, at::zeros({40})));
  const Tensor& table = std::get<Embedding>(layers.embedding).weight;
  EXPECT_NEAR(std_of(table), 1, 0.02);
  EXPECT_NEAR(table.mean().item<double>(), 0, 0.04);
}

TEST(Initialize, DependsOnTheSeedAndTheNameAlone) {
  const int threads = at::get_num_threads();
  const Layers first = initialised(1);
  at::set_num_threads(1);
  const Layers again = initialised(1);
  at::set_num_threads(threads);
  const Layers other = initialised(2);
  const auto a = named_parameters(first);
  const auto b = named_parameters(again);
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_TRUE(at::equal(*a[i].tensor, *b[i].tensor)) << a[i].name;
  }
  EXPECT_FALSE(at::equal(first.linear.weight, other.linear.weight));
  EXPECT_FALSE(at::equal(first.convs[0].weight, first.convs[1].weight));
  // Seeds that differ above the generator's 32 bits differ.
  EXPECT_FALSE(at::equal(initialised(uint64_t{1} << 40).linear.weight,
                         initialised(uint64_t{2} << 40).linear.weight));
  // One layer alone has the values that it has among others.
  Linear alone(300, 200);
  initialize_default(alone, 1, "linear");
  EXPECT_TRUE(at::equal(alone.weight, first.linear.weight));
}

TEST(Initialize, FillsTheMemoryThatIsThere) {
  Layers layers;
  make_parameters(layers, at::kCPU, at::kBFloat16);
  for (const auto& [name, tensor] : named_parameters(layers)) {
    EXPECT_FALSE(tensor->is_meta()) << name;
    EXPECT_EQ(tensor->scalar_type(), at::kBFloat16) << name;
  }
  const Tensor weight = layers.linear.weight.requires_grad_();
  initialize_default(layers, 1);
  EXPECT_TRUE(layers.linear.weight.is_same(weight));
  EXPECT_TRUE(weight.is_leaf());
  EXPECT_TRUE(at::equal(weight, initialised(1).linear.weight.to(at::kBFloat16)));
}

}  // namespace
}  // namespace easel::nn
