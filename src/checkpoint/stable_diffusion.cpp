#include "easel/checkpoint/stable_diffusion.h"

#include <ATen/ATen.h>

#include <easel/base/error.h>
#include <easel/checkpoint/model_files.h>
#include <easel/checkpoint/tiny_autoencoder.h>
#include <easel/checkpoint/weights.h>
#include <easel/nn/module.h>

#include "model_family.h"
#include "tokenizer_folder.h"
#include "vae_file.h"

namespace easel {
namespace {

namespace fs = std::filesystem;

// The config that goes with a model, by LoadOptions::config's rules; empty: the default one.
fs::path find_own_config(const fs::path& model, const LoadOptions& options) {
  if (!options.config.empty()) return options.config;
  if (fs::is_directory(model)) return model;
  const fs::path beside = fs::path(model).replace_extension(".yaml");
  if (fs::exists(beside)) return beside;
  if (options.default_config.empty()) {
    fail_usage("{}: there is no {} that says what the model is made of; give one with --config",
               model.string(), beside.filename().string());
  }
  return {};
}

// The config of a file that brings none, by what the file holds.
ModelConfig read_default_config(const fs::path& model, const LoadOptions& options) {
  const auto family = identify_family(read_model_files(model));
  if (!family) return read_model_config(options.default_config);
  const fs::path named = options.default_config.parent_path() / family->config;
  const bool usual = family->config == "v1-inference.yaml";
  if (!usual && !fs::exists(named)) {
    fail_usage("{} is {}, and there is no {}; give its config with --config", model.string(),
               family->what, named.string());
  }
  ModelConfig config = read_model_config(usual ? options.default_config : named);
  if (family->parameterization) config.parameterization = *family->parameterization;
  config.schedule.zero_terminal_snr |= family->zero_terminal_snr;
  config.unet.time_cond_proj_dim = family->time_cond_proj_dim;
  say(options.log, usual ? LogLevel::Debug : LogLevel::Info,
      fmt::format("{} is taken for {}", model.filename().string(), family->what));
  return config;
}

// Binds the module's parameters to the loaded tensors: views where type and device are the wanted,
// or where nothing is wanted.
template <class Module>
void bind(Module& module, Part part, Tensors& native,
          const std::optional<at::TensorOptions>& wanted) {
  for (const auto& parameter : nn::named_parameters(module)) {
    auto node = native.extract(std::string(native_prefix(part)) + parameter.name);
    const Tensor& stored = node.mapped();
    *parameter.tensor = (wanted ? stored.to(*wanted) : stored).contiguous();
  }
}

Tokenizer checked(Tokenizer tokenizer, const ClipTextConfig& text_encoder, const fs::path& name) {
  if (tokenizer.vocabulary_size() > text_encoder.vocab_size) {
    fail("{}: the tokenizer has {} tokens, but the text encoder only {}", name.string(),
         tokenizer.vocabulary_size(), text_encoder.vocab_size);
  }
  return tokenizer;
}

Tokenizer tokenizer_of(const fs::path& model, const ModelConfig& config,
                       const LoadOptions& options) {
  const fs::path folder = model / "tokenizer";
  if (config.tokenizer.empty() && fs::is_directory(folder)) {
    return checked(Tokenizer::from_folder(folder), config.text_encoder, model);
  }
  if (config.tokenizer.empty() && options.vocabulary.empty()) {
    fail_usage("{} brings no tokenizer; CLIP's vocabulary (bpe_simple_vocab_16e6.txt.gz) is needed",
               model.string());
  }
  return load_tokenizer(config_folder(model, options), config, options.vocabulary);
}

std::string model_name(const fs::path& model) {
  const fs::path path = model.has_filename() ? model : model.parent_path();
  return path.filename().string();
}

}  // namespace

fs::path config_folder(const fs::path& model, const LoadOptions& options) {
  const fs::path config = find_own_config(model, options);
  if (config.empty()) return options.default_config.parent_path();
  return fs::is_directory(config) ? config : config.parent_path();
}

ModelConfig find_model_config(const fs::path& model, const LoadOptions& options) {
  const fs::path config = find_own_config(model, options);
  ModelConfig read = config.empty()             ? read_default_config(model, options)
                     : fs::is_directory(config) ? read_diffusers_config(config)
                                                : read_model_config(config);
  if (options.parameterization) read.parameterization = *options.parameterization;
  if (read.scale_by_std) {
    fail_usage(
        "{}: scale_by_std leaves the scale of the latents to training; give the number that was "
        "found as scale_factor, with scale_by_std: false",
        config.empty() ? model.string() : config.string());
  }
  return read;
}

Tokenizer load_tokenizer(const fs::path& folder, const std::string& tokenizer,
                         const ClipTextConfig& text_encoder, const fs::path& vocabulary) {
  if (tokenizer.empty()) {
    return checked(ClipTokenizer::from_bpe_file(vocabulary), text_encoder, vocabulary);
  }
  const fs::path path = folder / tokenizer;
  return checked(read_sentencepiece(path), text_encoder, path);
}

Tokenizer load_tokenizer(const fs::path& folder, const ModelConfig& config,
                         const fs::path& vocabulary) {
  if (config.tokenizer.empty() && config.open_clip) {
    return checked(ClipTokenizer::from_bpe_file(vocabulary).with_pad(0), config.text_encoder,
                   vocabulary);
  }
  return load_tokenizer(folder, config.tokenizer, config.text_encoder, vocabulary);
}

Tensors load_native(const fs::path& model, const ModelConfig& config, const LoadOptions& options) {
  ModelFiles files = read_model_files(model);
  const FileInfo info = identify(files.tensors);
  if (!info.layout || info.kind == ModelKind::Autoencoder || info.kind == ModelKind::TextEncoder ||
      info.kind == ModelKind::UNet) {
    fail("{} is {}; expected a whole Stable Diffusion model (text encoder, UNet and autoencoder){}",
         model.string(), kind_text(info.kind),
         info.kind == ModelKind::Autoencoder ? "; give an autoencoder with --vae, beside a model"
         : info.kind == ModelKind::Lora      ? "; give a LoRA with --lora, beside a model"
                                             : "");
  }
  if (!files.unknown_globals.empty()) {
    say(options.log, LogLevel::Debug,
        fmt::format("{}: {} classes named by the pickle stayed unopened", model.string(),
                    files.unknown_globals.size()));
  }
  canonicalize(files.tensors, *info.layout);
  if (options.use_ema) {
    if (*info.layout != WeightLayout::CompVis) {
      fail("{}: the diffusers layout holds no EMA weights beside the others", model.string());
    }
    take_ema(files.tensors, model.string());
  }
  std::vector<WeightSource> sources(1);
  sources[0].tensors = std::move(files.tensors);
  sources[0].layout = *info.layout;
  sources[0].name = model.string();
  if (!options.vae.empty()) {
    auto vae = read_vae_file(options.vae);
    // TAESD stands beside the model's own, which does what a half of it cannot.
    if (auto* source = std::get_if<WeightSource>(&vae)) {
      sources[0].parts.erase(Part::Autoencoder);
      sources.push_back(std::move(*source));
    }
  }
  // Not checked for NaN here: that reads all of the file, where loading only maps it. `verify` does
  // it.
  return to_native(config, sources, options.log);
}

std::optional<nn::WeightPlace> StableDiffusion::weight_place() const {
  if (!low_memory) return std::nullopt;
  return nn::WeightPlace{.device = device, .dtype = dtype};
}

StableDiffusion load(const fs::path& model, const LoadOptions& given) {
  if (!fs::exists(model)) fail("{}: no such file or folder", model.string());
  LoadOptions options = given;
  if (!options.dtype) options.dtype = options.device.is_cpu() ? at::kFloat : at::kHalf;
  const ModelConfig config = find_model_config(model, options);
  StableDiffusion loaded{
      .config = config,
      .tokenizer = tokenizer_of(model, config, options),
      .text_encoder = ClipText(config.text_encoder),
      .unet = UNet(config.unet),
      .autoencoder = Autoencoder(config.autoencoder),
      .schedule = make_noise_schedule(config.schedule),
      .device = options.device,
      .dtype = *options.dtype,
      .name = model_name(model),
      .low_memory = options.low_memory,
  };
  Tensors native = load_native(model, config, options);
  const auto wanted = at::TensorOptions().dtype(loaded.dtype).device(loaded.device);
  const auto bound = loaded.low_memory ? std::nullopt : std::optional(wanted);
  bind(loaded.text_encoder, Part::TextEncoder, native, bound);
  bind(loaded.unet, Part::UNet, native, bound);
  bind(loaded.autoencoder, Part::Autoencoder, native, bound);
  if (!options.vae.empty()) {
    auto vae = read_vae_file(options.vae);
    if (auto* tiny = std::get_if<TinyVaeFile>(&vae)) {
      loaded.tiny_autoencoder = load_tiny_autoencoder(
          std::move(tiny->tensors), config.autoencoder.embed_dim, wanted, options.vae.string());
    }
  }
  return loaded;
}

}  // namespace easel
