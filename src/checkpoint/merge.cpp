#include "easel/checkpoint/merge.h"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>

#include <easel/base/error.h>
#include <easel/checkpoint/model_files.h>
#include <easel/checkpoint/stable_diffusion.h>

#include "block_weights.h"
#include "write_model.h"

namespace easel {
namespace {

namespace fs = std::filesystem;

constexpr double kMaxWeight = 100;
constexpr std::string_view kConvIn = "unet.conv_in.weight";

struct Model {
  std::string name;
  ModelConfig config;
  Tensors native;
};

// ---- The weight of each parameter
// ----------------------------------------------------------------

// By native name; empty where one weight is for all.
std::map<std::string, double> weights_of_blocks(const ModelConfig& config,
                                                const MergeOptions& options) {
  std::map<std::string, double> weights;
  if (options.block_weights.empty()) return weights;
  const UNetBlockPlaces places(config);
  const std::vector<double>& given = options.block_weights;
  const bool has_base = given.size() == places.all() + 1;
  if (!has_base && given.size() != places.all()) {
    fail_usage(
        "there are {} block weights; this UNet has {} input blocks, a middle block and {} output "
        "blocks: give {} numbers, or {} with one in front for the text encoder and the autoencoder",
        given.size(), places.input(), places.output(), places.all(), places.all() + 1);
  }
  for (const KeyRule& rule : key_rules(config, WeightLayout::CompVis, Part::UNet)) {
    weights[rule.native] = given[places.at(rule.native) + (has_base ? 1 : 0)];
  }
  if (!has_base) return weights;
  for (const Part part : {Part::Autoencoder, Part::TextEncoder}) {
    for (const KeyRule& rule : key_rules(config, WeightLayout::CompVis, part)) {
      weights[rule.native] = given.front();
    }
  }
  return weights;
}

// ---- The models
// ----------------------------------------------------------------------------------

Model read_model(const fs::path& path, const MergeOptions& options) {
  if (!fs::exists(path)) fail("{}: no such file or folder", path.string());
  const LoadOptions load = load_options(options.write);
  Model model{.name = path.string(), .config = find_model_config(path, load), .native = {}};
  model.native = load_native(path, model.config, load);
  return model;
}

// The first convolution of a model with more input channels than the others': beside the latents
// it takes a mask or a picture.
bool has_more_channels(const Tensor& own, const Tensor& other) {
  return own.dim() == 4 && other.dim() == 4 && own.size(1) > other.size(1) &&
         own.size(0) == other.size(0) && own.sizes().slice(2) == other.sizes().slice(2);
}

void check_shapes(const Model& a, const Model& other) {
  std::vector<std::string> wrong;
  for (const auto& [name, tensor] : a.native) {
    const auto found = other.native.find(name);
    const bool fits = found != other.native.end() &&
                      (found->second.sizes() == tensor.sizes() ||
                       (name == kConvIn && has_more_channels(tensor, found->second)));
    if (fits) continue;
    wrong.push_back(
        fmt::format("{} is {} in the first and {}", name, shape_text(tensor.sizes()),
                    found == other.native.end() ? "not there" : shape_text(found->second.sizes())));
  }
  for (const auto& [name, tensor] : other.native) {
    if (!a.native.contains(name)) wrong.push_back(fmt::format("{} is not in the first", name));
  }
  if (wrong.empty()) return;
  constexpr size_t kShown = 3;
  std::string text;
  for (size_t i = 0; i < std::min(wrong.size(), kShown); ++i) text += (i ? "; " : "") + wrong[i];
  if (wrong.size() > kShown) text += fmt::format(" and {} more", wrong.size() - kShown);
  const bool more = a.config.unet.in_channels < other.config.unet.in_channels;
  fail("{} and {} cannot be merged, their networks differ ({}); merge models of one family{}",
       a.name, other.name, text,
       more ? fmt::format(", and name the one that takes {} channels first",
                          other.config.unet.in_channels)
            : "");
}

// The other model's tensor in the shape of A's: what it lacks of the input channels is A's in the
// sum and nothing in a difference.
Tensor levelled(const Tensor& other, const Tensor& a, bool difference) {
  Tensor wide = other.to(at::kFloat);
  if (other.sizes() == a.sizes()) return wide;
  const int64_t own = other.size(1);
  const Tensor rest = a.narrow(1, own, a.size(1) - own).to(at::kFloat);
  return at::cat({wide, difference ? at::zeros_like(rest) : rest}, 1);
}

void check_options(const MergeOptions& options) {
  if (options.models.size() != 2 && options.models.size() != 3) {
    fail_usage(
        "there are {} models to merge; a weighted sum takes two (A B), adding a difference three "
        "(A B C)",
        options.models.size());
  }
  std::vector<double> weights = options.block_weights;
  weights.push_back(options.weight);
  for (const double weight : weights) {
    if (!(std::abs(weight) <= kMaxWeight)) {
      fail_usage(
          "the weight of a merge is {}; it is a number of at most {} either way, 0 to 1 as "
          "a rule",
          weight, kMaxWeight);
    }
  }
}

WeightLayout layout_of(const fs::path& first, const ConvertOptions& write) {
  if (write.layout) return *write.layout;
  if (fs::is_directory(first)) return WeightLayout::CompVis;
  return identify(read_model_files(first).tensors).layout.value_or(WeightLayout::CompVis);
}

}  // namespace

void merge(const fs::path& out, const MergeOptions& options) {
  check_options(options);
  const bool to_folder = container_of(out) == Container::Folder;
  refuse_existing(out, options.write);
  if (to_folder && options.write.layout == WeightLayout::CompVis) {
    fail_usage("{}: a folder has the diffusers layout; give a .safetensors file", out.string());
  }
  for (const fs::path& model : options.models) {
    if (fs::exists(out) && fs::exists(model) && fs::equivalent(model, out)) {
      fail_usage("{}: it is one of the models that are merged", out.string());
    }
  }
  std::vector<Model> models;
  for (const fs::path& path : options.models) models.push_back(read_model(path, options));
  const Model& a = models.front();
  for (size_t i = 1; i < models.size(); ++i) check_shapes(a, models[i]);
  const auto weights = weights_of_blocks(a.config, options);

  const bool difference = models.size() == 3;
  Tensors merged;
  for (const auto& [name, tensor] : a.native) {
    const auto own = weights.find(name);
    const double weight = own == weights.end() ? options.weight : own->second;
    const Tensor wide = tensor.to(at::kFloat);
    const Tensor b = levelled(models[1].native.at(name), tensor, difference);
    Tensor sum = weight == 0 ? wide
                 : difference
                     ? wide + (b - levelled(models[2].native.at(name), tensor, difference)) * weight
                     : wide * (1 - weight) + b * weight;
    merged.emplace(name, sum.to(options.write.dtype.value_or(tensor.scalar_type())));
  }
  check_finite(merged, out.string());
  write_model(
      options.models.front(), out, a.config, merged,
      to_folder ? WeightLayout::Diffusers : layout_of(options.models.front(), options.write),
      options.write);
}

}  // namespace easel
