#include "easel/nn/checkpoint.h"

#include <optional>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function.h>

#include <easel/nn/autocast.h>
#include <easel/nn/resnet.h>
#include <easel/nn/training_mode.h>
#include <easel/nn/transformer.h>

#include "tests/support/gradients.h"
#include "tests/support/hashed_weights.h"

namespace easel::nn {
namespace {

struct Result {
  Tensor out;
  test::Gradients gradients;
  Tensor next;  // what the generator gives afterwards
};

// Output and gradients of one training step, dropout drawing from one seed.
template <class Module, class Forward>
Result step(Module module, const std::vector<at::IntArrayRef>& shapes, const Forward& forward) {
  test::fill_hashed(module);
  test::require_gradients(module);
  std::vector<Tensor> inputs;
  for (const auto& shape : shapes) {
    inputs.push_back(
        test::hashed_tensor("input " + std::to_string(inputs.size()), shape).requires_grad_());
  }
  at::manual_seed(5);
  const TrainingMode training;
  Result result{forward(module, inputs), {}, {}};
  // Draws between the passes must not matter.
  at::rand({3});
  test::hashed_loss("out", result.out).backward();
  result.next = at::rand({3});
  result.gradients = test::gradients_of(module);
  for (size_t i = 0; i < inputs.size(); ++i) {
    result.gradients["input " + std::to_string(i)] = inputs[i].grad();
  }
  return result;
}

void expect_same(const Result& got, const Result& want) {
  EXPECT_TRUE(at::equal(got.out, want.out));
  EXPECT_TRUE(at::equal(got.next, want.next));
  ASSERT_EQ(got.gradients.size(), want.gradients.size());
  for (const auto& [name, gradient] : want.gradients) {
    ASSERT_TRUE(gradient.defined()) << name;
    ASSERT_TRUE(got.gradients.at(name).defined()) << name;
    EXPECT_TRUE(at::equal(got.gradients.at(name), gradient)) << name;
  }
}

class Checkpointed : public testing::TestWithParam<bool> {
 protected:
  // Bit for bit, with autocast and without.
  template <class Make, class Forward>
  void expect_no_difference(const Make& make, const std::vector<at::IntArrayRef>& shapes,
                            const Forward& forward) {
    const auto run = [&](bool use_checkpoint) {
      return step(make(use_checkpoint), shapes, [&](const auto& module, const auto& inputs) {
        const Autocast autocast(at::kCPU, at::kBFloat16, GetParam());
        return forward(module, inputs);
      });
    };
    expect_same(run(true), run(false));
  }
};

TEST_P(Checkpointed, ResBlockWithDropoutGivesTheSameGradients) {
  for (const bool scale_shift : {false, true}) {
    expect_no_difference(
        [&](bool use_checkpoint) {
          return ResBlock({.in_channels = 32,
                           .out_channels = 64,
                           .time_channels = 16,
                           .scale_shift = scale_shift,
                           .dropout = 0.3,
                           .use_checkpoint = use_checkpoint});
        },
        {{2, 32, 6, 6}, {2, 16}},
        [](const ResBlock& block, const std::vector<Tensor>& in) {
          return block.forward(in[0], in[1]);
        });
  }
}

TEST_P(Checkpointed, ResBlockWithoutTimeGivesTheSameGradients) {
  expect_no_difference(
      [&](bool use_checkpoint) {
        return ResBlock({.in_channels = 32,
                         .out_channels = 32,
                         .dropout = 0.5,
                         .use_checkpoint = use_checkpoint});
      },
      {{2, 32, 4, 4}},
      [](const ResBlock& block, const std::vector<Tensor>& in) { return block.forward(in[0]); });
}

TEST_P(Checkpointed, AttentionBlockGivesTheSameGradients) {
  expect_no_difference(
      [](bool use_checkpoint) { return AttentionBlock(64, 4, 1e-5, 32, use_checkpoint); },
      {{2, 64, 4, 5}},
      [](const AttentionBlock& block, const std::vector<Tensor>& in) {
        return block.forward(in[0]);
      });
}

TEST_P(Checkpointed, TransformerGivesTheSameGradients) {
  expect_no_difference(
      [](bool use_checkpoint) {
        return SpatialTransformer({.channels = 64,
                                   .heads = 4,
                                   .head_channels = 16,
                                   .context_channels = 24,
                                   .depth = 2,
                                   .use_checkpoint = use_checkpoint});
      },
      {{2, 64, 4, 5}, {2, 7, 24}},
      [](const SpatialTransformer& block, const std::vector<Tensor>& in) {
        return block.forward(in[0], in[1]);
      });
}

INSTANTIATE_TEST_SUITE_P(Autocast, Checkpointed, testing::Bool(),
                         [](const auto& given) { return given.param ? "bfloat16" : "off"; });

struct Small {
  Linear linear{4, 4};

  template <class Self, class Visit>
  static void members(Self& self, Visit&& visit) {
    visit("linear", self.linear);
  }
};

TEST(Checkpoint, KeepsNoActivationsAndRunsAgainInTheBackwardPass) {
  Small module;
  test::fill_hashed(module);
  test::require_gradients(module);
  const Tensor x = test::hashed_tensor("x", {2, 4});  // needs no gradient itself
  for (const bool recompute : {true, false}) {
    int runs = 0;
    std::optional<c10::weak_intrusive_ptr<c10::StorageImpl>> activation;
    const TrainingMode training;
    const Tensor out = checkpoint(module, recompute, {x}, [&](const std::vector<Tensor>& inputs) {
      ++runs;
      const Tensor h = module.linear.forward(inputs[0]).sigmoid();
      if (runs == 1) {
        activation = h.storage().getWeakStorageImpl();
      }
      return h.square();
    });
    EXPECT_EQ(runs, 1);
    EXPECT_EQ(activation->expired(), recompute);
    EXPECT_TRUE(out.requires_grad());
    out.sum().backward();
    EXPECT_EQ(runs, recompute ? 2 : 1);
    EXPECT_TRUE(module.linear.weight.grad().defined());
  }
}

TEST(Checkpoint, ActsInTrainingWithGradientsOnly) {
  Small module;
  test::fill_hashed(module);
  const Tensor x = test::hashed_tensor("x", {2, 4});
  const auto forward = [&](const std::vector<Tensor>& in) {
    return module.linear.forward(in[0]).square();
  };
  const auto node = [&](const Tensor& out) {
    return out.grad_fn() ? out.grad_fn()->name() : std::string();
  };
  {
    const TrainingMode training;
    EXPECT_EQ(node(checkpoint(module, true, {x}, forward)), "");  // nothing needs a gradient
    test::require_gradients(module);
    EXPECT_EQ(node(checkpoint(module, true, {x}, forward)), "easel::Recompute");
    at::NoGradGuard no_grad;
    EXPECT_EQ(node(checkpoint(module, true, {x}, forward)), "");
  }
  EXPECT_EQ(node(checkpoint(module, true, {x}, forward)), "PowBackward0");
}

TEST(Checkpoint, ServesGraphsThatAreKeptAndChosenInputs) {
  Small module;
  test::fill_hashed(module);
  test::require_gradients(module);
  const Tensor x = test::hashed_tensor("x", {2, 4}).requires_grad_();
  const TrainingMode training;
  const Tensor out = checkpoint(module, true, {x}, [&](const std::vector<Tensor>& in) {
    return module.linear.forward(in[0]).square();
  });
  const auto gradient = [&] {
    return torch::autograd::grad({out.sum()}, {x}, {}, /*retain_graph=*/true)[0];
  };
  const Tensor first = gradient();
  EXPECT_TRUE(at::equal(gradient(), first));
  EXPECT_FALSE(module.linear.weight.grad().defined());
}

TEST(Checkpoint, RefusesWhatItWouldGetWrong) {
  Small module;
  test::fill_hashed(module);
  test::require_gradients(module);
  const Tensor x = test::hashed_tensor("x", {2, 4}).requires_grad_();
  const TrainingMode training;
  const auto run = [&] {
    return checkpoint(
               module, true, {x},
               [&](const std::vector<Tensor>& in) { return module.linear.forward(in[0]).square(); })
        .sum();
  };
  const auto message = [](const auto& function) -> std::string {
    try {
      function();
    } catch (const c10::Error& error) {
      return error.what();
    }
    return "";
  };
  const auto changed_in_place = message([&] {
    const Tensor loss = run();
    {
      at::NoGradGuard no_grad;
      module.linear.bias.add_(1);
    }
    loss.backward();
  });
  EXPECT_NE(changed_in_place.find("were changed between"), std::string::npos);
  const auto replaced = message([&] {
    const Tensor loss = run();
    module.linear.weight = module.linear.weight.detach().clone().requires_grad_();
    loss.backward();
  });
  EXPECT_NE(replaced.find("were changed between"), std::string::npos);
  const auto second = message([&] {
    torch::autograd::grad({run()}, {x}, {}, /*retain_graph=*/true, /*create_graph=*/true);
  });
  EXPECT_NE(second.find("second derivative"), std::string::npos);
}

}  // namespace
}  // namespace easel::nn
