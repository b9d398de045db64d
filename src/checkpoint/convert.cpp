#include "easel/checkpoint/convert.h"

#include <algorithm>
#include <array>
#include <system_error>

#include <ATen/ATen.h>
#include <unistd.h>

#include <easel/base/error.h>
#include <easel/checkpoint/model_files.h>
#include <easel/checkpoint/stable_diffusion.h>
#include <easel/io/file.h>
#include <easel/io/tensor_file.h>

#include "tokenizer_folder.h"

namespace easel {
namespace {

namespace fs = std::filesystem;

enum class Container { Safetensors, Torch, Folder };

Container container_of(const fs::path& out) {
  const std::string extension = out.extension().string();
  if (extension == ".safetensors") return Container::Safetensors;
  if (extension == ".ckpt" || extension == ".pt" || extension == ".pth") return Container::Torch;
  if (extension.empty() || fs::is_directory(out)) return Container::Folder;
  fail_usage(
      "{}: got the extension '{}', expected .safetensors or .ckpt, or none for a diffusers "
      "folder",
      out.string(), printable(extension, 40));
}

// Weights, of any model; the schedules and counters beside them keep their type.
bool is_weight(const std::string& name, const FileInfo& info) {
  if (name.starts_with("model_ema.")) {
    return name != "model_ema.decay" && name != "model_ema.num_updates";
  }
  if (!info.layout || info.kind != ModelKind::StableDiffusion) return true;
  constexpr std::array<Part, 3> kParts{Part::UNet, Part::Autoencoder, Part::TextEncoder};
  return std::any_of(kParts.begin(), kParts.end(), [&](Part part) {
    return name.starts_with(compvis_prefix(part)) || name.starts_with(native_prefix(part));
  });
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

LoadOptions load_options(const ConvertOptions& options) {
  return {.config = options.config,
          .default_config = options.default_config,
          .vocabulary = options.vocabulary,
          .vae = {},
          .use_ema = options.use_ema,
          .dtype = options.dtype,
          .log = options.log};
}

void write_file(const fs::path& out, Container container, WeightLayout layout,
                const Tensors& tensors, IfExists if_exists) {
  if (container == Container::Safetensors) {
    write_safetensors(out, tensors, {{"format", "pt"}}, if_exists);
  } else {
    write_torch_file(out, tensors, /*wrap_state_dict=*/layout == WeightLayout::CompVis, if_exists);
  }
}

void write_text(const fs::path& path, const std::string& text, IfExists if_exists) {
  write_atomically(path, if_exists, [&](FileWriter& writer) { writer.write(text); });
}

// A folder that appears whole: written beside `out` under another name, then renamed.
class NewFolder {
 public:
  explicit NewFolder(const fs::path& out)
      : out_(out.has_filename() ? out : out.parent_path()),
        temporary_(out_.parent_path() /
                   fmt::format(".{}.{}.tmp", out_.filename().string(), ::getpid())) {
    fs::create_directories(temporary_);
  }
  ~NewFolder() {
    std::error_code ignored;
    if (!fs::exists(temporary_, ignored)) return;
    try {
      remove_folder(temporary_);
    } catch (const Error&) {
      // A destructor cannot report; what failed before it did.
    }
  }
  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;

  const fs::path& path() const { return temporary_; }

  // What was at the name before is gone only after the new folder has it.
  void finish() {
    const fs::path old = temporary_.string() + ".old";
    const bool replaces = fs::exists(out_);
    if (replaces) fs::rename(out_, old);
    std::error_code error;
    fs::rename(temporary_, out_, error);
    if (error && replaces) fs::rename(old, out_);
    if (error) fail("{}: cannot be written: {}", out_.string(), error.message());
    if (replaces) remove_folder(old);
  }

 private:
  fs::path out_, temporary_;
};

std::map<std::string, std::string> tokenizer_files(const fs::path& in, const ModelConfig& config,
                                                   const ConvertOptions& options) {
  const int64_t length = config.text_encoder.max_position_embeddings;
  if (!config.tokenizer.empty()) {
    const fs::path path = config_folder(in, load_options(options)) / config.tokenizer;
    const Tokenizer tokenizer = load_tokenizer({}, path.string(), config.text_encoder, {});
    if (fs::is_directory(path)) return read_tokenizer_folder_files(path);
    return tokenizer_folder_files(*tokenizer.sentencepiece(), length);
  }
  if (fs::is_directory(in / "tokenizer")) return read_tokenizer_folder_files(in / "tokenizer");
  if (options.vocabulary.empty()) {
    fail_usage("a diffusers folder needs a tokenizer; give CLIP's bpe_simple_vocab_16e6.txt.gz");
  }
  return tokenizer_folder_files(options.vocabulary, length);
}

void write_folder(const fs::path& in, const fs::path& out, const ModelConfig& config,
                  const Tensors& native, const ConvertOptions& options) {
  std::map<std::string, std::string> texts = diffusers_config_files(config);
  for (auto& [name, text] : tokenizer_files(in, config, options)) texts["tokenizer/" + name] = text;
  NewFolder folder(out);
  for (const auto& [name, text] : texts) {
    fs::create_directories((folder.path() / name).parent_path());
    write_text(folder.path() / name, text, IfExists::Refuse);
  }
  constexpr std::array<std::pair<Part, std::string_view>, 3> kFiles{{
      {Part::UNet, "unet/diffusion_pytorch_model.safetensors"},
      {Part::Autoencoder, "vae/diffusion_pytorch_model.safetensors"},
      {Part::TextEncoder, "text_encoder/model.safetensors"},
  }};
  for (const auto& [part, file] : kFiles) {
    const std::string_view prefix = native_prefix(part);
    Tensors tensors;
    for (const auto& [name, tensor] : native) {
      if (name.starts_with(prefix)) tensors.emplace(name.substr(prefix.size()), tensor);
    }
    write_safetensors(folder.path() / file, tensors, {{"format", "pt"}}, IfExists::Refuse);
  }
  folder.finish();
}

fs::path yaml_beside(const fs::path& file) { return fs::path(file).replace_extension(".yaml"); }

// The text of the config that belongs beside `out`; "" where the default is right without a file.
std::string config_beside(const ModelConfig& config, const ConvertOptions& options) {
  const std::string text = compvis_config_text(config);
  if (options.default_config.empty()) return text;
  return text == compvis_config_text(read_model_config(options.default_config)) ? "" : text;
}

void refuse_existing(const fs::path& path, const ConvertOptions& options) {
  if (options.if_exists == IfExists::Refuse && fs::exists(path)) {
    fail("{} exists already; choose another name or force its replacement", path.string());
  }
}

// Writes a SentencePiece tokenizer beside `out`. What is there already may stay if it is the same.
void write_tokenizer(const fs::path& out, const TokenizerBeside& tokenizer,
                     const ConvertOptions& options) {
  for (const auto& [name, text] : tokenizer.files) {
    const fs::path path = out.parent_path() / name;
    if (fs::exists(path) && read_text_file(path) == text) continue;
    refuse_existing(path, options);
    if (path.has_parent_path()) fs::create_directories(path.parent_path());
    write_text(path, text, options.if_exists);
  }
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
  write_file(out, container_of(out), info.layout.value_or(WeightLayout::Diffusers), files.tensors,
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
  if (container == Container::Folder) {
    write_folder(in, out, config, native, options);
    return;
  }
  TokenizerBeside tokenizer;
  if (!config.tokenizer.empty()) {
    tokenizer = tokenizer_beside(config_folder(in, load) / config.tokenizer, out);
    config.tokenizer = tokenizer.name;
  }
  const std::string yaml = config_beside(config, options);
  if (!yaml.empty()) refuse_existing(yaml_beside(out), options);
  write_tokenizer(out, tokenizer, options);
  write_file(out, container, layout, from_native(config, native, layout), options.if_exists);
  if (!yaml.empty()) write_text(yaml_beside(out), yaml, options.if_exists);
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
