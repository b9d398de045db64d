#include "easel/checkpoint/t2i_adapter.h"

#include <algorithm>
#include <charconv>
#include <set>

#include <ATen/ATen.h>
#include <fmt/ranges.h>

#include <easel/base/error.h>
#include <easel/checkpoint/model_files.h>
#include <easel/nn/module.h>

#include "key_rules.h"
#include "weight_report.h"

namespace easel {
namespace {

constexpr std::string_view kBody = "body.";
constexpr std::string_view kDiffusers = "adapter.";

bool has_prefix(const Tensors& tensors, const std::string& prefix) {
  const auto found = tensors.lower_bound(prefix);
  return found != tensors.end() && found->first.starts_with(prefix);
}

// How many there are of PREFIX0.REST, PREFIX1.REST ...
int64_t count(const Tensors& tensors, const std::string& prefix, const std::string& rest = "") {
  constexpr int64_t kMost = 64;
  int64_t num = 0;
  while (num < kMost && has_prefix(tensors, fmt::format("{}{}.{}", prefix, num, rest))) ++num;
  return num;
}

// The authors' names as diffusers has them: those of the full kind number the blocks of all levels
// through, `blocks_a_level` of them a level; 0: the light kind.
Tensors with_diffusers_names(const Tensors& tensors, int64_t blocks_a_level) {
  Tensors renamed;
  for (const auto& [name, tensor] : tensors) {
    std::string native = std::string(kDiffusers) + name;
    if (name.starts_with(kBody)) {
      int64_t index = 0;
      const char* start = name.data() + kBody.size();
      const auto end = std::from_chars(start, name.data() + name.size(), index).ptr;
      std::string rest(end, name.data() + name.size());
      if (blocks_a_level == 0) {
        if (rest.starts_with(".body.")) rest.replace(0, 6, ".resnets.");
      } else {
        if (rest.starts_with(".block")) {
          rest = fmt::format(".resnets.{}{}", index % blocks_a_level, rest);
        }
        index /= blocks_a_level;
      }
      native = fmt::format("{}{}{}{}", kDiffusers, kBody, index, rest);
    }
    renamed.emplace(std::move(native), tensor);
  }
  return renamed;
}

// Channels of the output of a convolution; 0 where it is not there.
int64_t width(const Tensors& tensors, const std::string& name, int64_t dimension = 0) {
  const auto found = tensors.find(name);
  return found == tensors.end() || found->second.dim() != 4 ? 0 : found->second.size(dimension);
}

}  // namespace

std::optional<T2IAdapter> read_t2i_adapter(const std::filesystem::path& path,
                                           const ModelConfig& model,
                                           const at::TensorOptions& wanted) {
  if (!std::filesystem::exists(path)) fail("{}: no such file or folder", path.string());
  const ModelFiles files = std::filesystem::is_directory(path)
                               ? read_component(path, "diffusion_pytorch_model")
                               : read_model_files(path);
  const Tensors& given = files.tensors;
  if (identify(given).kind != ModelKind::T2IAdapter) return std::nullopt;
  const std::string name = path.string();
  const bool native = has_prefix(given, std::string(kDiffusers));
  T2IAdapterConfig config{.downsampling = model.autoencoder.downsampling()};
  config.light = native ? given.contains("adapter.body.0.out_conv.weight")
                        : given.contains("body.0.out_conv.weight");
  const int64_t blocks = count(given, std::string(kBody));
  const int64_t levels = static_cast<int64_t>(model.unet.channel_mult.size());
  const Tensors tensors =
      native
          ? given
          : with_diffusers_names(given, config.light ? 0 : std::max<int64_t>(blocks / levels, 1));

  const int64_t factor = config.downsampling * config.downsampling;
  const int64_t first =
      width(tensors, config.light ? "adapter.body.0.in_conv.weight" : "adapter.conv_in.weight", 1);
  if (first == 0 || first % factor != 0) {
    fail(
        "{}: its first convolution takes {} channels, where a picture's squares of {} x {} pixels "
        "make up multiples of {}: it is for a model whose latents are of another size",
        name, first, config.downsampling, config.downsampling, factor);
  }
  config.picture_channels = first / factor;
  config.num_res_blocks = count(tensors, "adapter.body.0.resnets.");
  std::vector<int64_t> own;
  for (const int64_t mult : model.unet.channel_mult) {
    own.push_back(model.unet.model_channels * mult);
  }
  config.channels.clear();
  const std::string last = config.light
                               ? std::string("out_conv.weight")
                               : fmt::format("resnets.{}.block2.weight", config.num_res_blocks - 1);
  for (int64_t i = 0; i < count(tensors, "adapter.body."); ++i) {
    config.channels.push_back(width(tensors, fmt::format("adapter.body.{}.{}", i, last)));
  }
  if (config.channels != own) {
    fail(
        "{}: it is a T2I-Adapter for a UNet whose levels have {} channels, and this model's have "
        "{}; use one that was made for this kind of model",
        name, fmt::join(config.channels, ", "), fmt::join(own, ", "));
  }

  T2IAdapter network(config);
  WeightReport report;
  std::set<std::string_view> used;
  for (const auto& parameter : nn::named_parameters(network)) {
    const KeyRule rule{.native = parameter.name,
                       .foreign = parameter.name,
                       .shape = parameter.tensor->sizes().vec()};
    const auto found = tensors.find(parameter.name);
    if (found == tensors.end()) {
      report.missing(parameter.name, Part::UNet);
      continue;
    }
    used.insert(found->first);
    if (const auto tensor = parameter_of(rule, found->second, report)) {
      *parameter.tensor = tensor->to(wanted).contiguous();
    }
  }
  for (const auto& [left, tensor] : tensors) {
    if (!used.contains(left)) report.unexpected(left);
  }
  report.throw_if_any(name, "");
  return network;
}

}  // namespace easel
