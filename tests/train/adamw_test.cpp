#include "easel/train/adamw.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <easel/base/error.h>
#include <easel/io/tensor_file.h>

#include "tests/support/compare.h"
#include "tests/support/hashed_weights.h"
#include "tests/support/temp_dir.h"

namespace easel {
namespace {

using test::expect_close;
using test::hashed_tensor;
using test::message_of;

// The parameters of scripts/fixtures/adamw.py.
struct Model {
  std::vector<std::pair<std::string, Tensor>> tensors = {
      {"conv.weight", hashed_tensor("conv.weight", {4, 3, 2, 2})},
      {"conv.bias", hashed_tensor("conv.bias", {4})},
      {"scale", hashed_tensor("scale", {})},
      {"idle.weight", hashed_tensor("idle.weight", {3})}};

  explicit Model(bool channels_last = false) {
    if (channels_last) {
      tensors[0].second = tensors[0].second.contiguous(at::MemoryFormat::ChannelsLast);
    }
    for (auto& [name, tensor] : tensors) tensor.requires_grad_();
  }
  Parameters parameters() {
    Parameters all;
    for (auto& [name, tensor] : tensors) all.push_back({name, &tensor});
    return all;
  }
  void set_gradients(size_t step) {
    for (auto& [name, tensor] : tensors) {
      if (name == "idle.weight") continue;
      tensor.mutable_grad() = hashed_tensor(name + "/" + std::to_string(step), tensor.sizes());
    }
  }
};

struct Cases {
  TensorFile file = read_safetensors(EASEL_TEST_DATA "/adamw/adamw.safetensors");
  nlohmann::json settings = nlohmann::json::parse(file.metadata.at("cases"));
};

AdamWOptions options_of(const nlohmann::json& settings) {
  return {.beta1 = settings.at("betas")[0],
          .beta2 = settings.at("betas")[1],
          .eps = settings.at("eps"),
          .weight_decay = settings.at("weight_decay")};
}

TEST(AdamW, StepsAndClipsAsPyTorchDoes) {
  const Cases cases;
  for (const bool channels_last : {false, true}) {
    for (const auto& [name, settings] : cases.settings.items()) {
      SCOPED_TRACE(name);
      Model model(channels_last);
      AdamW optimizer(model.parameters(), options_of(settings));
      const Tensor norms = cases.file.tensors.at(name + "/norms");
      for (size_t step = 0; step < settings.at("rates").size(); ++step) {
        model.set_gradients(step);
        const double norm = gradient_norm(optimizer.parameters());
        EXPECT_NEAR(norm, norms[static_cast<int64_t>(step)].item<double>(), 1e-6 * norm);
        const double max_norm = settings.at("clip");
        if (max_norm > 0) clip_gradients(optimizer.parameters(), norm, max_norm);
        optimizer.step(settings.at("rates")[step]);
      }
      for (const auto& [parameter, tensor] : model.tensors) {
        expect_close(tensor, cases.file.tensors.at(name + "/" + parameter), 1e-6, parameter);
      }
      for (const auto& [key, tensor] : optimizer.state()) {
        const auto want = cases.file.tensors.find(name + "/" + key);
        if (want != cases.file.tensors.end()) expect_close(tensor, want->second, 1e-6, key);
      }
    }
  }
}

TEST(AdamW, LeavesParametersWithoutAGradient) {
  Model model;
  AdamW optimizer(model.parameters(), {.weight_decay = 0.5});
  model.set_gradients(0);
  optimizer.step(0.1);
  EXPECT_TRUE(model.tensors[3].second.equal(hashed_tensor("idle.weight", {3})));
  EXPECT_EQ(optimizer.state().at("step.idle.weight").item<double>(), 0);
  EXPECT_EQ(optimizer.state().at("step.scale").item<double>(), 1);
  optimizer.zero_grad();
  EXPECT_EQ(gradient_norm(optimizer.parameters()), 0);
  EXPECT_FALSE(model.tensors[0].second.grad().defined());
}

TEST(AdamW, GoesOnFromItsState) {
  Model whole;
  AdamW unbroken(whole.parameters(), {});
  for (size_t step = 0; step < 2; ++step) {
    whole.set_gradients(step);
    unbroken.step(1e-2);
  }
  std::map<std::string, Tensor> state;
  for (const auto& [name, tensor] : unbroken.state()) state.emplace(name, tensor.clone());

  Model part;
  for (size_t i = 0; i < part.tensors.size(); ++i) {
    part.tensors[i].second = whole.tensors[i].second.detach().clone().requires_grad_();
  }
  AdamW resumed(part.parameters(), {});
  resumed.load_state(state, "a.state");
  whole.set_gradients(2);
  part.set_gradients(2);
  unbroken.step(1e-2);
  resumed.step(1e-2);
  for (size_t i = 0; i < part.tensors.size(); ++i) {
    EXPECT_TRUE(part.tensors[i].second.equal(whole.tensors[i].second)) << part.tensors[i].first;
  }
}

TEST(AdamW, NamesWhatDoesNotFitInAState) {
  Model model;
  AdamW optimizer(model.parameters(), {});
  auto state = optimizer.state();
  state["exp_avg.conv.bias"] = at::zeros({5});
  std::string message = message_of<Error>([&] { optimizer.load_state(state, "a.state"); });
  EXPECT_NE(message.find("a.state: the optimizer's exp_avg.conv.bias is [5], expected [4]"),
            std::string::npos)
      << message;
  state.erase("exp_avg.conv.bias");
  message = message_of<Error>([&] { optimizer.load_state(state, "a.state"); });
  EXPECT_NE(message.find("exp_avg.conv.bias is missing"), std::string::npos) << message;
}

}  // namespace
}  // namespace easel
