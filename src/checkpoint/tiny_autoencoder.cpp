#include "easel/checkpoint/tiny_autoencoder.h"

#include <charconv>

#include <ATen/ATen.h>
#include <fmt/ranges.h>

#include <easel/base/error.h>
#include <easel/nn/module.h>

namespace easel {
namespace {

constexpr size_t kMaxNames = 5;

// The author's names, "3.conv.0.weight", as diffusers has them. The decoder's count starts with its
// clamp, which has no weights and is no layer there.
Tensors with_diffusers_names(Tensors tensors) {
  if (!tensors.contains("3.conv.4.weight")) return tensors;
  const bool encoder = tensors.contains("0.weight");
  Tensors renamed;
  for (auto& [name, tensor] : tensors) {
    size_t index = 0;
    const auto end = std::from_chars(name.data(), name.data() + name.size(), index).ptr;
    const std::string rest(end, name.data() + name.size());
    renamed.emplace(fmt::format("{}.layers.{}{}", encoder ? "encoder" : "decoder",
                                encoder || index == 0 ? index : index - 1, rest),
                    std::move(tensor));
  }
  return renamed;
}

}  // namespace

TinyAutoencoder load_tiny_autoencoder(Tensors tensors, int64_t latent_channels,
                                      const at::TensorOptions& wanted, const std::string& name) {
  tensors = with_diffusers_names(std::move(tensors));
  TinyAutoencoder loaded;
  const auto channels = [&](const char* first) -> std::optional<TinyAutoencoderConfig> {
    const auto found = tensors.find(first);
    if (found == tensors.end() || found->second.dim() != 4) return std::nullopt;
    return TinyAutoencoderConfig{.channels = found->second.size(0),
                                 .latent_channels = latent_channels};
  };
  if (const auto config = channels("encoder.layers.0.weight")) loaded.encoder.emplace(*config);
  if (const auto config = channels("decoder.layers.0.weight")) loaded.decoder.emplace(*config);
  std::vector<std::string> wrong;
  size_t used = 0;
  for (const auto& parameter : nn::named_parameters(loaded)) {
    const auto found = tensors.find(parameter.name);
    if (found == tensors.end()) {
      wrong.push_back(parameter.name + " is missing");
      continue;
    }
    ++used;
    if (found->second.sizes() != parameter.tensor->sizes() || !found->second.is_floating_point()) {
      wrong.push_back(fmt::format("{} is {} instead of {}", parameter.name,
                                  shape_text(found->second.sizes()),
                                  shape_text(parameter.tensor->sizes())));
      continue;
    }
    *parameter.tensor = found->second.to(wanted).contiguous();
  }
  if (used < tensors.size() && wrong.empty()) {
    wrong.push_back(fmt::format("{} tensors are unexpected", tensors.size() - used));
  }
  if (!wrong.empty()) {
    const size_t count = wrong.size();
    if (count > kMaxNames) wrong.resize(kMaxNames);
    fail("{}: it is no TAESD for latents of {} channels: {}{}", name, latent_channels,
         fmt::join(wrong, ", "),
         count > kMaxNames ? fmt::format(" and {} more", count - kMaxNames) : "");
  }
  return loaded;
}

}  // namespace easel
