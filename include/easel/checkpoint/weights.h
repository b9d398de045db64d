// Weight layouts: how a model's parameters are called in the files of CompVis and of diffusers, and
// the way between a file's tensors and the model's.
//
// The native names are diffusers' with the part in front: "unet.", "vae.", "text_encoder.".
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <easel/base/progress.h>
#include <easel/base/tensor.h>
#include <easel/checkpoint/model_config.h>

namespace easel {

using Tensors = std::map<std::string, Tensor>;

enum class WeightLayout { CompVis, Diffusers };
enum class Part { UNet, Autoencoder, TextEncoder };
inline constexpr std::array<Part, 3> kAllParts{Part::UNet, Part::Autoencoder, Part::TextEncoder};

std::string_view layout_name(WeightLayout layout);     // "compvis", "diffusers"
WeightLayout layout_from_name(std::string_view name);  // throws Error (Usage)
std::string_view native_prefix(Part part);             // "unet.", "vae.", "text_encoder."
std::string_view compvis_prefix(Part part);            // "model.diffusion_model." ...
std::string_view part_name(Part part);                 // "UNet", "autoencoder", "text encoder"
// In CompVis's layout OpenCLIP's text encoder has a prefix of its own.
inline constexpr std::string_view kOpenClipPrefix = "cond_stage_model.model.";
// The part that a tensor of a whole model's file belongs to by its name's prefix, if to any.
std::optional<Part> part_of(std::string_view name, WeightLayout layout);

// How a parameter's shape differs in a file; every one can be undone.
enum class Reshape {
  None,
  LinearToConv2d,  // native [O, I], foreign [O, I, 1, 1]
  LinearToConv1d,  // native [O, I], foreign [O, I, 1]
};

// One parameter. Plain attention's fused qkv is one foreign tensor of three rules, `part` 0 to 2.
struct KeyRule {
  std::string native;
  std::string foreign;
  std::vector<int64_t> shape;  // native
  Reshape reshape = Reshape::None;
  int part = -1;      // 0, 1, 2: q, k, v of the foreign tensor; -1: the whole
  int64_t heads = 1;  // with `part`: q, k and v follow each other head by head, for this
                      // many heads (1: thirds)
};

// Every parameter of a model of this config. The native side is nn::named_parameters() of the three
// networks; the foreign names are unique but for the parts of a qkv.
std::vector<KeyRule> key_rules(const ModelConfig& config, WeightLayout layout);
// Those of one network alone; the rest of the config is not looked at.
std::vector<KeyRule> key_rules(const ModelConfig& config, WeightLayout layout, Part part);

// The tensors of one file (or folder), and which parts of the model are to be taken from it.
struct WeightSource {
  Tensors tensors;  // full names of the layout: "first_stage_model.decoder..." or "vae.decoder..."
  WeightLayout layout = WeightLayout::CompVis;
  std::set<Part> parts = {kAllParts.begin(), kAllParts.end()};
  std::string name;  // for messages
};

// Brings spellings in use into the layout's own: text encoders without "text_model.", the names
// that the attention of diffusers' autoencoders had before version 0.17.
void canonicalize(Tensors& tensors, WeightLayout layout);

// Puts CompVis's averaged weights (model_ema.*) in the place of the UNet's. Throws Error where the
// tensors hold none or lack some.
void take_ema(Tensors& tensors, const std::string& name);

// The model's parameters under native names and shapes; views where nothing has to be rearranged.
// One Error lists every tensor that is missing, misshapen, no floating-point one or, within the
// model's own prefixes, unexpected. What else a file holds is ignored where it is known to be
// harmless (schedules, EMA, losses ...) and mentioned through `log` where not.
Tensors to_native(const ModelConfig& config, const std::vector<WeightSource>& sources,
                  const Log& log = {});

// The inverse, from native names and shapes. Shares memory where it can.
Tensors from_native(const ModelConfig& config, const Tensors& native, WeightLayout layout);
Tensors from_native(const ModelConfig& config, const Tensors& native, WeightLayout layout,
                    Part part);

// Throws Error naming the tensors that hold NaN or infinity, or numbers that become infinite in the
// type `target`. Reads everything once, on all threads.
void check_finite(const Tensors& tensors, const std::string& name,
                  std::optional<at::ScalarType> target = std::nullopt);

}  // namespace easel
