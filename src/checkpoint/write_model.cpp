#include "write_model.h"

#include <array>
#include <system_error>

#include <unistd.h>

#include <easel/base/error.h>
#include <easel/io/file.h>
#include <easel/io/tensor_file.h>

namespace easel {
namespace {

namespace fs = std::filesystem;

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
  return tokenizer_folder_files(options.vocabulary, length, config.open_clip);
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

// The text of the config that belongs beside `out`; "" where the default is right without a file.
std::string config_beside(const ModelConfig& config, const ConvertOptions& options) {
  const std::string text = compvis_config_text(config);
  if (options.default_config.empty()) return text;
  return text == compvis_config_text(read_model_config(options.default_config)) ? "" : text;
}

}  // namespace

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

void refuse_existing(const fs::path& path, const ConvertOptions& options) {
  if (options.if_exists == IfExists::Refuse && fs::exists(path)) {
    fail("{} exists already; choose another name or force its replacement", path.string());
  }
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

fs::path yaml_beside(const fs::path& file) { return fs::path(file).replace_extension(".yaml"); }

void write_text(const fs::path& path, const std::string& text, IfExists if_exists) {
  write_atomically(path, if_exists, [&](FileWriter& writer) { writer.write(text); });
}

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

void write_weights(const fs::path& out, WeightLayout layout, const Tensors& tensors,
                   IfExists if_exists) {
  if (container_of(out) == Container::Safetensors) {
    write_safetensors(out, tensors, {{"format", "pt"}}, if_exists);
  } else {
    write_torch_file(out, tensors, /*wrap_state_dict=*/layout == WeightLayout::CompVis, if_exists);
  }
}

void write_model(const fs::path& in, const fs::path& out, ModelConfig config, const Tensors& native,
                 WeightLayout layout, const ConvertOptions& options) {
  if (container_of(out) == Container::Folder) {
    write_folder(in, out, config, native, options);
    return;
  }
  TokenizerBeside tokenizer;
  if (!config.tokenizer.empty()) {
    tokenizer = tokenizer_beside(config_folder(in, load_options(options)) / config.tokenizer, out);
    config.tokenizer = tokenizer.name;
  }
  const std::string yaml = config_beside(config, options);
  if (!yaml.empty()) refuse_existing(yaml_beside(out), options);
  write_tokenizer(out, tokenizer, options);
  write_weights(out, layout, from_native(config, native, layout), options.if_exists);
  if (!yaml.empty()) write_text(yaml_beside(out), yaml, options.if_exists);
}

}  // namespace easel
