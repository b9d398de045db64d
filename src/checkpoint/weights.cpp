#include "easel/checkpoint/weights.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <mutex>
#include <span>
#include <utility>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <easel/base/error.h>

#include "key_rules.h"
#include "weight_report.h"

namespace easel {
namespace {

struct PartInfo {
  std::string_view native, compvis, name;
};

const PartInfo& info(Part part) {
  static constexpr std::array<PartInfo, 3> kParts{{
      {"unet.", "model.diffusion_model.", "UNet"},
      {"vae.", "first_stage_model.", "autoencoder"},
      {"text_encoder.", "cond_stage_model.transformer.", "text encoder"},
  }};
  return kParts[static_cast<size_t>(part)];
}

std::vector<int64_t> without_trailing_ones(at::IntArrayRef shape) {
  std::vector<int64_t> kept = shape.vec();
  while (kept.size() > 2 && kept.back() == 1) kept.pop_back();
  return kept;
}

// Third `part` of a fused qkv [3 D, ...], CompVis's order for this many heads.
Tensor take_part(const Tensor& fused, int part, int64_t heads) {
  const int64_t width = fused.size(0) / 3;
  std::vector<int64_t> split = {heads, 3, width / heads};
  std::vector<int64_t> whole = {width};
  for (int64_t d = 1; d < fused.dim(); ++d) {
    split.push_back(fused.size(d));
    whole.push_back(fused.size(d));
  }
  return heads == 1 ? fused.narrow(0, part * width, width)
                    : fused.reshape(split).select(1, part).reshape(whole);
}

Tensor join_parts(const std::array<Tensor, 3>& parts, int64_t heads) {
  std::vector<Tensor> split;
  for (const Tensor& part : parts) {
    std::vector<int64_t> shape = part.sizes().vec();
    shape[0] /= heads;
    shape.insert(shape.begin(), heads);
    split.push_back(part.reshape(shape));
  }
  std::vector<int64_t> whole = parts[0].sizes().vec();
  whole[0] *= 3;
  return at::stack(split, 1).reshape(whole);
}

Tensor to_foreign_shape(const Tensor& native, Reshape reshape) {
  switch (reshape) {
    case Reshape::None:
      return native;
    case Reshape::LinearToConv2d:
      return native.unsqueeze(-1).unsqueeze(-1);
    case Reshape::LinearToConv1d:
      return native.unsqueeze(-1);
  }
  return native;
}

}  // namespace

std::optional<Tensor> parameter_of(const KeyRule& rule, const Tensor& tensor,
                                   WeightReport& report) {
  if (!tensor.is_floating_point()) {
    report.wrong_type(rule.foreign, tensor.scalar_type());
    return std::nullopt;
  }
  std::vector<int64_t> expected = rule.shape;
  if (rule.part >= 0) expected[0] *= 3;
  if (tensor.sizes() == at::IntArrayRef(rule.shape) && rule.part < 0) return tensor;
  // A 1 x 1 convolution and a linear layer are the same numbers, and files have either.
  if (without_trailing_ones(tensor.sizes()) != without_trailing_ones(expected)) {
    report.misshapen(
        rule.foreign, tensor.sizes(),
        to_foreign_shape(at::empty(expected, at::device(at::kMeta)), rule.reshape).sizes());
    return std::nullopt;
  }
  const Tensor whole = tensor.reshape(expected);
  return rule.part < 0 ? whole : take_part(whole, rule.part, rule.heads);
}

namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kOldVaeAttention{{
    {".query.", ".to_q."},
    {".key.", ".to_k."},
    {".value.", ".to_v."},
    {".proj_attn.", ".to_out.0."},
}};

std::string canonical_name(const std::string& name, WeightLayout layout) {
  const std::string prefix =
      std::string(layout == WeightLayout::CompVis ? compvis_prefix(Part::TextEncoder)
                                                  : native_prefix(Part::TextEncoder));
  for (const std::string_view child : {"embeddings.", "encoder.", "final_layer_norm."}) {
    if (name.starts_with(prefix + std::string(child))) {
      return prefix + "text_model." + name.substr(prefix.size());
    }
  }
  if (layout == WeightLayout::Diffusers && name.starts_with(native_prefix(Part::Autoencoder)) &&
      name.find(".attentions.") != std::string::npos) {
    for (const auto& [old_name, today] : kOldVaeAttention) {
      const size_t at = name.find(old_name);
      if (at == std::string::npos) continue;
      return std::string(name).replace(at, old_name.size(), today);
    }
  }
  return name;
}

}  // namespace

std::string_view layout_name(WeightLayout layout) {
  return layout == WeightLayout::CompVis ? "compvis" : "diffusers";
}

WeightLayout layout_from_name(std::string_view name) {
  if (name == "compvis") return WeightLayout::CompVis;
  if (name == "diffusers") return WeightLayout::Diffusers;
  constexpr std::array<std::string_view, 2> known{"compvis", "diffusers"};
  fail_usage("{}", unknown_name("layout", name, known));
}

std::string_view native_prefix(Part part) { return info(part).native; }
std::string_view compvis_prefix(Part part) { return info(part).compvis; }
std::string_view part_name(Part part) { return info(part).name; }

std::optional<Part> part_of(std::string_view name, WeightLayout layout) {
  const bool compvis = layout == WeightLayout::CompVis;
  for (const Part part : kAllParts) {
    if (name.starts_with(compvis ? compvis_prefix(part) : native_prefix(part))) return part;
  }
  if (compvis && name.starts_with(kOpenClipPrefix)) return Part::TextEncoder;
  return std::nullopt;
}

void canonicalize(Tensors& tensors, WeightLayout layout) {
  std::vector<std::pair<std::string, std::string>> renames;
  for (const auto& [name, tensor] : tensors) {
    std::string canonical = canonical_name(name, layout);
    if (canonical != name) renames.emplace_back(name, std::move(canonical));
  }
  for (auto& [from, to] : renames) {
    auto node = tensors.extract(from);
    node.key() = std::move(to);
    tensors.insert(std::move(node));  // a tensor that has the name already stays
  }
}

void take_ema(Tensors& tensors, const std::string& name) {
  const std::string prefix(compvis_prefix(Part::UNet));
  const bool any = std::any_of(tensors.begin(), tensors.end(), [](const auto& entry) {
    return entry.first.starts_with("model_ema.diffusion_model");
  });
  if (!any) {
    fail("{} holds no averaged weights (model_ema.*); leave the request for EMA weights out", name);
  }
  WeightReport report;
  for (auto& [key, tensor] : tensors) {
    if (!key.starts_with(prefix)) continue;
    // CompVis's LitEma keeps the parameter model.X as model_ema.X, the dots in X taken out.
    std::string flat = key.substr(std::string_view("model.").size());
    std::erase(flat, '.');
    const auto ema = tensors.find("model_ema." + flat);
    if (ema == tensors.end()) {
      report.missing("model_ema." + flat, Part::UNet);
    } else {
      tensor = ema->second;
    }
  }
  report.throw_if_any(name, "");
}

Tensors to_native(const ModelConfig& config, const std::vector<WeightSource>& sources,
                  const Log& log) {
  Tensors native;
  WeightReport report;
  std::string names;
  for (const WeightSource& source : sources) {
    names += (names.empty() ? "" : " and ") + source.name;
    std::set<std::string_view> used;
    for (const Part part : source.parts) {
      for (const KeyRule& rule : key_rules(config, source.layout, part)) {
        const auto found = source.tensors.find(rule.foreign);
        report.expect(part);
        if (found == source.tensors.end()) {
          report.missing(rule.foreign, part);
          continue;
        }
        used.insert(found->first);
        if (auto tensor = parameter_of(rule, found->second, report)) {
          native.emplace(rule.native, *std::move(tensor));
        }
      }
    }
    // The layer that "penultimate" leaves out.
    const std::string unused_layer = fmt::format("{}transformer.resblocks.{}.", kOpenClipPrefix,
                                                 config.text_encoder.num_hidden_layers);
    for (const auto& [name, tensor] : source.tensors) {
      if (config.open_clip && name.starts_with(unused_layer)) continue;
      if (!used.contains(name)) report.leftover(name, source);
    }
  }
  report.throw_if_any(names, describe_mismatch(config, sources));
  report.mention_foreign(names, log);
  return native;
}

Tensors from_native(const ModelConfig& config, const Tensors& native, WeightLayout layout,
                    Part part) {
  Tensors foreign;
  std::map<std::string, std::array<Tensor, 3>> fused;
  for (const KeyRule& rule : key_rules(config, layout, part)) {
    const Tensor& tensor = native.at(rule.native);
    if (rule.part < 0) {
      foreign.emplace(rule.foreign, to_foreign_shape(tensor, rule.reshape));
      continue;
    }
    auto& parts = fused[rule.foreign];
    parts[static_cast<size_t>(rule.part)] = tensor;
    if (parts[0].defined() && parts[1].defined() && parts[2].defined()) {
      foreign.emplace(rule.foreign, to_foreign_shape(join_parts(parts, rule.heads), rule.reshape));
    }
  }
  return foreign;
}

Tensors from_native(const ModelConfig& config, const Tensors& native, WeightLayout layout) {
  Tensors foreign;
  for (const Part part : kAllParts) foreign.merge(from_native(config, native, layout, part));
  return foreign;
}

}  // namespace easel
