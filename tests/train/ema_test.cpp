#include "easel/train/ema.h"

#include <filesystem>
#include <limits>
#include <stdexcept>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <easel/base/error.h>
#include <easel/io/tensor_file.h>

#include "tests/support/compare.h"
#include "tests/support/temp_dir.h"

namespace easel {
namespace {

using test::message_of;
using Tensors = std::map<std::string, Tensor>;

// The weights of scripts/fixtures/ema.py.
struct Model {
  std::vector<std::string> names = {"model.diffusion_model.input_blocks.0.0.weight",
                                    "model.diffusion_model.input_blocks.0.0.bias",
                                    "model.diffusion_model.out.2.weight"};
  std::vector<Tensor> tensors = {at::zeros({4, 3}), at::zeros({4}), at::zeros({2, 2, 3})};

  Model() {
    for (Tensor& tensor : tensors) tensor.requires_grad_(true);
    fill(0);
  }
  void fill(int64_t n) {
    const at::NoGradGuard no_grad;
    for (size_t k = 0; k < tensors.size(); ++k) {
      const Tensor i = at::arange(tensors[k].numel());
      tensors[k].copy_(
          ((7 * i + 3 * n + 5 * static_cast<int64_t>(k)).remainder(16).to(at::kFloat) / 16)
              .reshape(tensors[k].sizes()));
    }
  }
  std::vector<nn::NamedParameter<Tensor*>> parameters() {
    std::vector<nn::NamedParameter<Tensor*>> all;
    for (size_t k = 0; k < tensors.size(); ++k) all.push_back({names[k], &tensors[k]});
    return all;
  }
};

struct Case {
  std::string name;
  EmaOptions options;
};

class LitEma : public testing::TestWithParam<Case> {};

TEST_P(LitEma, IsCompViss) {
  const Tensors want = read_safetensors(std::filesystem::path(EASEL_TEST_DATA "/ema") /
                                        (GetParam().name + ".safetensors"))
                           .tensors;
  Model model;
  Ema ema(model.parameters(), GetParam().options);
  for (int64_t n = 1; n <= 30; ++n) {
    model.fill(n);
    ema.update();
  }
  const Tensors got = compvis_ema_tensors(ema.tensors(), ema.decay(), ema.num_updates());
  ASSERT_EQ(got.size(), want.size());
  for (const auto& [name, tensor] : want) {
    ASSERT_TRUE(got.contains(name)) << name;
    EXPECT_EQ(got.at(name).scalar_type(), tensor.scalar_type()) << name;
    test::expect_close(got.at(name), tensor, 1e-6, name);
  }
  EXPECT_EQ(compvis_ema_num_updates(want), GetParam().options.use_num_updates ? 30 : -1);
}

INSTANTIATE_TEST_SUITE_P(Ema, LitEma,
                         testing::Values(Case{"counted", {0.9999, true}},
                                         Case{"capped", {0.25, true}}, Case{"plain", {0.9, false}}),
                         [](const auto& options) { return options.param.name; });

TEST(Ema, GoesOnExactlyFromSavedState) {
  Model unbroken, broken;
  Ema whole(unbroken.parameters()), first(broken.parameters());
  for (int64_t n = 1; n <= 5; ++n) {
    unbroken.fill(n);
    broken.fill(n);
    whole.update();
    first.update();
  }
  Tensors saved;
  for (const auto& [name, tensor] : first.tensors()) saved.emplace(name, tensor.clone());
  Model later;
  Ema resumed(later.parameters());
  resumed.load(saved, first.num_updates());
  for (int64_t n = 6; n <= 9; ++n) {
    unbroken.fill(n);
    later.fill(n);
    whole.update();
    resumed.update();
  }
  EXPECT_EQ(resumed.num_updates(), 9);
  for (const auto& [name, tensor] : whole.tensors()) {
    EXPECT_TRUE(at::equal(tensor, resumed.tensors().at(name))) << name;
  }
}

TEST(Ema, OwnsItsAverages) {
  Model model;
  Ema ema(model.parameters());
  const Tensor before = ema.tensors().at(model.names[0]).clone();
  model.fill(3);
  EXPECT_TRUE(at::equal(ema.tensors().at(model.names[0]), before));
  EXPECT_FALSE(ema.tensors().at(model.names[0]).requires_grad());
}

TEST(Ema, AveragesLowPrecisionParametersInFloat32) {
  Tensor weight = at::zeros({3}, at::kBFloat16);
  Ema ema({{"w", &weight}}, {.decay = 0.999, .use_num_updates = false});
  weight.fill_(1);
  for (int i = 0; i < 10; ++i) ema.update();
  EXPECT_NEAR(ema.tensors().at("w")[0].item<float>(), 1 - std::pow(0.999, 10), 1e-6);
  {
    const EmaScope scope(ema);
    EXPECT_EQ(weight.scalar_type(), at::kBFloat16);
    EXPECT_NEAR(weight[0].item<float>(), 0.00996, 1e-4);
  }
  EXPECT_EQ(weight[0].item<float>(), 1);
}

TEST(EmaScope, SwapsTheAveragesInAndTheSameTensorsBack) {
  Model model;
  Ema ema(model.parameters());
  model.fill(1);
  ema.update();
  model.fill(2);
  std::vector<void*> storage;
  for (const Tensor& tensor : model.tensors) storage.push_back(tensor.data_ptr());
  const Tensor own = model.tensors[0].detach().clone();
  try {
    const EmaScope scope(ema);
    EXPECT_TRUE(at::equal(model.tensors[0], ema.tensors().at(model.names[0])));
    EXPECT_FALSE(at::equal(model.tensors[0], own));
    throw std::runtime_error("a failed validation");
  } catch (const std::runtime_error&) {
  }
  for (size_t k = 0; k < storage.size(); ++k) {
    EXPECT_EQ(model.tensors[k].data_ptr(), storage[k]);
    EXPECT_TRUE(model.tensors[k].requires_grad());
  }
  EXPECT_TRUE(at::equal(model.tensors[0], own));
}

TEST(Ema, RefusesWhatDoesNotFit) {
  Model model;
  EXPECT_THROW(Ema(model.parameters(), {.decay = 1.5}), Error);
  EXPECT_THROW(Ema(model.parameters(), {.decay = std::numeric_limits<double>::quiet_NaN()}), Error);
  Ema ema(model.parameters());
  const Tensor before = ema.tensors().at(model.names[0]).clone();
  const auto refused = [&](auto&& change, int64_t num_updates = 1) {
    Tensors tensors;
    for (const auto& [name, tensor] : ema.tensors()) tensors.emplace(name, at::ones_like(tensor));
    change(tensors);
    return message_of<Error>([&] { ema.load(tensors, num_updates); });
  };
  EXPECT_NE(refused([&](Tensors& t) { t.erase(model.names[2]); }).find(model.names[2]),
            std::string::npos);
  EXPECT_NE(refused([&](Tensors& t) { t[model.names[1]] = at::ones({5}); }).find("[5]"),
            std::string::npos);
  EXPECT_NE(refused([&](Tensors& t) { t["other"] = at::ones({5}); }).find("other"),
            std::string::npos);
  EXPECT_NE(refused([](Tensors&) {}, -2), "");
  EXPECT_TRUE(at::equal(ema.tensors().at(model.names[0]), before));
  EXPECT_EQ(refused([](Tensors&) {}), "");
}

TEST(CompVisEma, NamesMustStayApartWithoutDots) {
  EXPECT_THROW(
      compvis_ema_tensors({{"model.a.bc", at::ones(1)}, {"model.ab.c", at::ones(1)}}, 0.5, 0),
      Error);
  const Tensors kept = compvis_ema_tensors(
      {{"model.a.b", at::ones(1)}, {"first_stage_model.a", at::ones(1)}}, 0.5, 7);
  EXPECT_EQ(kept.size(), 3u);
  EXPECT_TRUE(kept.contains("model_ema.ab"));
  EXPECT_EQ(compvis_ema_num_updates(kept), 7);
  EXPECT_EQ(compvis_ema_num_updates({}), -1);
  EXPECT_THROW(compvis_ema_num_updates({{"model_ema.num_updates", at::ones(2)}}), Error);
}

}  // namespace
}  // namespace easel
