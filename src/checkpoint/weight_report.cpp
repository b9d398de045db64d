#include "weight_report.h"

#include <algorithm>
#include <array>

#include <fmt/ranges.h>

#include <easel/base/error.h>

namespace easel {
namespace {

constexpr size_t kMaxNames = 10;

// What CompVis's, Lightning's and transformers' classes keep beside the weights.
constexpr std::array<std::string_view, 16> kHarmless{"betas",
                                                     "alphas_cumprod",
                                                     "alphas_cumprod_prev",
                                                     "sqrt_alphas_cumprod",
                                                     "sqrt_one_minus_alphas_cumprod",
                                                     "log_one_minus_alphas_cumprod",
                                                     "sqrt_recip_alphas_cumprod",
                                                     "sqrt_recipm1_alphas_cumprod",
                                                     "posterior_variance",
                                                     "posterior_log_variance_clipped",
                                                     "posterior_mean_coef1",
                                                     "posterior_mean_coef2",
                                                     "lvlb_weights",
                                                     "logvar",
                                                     "scale_factor",
                                                     "cond_ids"};
constexpr std::array<std::string_view, 11> kHarmlessPrefixes{"model_ema.",
                                                             "loss.",
                                                             "first_stage_model.loss.",
                                                             "first_stage_model.model_ema.",
                                                             "safety_checker.",
                                                             "depth_model.",
                                                             "low_scale_model.",
                                                             "optimizer_states.",
                                                             "optimizer.",
                                                             "lr_schedulers.",
                                                             "callbacks."};
// Of the text encoder, behind its prefix: buffers, and the parts of CLIP that are not used.
constexpr std::array<std::string_view, 8> kHarmlessOfClip{"text_model.embeddings.position_ids",
                                                          "embeddings.position_ids",
                                                          "logit_scale",
                                                          "text_projection",
                                                          "visual_projection.",
                                                          "vision_model.",
                                                          "attn_mask",
                                                          "visual."};

bool is_harmless(const std::string& name, WeightLayout layout) {
  const auto starts = [](std::string_view text) {
    return [text](std::string_view prefix) { return text.starts_with(prefix); };
  };
  if (std::find(kHarmless.begin(), kHarmless.end(), name) != kHarmless.end()) return true;
  if (std::any_of(kHarmlessPrefixes.begin(), kHarmlessPrefixes.end(), starts(name))) return true;
  std::string_view clip = layout == WeightLayout::CompVis ? compvis_prefix(Part::TextEncoder)
                                                          : native_prefix(Part::TextEncoder);
  if (name.starts_with(kOpenClipPrefix)) clip = kOpenClipPrefix;
  return name.starts_with(clip) && std::any_of(kHarmlessOfClip.begin(), kHarmlessOfClip.end(),
                                               starts(std::string_view(name).substr(clip.size())));
}

// "3 tensors are missing: a, b, c"; at most kMaxNames of them by name.
std::string listed(const std::vector<std::string>& names, std::string_view one,
                   std::string_view many) {
  std::string text = fmt::format("{} {}: ", names.size(), names.size() == 1 ? one : many);
  for (size_t i = 0; i < std::min(names.size(), kMaxNames); ++i) {
    text += (i == 0 ? "" : ", ") + printable(names[i], 200);
  }
  if (names.size() > kMaxNames) text += fmt::format(" and {} more", names.size() - kMaxNames);
  return text;
}

}  // namespace

void WeightReport::misshapen(const std::string& name, at::IntArrayRef got,
                             at::IntArrayRef expected) {
  misshapen_.push_back(
      fmt::format("{} {} instead of {}", name, shape_text(got), shape_text(expected)));
}

void WeightReport::wrong_type(const std::string& name, at::ScalarType got) {
  wrong_type_.push_back(fmt::format("{} {}", name, dtype_name(got)));
}

void WeightReport::leftover(const std::string& name, const WeightSource& source) {
  if (is_harmless(name, source.layout)) return;
  if (const auto part = part_of(name, source.layout)) {
    if (source.parts.contains(*part)) unexpected_.push_back(name);
    return;
  }
  ++foreign_[name.substr(0, name.find('.'))];
}

void WeightReport::throw_if_any(const std::string& file, const std::string& hint) const {
  std::vector<std::string> sentences;
  std::vector<std::string> missing;
  for (const auto& [part, names] : missing_) {
    const auto expected = expected_.find(part);
    if (expected != expected_.end() && static_cast<size_t>(expected->second) == names.size()) {
      sentences.push_back(fmt::format("the whole {} is missing ({} tensors, {} ...)",
                                      part_name(part), names.size(), names.front()));
    } else {
      missing.insert(missing.end(), names.begin(), names.end());
    }
  }
  if (!missing.empty()) {
    sentences.push_back(listed(missing, "tensor is missing", "tensors are missing"));
  }
  if (!misshapen_.empty()) {
    sentences.push_back(
        listed(misshapen_, "tensor has another shape", "tensors have another shape"));
  }
  if (!wrong_type_.empty()) {
    sentences.push_back(listed(wrong_type_, "tensor holds no floating-point numbers",
                               "tensors hold no floating-point numbers"));
  }
  if (!unexpected_.empty()) {
    sentences.push_back(listed(unexpected_, "tensor is unexpected", "tensors are unexpected"));
  }
  if (sentences.empty()) return;
  fail("{}: the weights do not fit the model's config: {}{}{}", file, fmt::join(sentences, "; "),
       hint.empty() ? "" : ". ", hint);
}

void WeightReport::mention_foreign(const std::string& file, const Log& log) const {
  if (foreign_.empty()) return;
  std::string groups;
  size_t shown = 0;
  for (const auto& [group, count] : foreign_) {
    if (shown++ == kMaxNames) {
      groups += fmt::format(" and {} more groups", foreign_.size() - kMaxNames);
      break;
    }
    groups += fmt::format("{}{}.* ({})", groups.empty() ? "" : ", ", printable(group), count);
  }
  say(log, LogLevel::Warning,
      fmt::format("{}: tensors without a use here are left aside: {}", file, groups));
}

}  // namespace easel
