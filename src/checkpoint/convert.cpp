#include "easel/checkpoint/convert.h"

#include <algorithm>

#include <ATen/ATen.h>

#include <easel/base/error.h>
#include <easel/checkpoint/model_files.h>
#include <easel/checkpoint/stable_diffusion.h>
#include <easel/io/file.h>

#include "write_model.h"

namespace easel {
namespace {

namespace fs = std::filesystem;

// Weights, of any model; the schedules and counters beside them keep their type.
bool is_weight(const std::string& name, const FileInfo& info) {
  if (name.starts_with("model_ema.")) {
    return name != "model_ema.decay" && name != "model_ema.num_updates";
  }
  if (!info.layout || info.kind != ModelKind::StableDiffusion) return true;
  return part_of(name, *info.layout).has_value();
}

void cast(Tensors& tensors, const FileInfo& info, const ConvertOptions& options,
          const std::string& name) {
  if (!options.dtype) return;
  Tensors weights;
  for (const auto& [key, tensor] : tensors) {
    if (tensor.is_floating_point() && is_weight(key, info)) weights.emplace(key, tensor);
  }
  check_finite(weights, name, options.dtype);
  for (const auto& [key, tensor] : weights) tensors[key] = tensor.to(*options.dtype);
}

// Keeps every tensor under its name.
void convert_same_layout(const fs::path& in, const fs::path& out, ModelFiles files,
                         const FileInfo& info, const ConvertOptions& options) {
  if (options.use_ema) {
    take_ema(files.tensors, in.string());
    std::erase_if(files.tensors,
                  [](const auto& entry) { return entry.first.starts_with("model_ema."); });
  }
  cast(files.tensors, info, options, in.string());
  if (fs::exists(yaml_beside(in)) && yaml_beside(in) != yaml_beside(out)) {
    refuse_existing(yaml_beside(out), options);
    write_tokenizer(out, tokenizer_named_in(yaml_beside(in)), options);
    write_text(yaml_beside(out), read_text_file(yaml_beside(in), 1 << 20), options.if_exists);
  }
  write_weights(out, info.layout.value_or(WeightLayout::Diffusers), files.tensors,
                options.if_exists);
}

}  // namespace

void convert(const fs::path& in, const fs::path& out, const ConvertOptions& options) {
  const Container container = container_of(out);
  if (fs::exists(out) && fs::equivalent(in, out)) {
    fail_usage("{}: input and output are the same", out.string());
  }
  refuse_existing(out, options);
  if (container == Container::Folder && options.layout == WeightLayout::CompVis) {
    fail_usage(
        "{}: a folder has the diffusers layout; give a .safetensors or .ckpt file for the "
        "CompVis layout",
        out.string());
  }
  if (!fs::exists(in)) fail("{}: no such file or folder", in.string());
  if (!fs::is_directory(in) && container != Container::Folder) {
    ModelFiles files = read_model_files(in);
    const FileInfo info = identify(files.tensors);
    if (!options.layout || options.layout == info.layout) {
      convert_same_layout(in, out, std::move(files), info, options);
      return;
    }
  }
  WeightLayout layout = WeightLayout::CompVis;
  if (container == Container::Folder) layout = WeightLayout::Diffusers;
  if (options.layout) layout = *options.layout;
  const LoadOptions load = load_options(options);
  ModelConfig config = find_model_config(in, load);
  Tensors native = load_native(in, config, load);
  for (auto& [name, tensor] : native) {
    if (options.dtype) tensor = tensor.to(*options.dtype);
  }
  write_model(in, out, std::move(config), native, layout, options);
}

VerifyResult verify(const fs::path& path, const ConvertOptions& options) {
  const ModelFiles files = read_model_files(path);
  VerifyResult result;
  for (const auto& [name, tensor] : files.tensors) {
    ++result.num_tensors;
    result.num_parameters += tensor.numel();
  }
  check_finite(files.tensors, path.string(), options.dtype);
  if (identify(files.tensors).kind != ModelKind::StableDiffusion) return result;
  const LoadOptions load = load_options(options);
  load_native(path, find_model_config(path, load), load);
  result.fits_config = true;
  return result;
}

}  // namespace easel
