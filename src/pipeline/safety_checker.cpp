#include "easel/pipeline/safety_checker.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <easel/base/error.h>
#include <easel/checkpoint/model_files.h>
#include <easel/models/clip_vision.h>
#include <easel/nn/module.h>
#include <easel/pipeline/device.h>

#include "clip_picture.h"
#include "torch_errors.h"

namespace easel {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kHeadSize = 64;
constexpr double kSpecialCare = 0.01;

ModelFiles read_files(const fs::path& path) {
  if (fs::is_directory(path / "safety_checker")) {
    return read_component(path / "safety_checker", "model");
  }
  return fs::is_directory(path) ? read_component(path, "model") : read_model_files(path);
}

// Takes tensors by their names in a file.
class Weights {
 public:
  Weights(ModelFiles files, std::string name)
      : tensors_(std::move(files.tensors)), name_(std::move(name)) {}

  const Tensor& get(const std::string& key, int64_t dims) const {
    const auto found = tensors_.find(key);
    if (found == tensors_.end() || found->second.dim() != dims) {
      fail(
          "{}: has no {} as a safety checker has it; expected the weights of "
          "CompVis/stable-diffusion-safety-checker",
          name_, key);
    }
    return found->second;
  }
  bool has(const std::string& key) const { return tensors_.contains(key); }
  const std::string& name() const { return name_; }

 private:
  Tensors tensors_;
  std::string name_;
};

// transformers' CLIPVisionModel within the checker's own vision_model.
constexpr std::string_view kVision = "vision_model.";

ClipVisionConfig vision_config(const Weights& weights) {
  const std::string prefix = std::string(kVision) + "vision_model.";
  const Tensor& patches = weights.get(prefix + "embeddings.patch_embedding.weight", 4);
  const Tensor& positions = weights.get(prefix + "embeddings.position_embedding.weight", 2);
  ClipVisionConfig config;
  config.hidden_size = patches.size(0);
  config.num_channels = patches.size(1);
  config.patch_size = patches.size(2);
  const auto side = static_cast<int64_t>(
      std::llround(std::sqrt(static_cast<double>(std::max<int64_t>(positions.size(0) - 1, 0)))));
  config.image_size = side * config.patch_size;
  const auto layer = [&](int64_t i) {
    return fmt::format("{}encoder.layers.{}.mlp.fc1.weight", prefix, i);
  };
  config.intermediate_size = weights.get(layer(0), 2).size(0);
  config.num_hidden_layers = 0;
  while (weights.has(layer(config.num_hidden_layers))) ++config.num_hidden_layers;
  config.num_attention_heads = config.hidden_size / kHeadSize;
  if (config.num_channels != 3) {
    fail("{}: looks at {} channels; expected 3", weights.name(), config.num_channels);
  }
  return config;
}

Tensor similarity(const Tensor& features_1D, const Tensor& concepts_ND) {
  const auto normalised = [](const Tensor& x) {
    return x / x.norm(2, {1}, /*keepdim=*/true).clamp_min(1e-12);
  };
  return at::mm(normalised(features_1D), normalised(concepts_ND).t())[0];
}

std::vector<double> scores(const Tensor& similarity_N, const Tensor& thresholds_N,
                           double& adjustment, double further) {
  std::vector<double> result;
  const Tensor above_N = (similarity_N - thresholds_N).cpu().to(at::kDouble);
  for (int64_t i = 0; i < above_N.size(0); ++i) {
    result.push_back(std::round(1000 * (above_N[i].item<double>() + adjustment)) / 1000);
    if (result.back() > 0 && further > 0) adjustment = further;
  }
  return result;
}

}  // namespace

class SafetyChecker {
 public:
  SafetyChecker(const Weights& weights, at::Device device)
      : vision_(vision_config(weights)), device_(device) {
    const auto wanted = at::TensorOptions().device(device).dtype(at::kFloat);
    for (const auto& parameter : nn::named_parameters(vision_)) {
      const Tensor& found =
          weights.get(std::string(kVision) + parameter.name, parameter.tensor->dim());
      if (found.sizes() != parameter.tensor->sizes()) {
        fail("{}: {}{} has the shape {}; expected {}", weights.name(), kVision, parameter.name,
             shape_text(found.sizes()), shape_text(parameter.tensor->sizes()));
      }
      *parameter.tensor = found.to(wanted).contiguous();
    }
    projection_PD_ = weights.get("visual_projection.weight", 2).to(wanted);
    concepts_NP_ = weights.get("concept_embeds", 2).to(wanted);
    special_NP_ = weights.get("special_care_embeds", 2).to(wanted);
    concept_thresholds_N_ = weights.get("concept_embeds_weights", 1).to(wanted);
    special_thresholds_N_ = weights.get("special_care_embeds_weights", 1).to(wanted);
    const int64_t size = projection_PD_.size(0);
    if (projection_PD_.size(1) != vision_.config().hidden_size || concepts_NP_.size(1) != size ||
        special_NP_.size(1) != size || concept_thresholds_N_.size(0) != concepts_NP_.size(0) ||
        special_thresholds_N_.size(0) != special_NP_.size(0)) {
      fail("{}: the shapes of the safety checker's concepts do not fit each other", weights.name());
    }
  }

  SafetyScores judge(const Image& image) const {
    const c10::InferenceMode inference;
    const Tensor prepared_1CHW = clip_picture(image, vision_.config().image_size).to(device_);
    const Tensor features = at::mm(vision_.pooled(prepared_1CHW), projection_PD_.t());
    double adjustment = 0;
    SafetyScores found;
    found.special_care =
        scores(similarity(features, special_NP_), special_thresholds_N_, adjustment, kSpecialCare);
    found.concepts =
        scores(similarity(features, concepts_NP_), concept_thresholds_N_, adjustment, 0);
    return found;
  }

 private:
  ClipVision vision_;
  Tensor projection_PD_, concepts_NP_, special_NP_, concept_thresholds_N_, special_thresholds_N_;
  at::Device device_;
};

std::shared_ptr<const SafetyChecker> open_safety_checker(const fs::path& path,
                                                         const std::string& device) {
  return with_plain_errors("the safety checker needs more than there is", [&] {
    const Weights weights(read_files(path), path.string());
    return std::make_shared<const SafetyChecker>(weights, device_from_name(device));
  });
}

bool SafetyScores::unsafe() const {
  return std::any_of(concepts.begin(), concepts.end(), [](double score) { return score > 0; });
}

SafetyScores safety_scores(const SafetyChecker& checker, const Image& image) {
  return with_plain_errors("the safety checker needs more than there is",
                           [&] { return checker.judge(image); });
}

}  // namespace easel
