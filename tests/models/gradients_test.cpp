// Every gradient of every network against the reference programs', and against itself in the
// settings that training runs in.
#include "tests/support/gradients.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <easel/io/tensor_file.h>
#include <easel/models/autoencoder.h>
#include <easel/models/clip_text.h>
#include <easel/models/unet.h>
#include <easel/nn/autocast.h>
#include <easel/nn/training_mode.h>

#include "tests/support/compare.h"
#include "tests/support/hashed_weights.h"
#include "tests/support/model_cases.h"

namespace easel {
namespace {

const TensorFile& digests() {
  static const TensorFile file =
      read_safetensors(std::string(EASEL_TEST_DATA) + "/models/gradients.safetensors");
  return file;
}

std::vector<std::string> case_names(const std::string& model) {
  std::vector<std::string> names;
  for (const auto& [key, tensor] : digests().tensors) {
    if (key.starts_with(model + "/")) names.push_back(key.substr(model.size() + 1));
  }
  return names;
}

struct Step {
  std::map<std::string, Tensor> outputs;
  test::Gradients gradients;
};

struct Setting {
  bool autocast = false;
  at::MemoryFormat format = at::MemoryFormat::Contiguous;
  at::Device device = at::kCPU;
};

// Leaves for the inputs, under the names of the digests.
class Inputs {
 public:
  Inputs(const test::ModelCases& cases, std::string name, const Setting& setting)
      : cases_(cases), name_(std::move(name)), setting_(setting) {}

  Tensor operator()(const std::string& key) {
    Tensor tensor = cases_.find(name_, key);
    if (!tensor.defined()) return tensor;
    tensor = tensor.to(setting_.device).clone();
    if (tensor.dim() == 4) tensor = tensor.contiguous(setting_.format);
    if (tensor.is_floating_point() && key != "t") {
      leaves_["input." + key] = tensor.requires_grad_();
    }
    return tensor;
  }

  void add_gradients(test::Gradients& gradients) const {
    for (const auto& [key, leaf] : leaves_) gradients[key] = leaf.grad();
  }

 private:
  const test::ModelCases& cases_;
  std::string name_;
  Setting setting_;
  std::map<std::string, Tensor> leaves_;
};

// For tiny tensors, threads that wait for each other take far longer than the work.
struct OneThread {
  int before = at::get_num_threads();
  OneThread() { at::set_num_threads(1); }
  ~OneThread() { at::set_num_threads(before); }
};

// Fills the module, runs forward(inputs), and takes the gradients of the digests' loss.
template <class Module, class Forward>
Step run(Module module, const test::ModelCases& cases, const std::string& name,
         const Setting& setting, const Forward& forward) {
  const OneThread one_thread;
  test::fill_hashed(module, at::kFloat, setting.device);
  for (const auto& [parameter, tensor] : nn::named_parameters(module)) {
    if (tensor->dim() == 4) *tensor = tensor->contiguous(setting.format);
  }
  test::require_gradients(module);
  Inputs inputs(cases, name, setting);
  Step step;
  {
    std::optional<nn::Autocast> autocast;
    if (setting.autocast) autocast.emplace(setting.device.type(), at::kBFloat16);
    step.outputs = forward(module, inputs);
  }
  Tensor loss;
  for (const auto& [key, output] : step.outputs) {
    const Tensor part = test::hashed_loss(key, output);
    loss = loss.defined() ? loss + part : part;
  }
  loss.backward();
  step.gradients = test::gradients_of(module);
  inputs.add_gradients(step.gradients);
  return step;
}

Step run_unet(const std::string& name, const Setting& setting = {}) {
  static const test::ModelCases cases("unet");
  return run(UNet(cases.unet(name)), cases, name, setting,
             [](const UNet& unet, Inputs& in) -> std::map<std::string, Tensor> {
               return {{"out", unet.forward(in("x"), in("t"), in("context"), in("label"))}};
             });
}

Step run_autoencoder(const std::string& name, const Setting& setting = {}) {
  static const test::ModelCases cases("autoencoder");
  return run(Autoencoder(cases.autoencoder(name)), cases, name, setting,
             [](const Autoencoder& vae, Inputs& in) -> std::map<std::string, Tensor> {
               const Posterior posterior = vae.encode(in("x"));
               return {{"mean", posterior.mean_BCHW},
                       {"logvar", posterior.logvar_BCHW},
                       {"decoded", vae.decode(in("z"))}};
             });
}

Step run_clip_text(const std::string& name, const Setting& setting = {}) {
  static const test::ModelCases cases("clip_text");
  return run(ClipText(cases.clip_text(name)), cases, name, setting,
             [](const ClipText& text, Inputs& in) -> std::map<std::string, Tensor> {
               return {{"out", text.forward(in("tokens"))}};
             });
}

class UNetGradients : public testing::TestWithParam<std::string> {};
class AutoencoderGradients : public testing::TestWithParam<std::string> {};
class ClipTextGradients : public testing::TestWithParam<std::string> {};

const auto name_of = [](const auto& given) { return given.param; };

TEST_P(UNetGradients, MatchTheReferenceNetwork) {
  test::expect_gradients(run_unet(GetParam()).gradients, digests().tensors.at("unet/" + GetParam()),
                         1e-4);
}

TEST_P(AutoencoderGradients, MatchTheReferenceNetwork) {
  test::expect_gradients(run_autoencoder(GetParam()).gradients,
                         digests().tensors.at("autoencoder/" + GetParam()), 1e-4);
}

TEST_P(ClipTextGradients, MatchTheReferenceNetwork) {
  test::expect_gradients(run_clip_text(GetParam()).gradients,
                         digests().tensors.at("clip_text/" + GetParam()), 1e-4);
}

INSTANTIATE_TEST_SUITE_P(Cases, UNetGradients, testing::ValuesIn(case_names("unet")), name_of);
INSTANTIATE_TEST_SUITE_P(Cases, AutoencoderGradients, testing::ValuesIn(case_names("autoencoder")),
                         name_of);
INSTANTIATE_TEST_SUITE_P(Cases, ClipTextGradients, testing::ValuesIn(case_names("clip_text")),
                         name_of);

// Outputs and gradients of one setting beside those of float32, contiguous, on the CPU.
void expect_like_float32(const Setting& setting, double tolerance) {
  const auto compare = [&](const Step& got, const Step& want, const std::string& what) {
    for (const auto& [key, output] : want.outputs) {
      EXPECT_LE(test::relative_difference(got.outputs.at(key), output), tolerance) << what << key;
    }
    for (const auto& [name, gradient] : got.gradients) {
      EXPECT_EQ(gradient.scalar_type(), at::kFloat) << what << name;
    }
    test::Gradients on_cpu;
    for (const auto& [name, gradient] : got.gradients) on_cpu[name] = gradient.cpu();
    EXPECT_LE(test::relative_difference(on_cpu, want.gradients), tolerance) << what;
  };
  for (const std::string name :
       {"compvis_depth_2", "compvis_plain_classes", "diffusers_odd_size"}) {
    compare(run_unet(name, setting), run_unet(name), "unet " + name + " ");
  }
  for (const std::string& name : case_names("autoencoder")) {
    compare(run_autoencoder(name, setting), run_autoencoder(name), "autoencoder " + name + " ");
  }
  for (const std::string& name : case_names("clip_text")) {
    compare(run_clip_text(name, setting), run_clip_text(name), "clip_text " + name + " ");
  }
}

TEST(Gradients, UnderBfloat16AutocastAreNearFloat32) {
  expect_like_float32({.autocast = true}, test::tolerance(at::kBFloat16));
}

TEST(Gradients, WithChannelsLastAreThoseOfContiguous) {
  expect_like_float32({.format = at::MemoryFormat::ChannelsLast}, 1e-5);
}

TEST(Gradients, WithChannelsLastUnderAutocastAreNearFloat32) {
  expect_like_float32({.autocast = true, .format = at::MemoryFormat::ChannelsLast},
                      test::tolerance(at::kBFloat16));
}

TEST(Gradients, RunsOnCuda) {
  if (!at::hasCUDA()) GTEST_SKIP() << "no CUDA device";
  expect_like_float32({.device = at::kCUDA}, 2e-3);
  expect_like_float32({.autocast = true, .device = at::kCUDA}, test::tolerance(at::kBFloat16));
}

// A whole training step of the UNet, with dropout.
Step training_step(const std::string& name, bool use_checkpoint, bool autocast) {
  const test::ModelCases cases("unet");
  UNetConfig config = cases.unet(name);
  config.dropout = 0.2;
  config.use_checkpoint = use_checkpoint;
  const nn::TrainingMode training;
  at::manual_seed(5);
  return run(UNet(config), cases, name, {.autocast = autocast},
             [](const UNet& unet, Inputs& in) -> std::map<std::string, Tensor> {
               return {{"out", unet.forward(in("x"), in("t"), in("context"), in("label"))}};
             });
}

TEST(UNetCheckpoint, GivesTheSameGradientsBitForBit) {
  for (const std::string name : {"compvis_v1_shape", "compvis_plain_classes"}) {
    for (const bool autocast : {false, true}) {
      const Step got = training_step(name, true, autocast);
      const Step want = training_step(name, false, autocast);
      EXPECT_TRUE(at::equal(got.outputs.at("out"), want.outputs.at("out"))) << name;
      for (const auto& [parameter, gradient] : want.gradients) {
        EXPECT_TRUE(at::equal(got.gradients.at(parameter), gradient)) << name << " " << parameter;
      }
      // Dropout acted.
      EXPECT_GT(test::relative_difference(got.outputs.at("out"),
                                          run_unet(name, {.autocast = autocast}).outputs.at("out")),
                1e-2);
    }
  }
}

}  // namespace
}  // namespace easel
