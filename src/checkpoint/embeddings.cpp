#include "easel/checkpoint/embeddings.h"

#include <algorithm>
#include <array>
#include <utility>

#include <ATen/ATen.h>

#include <easel/base/error.h>
#include <easel/io/tensor_file.h>
#include <easel/nn/module.h>

namespace easel {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 3> kExtensions = {".pt", ".bin", ".safetensors"};
constexpr std::string_view kA1111Torch = "string_to_param.";
constexpr std::string_view kA1111Safetensors = "emb_params";
constexpr int64_t kMaxVectors = 4096;
constexpr size_t kMaxFiles = 100000;

// Models by the width of their text encoders.
constexpr std::array<std::pair<int64_t, std::string_view>, 3> kWidths = {{
    {768, "Stable Diffusion 1"},
    {1024, "Stable Diffusion 2"},
    {1280, "the second text encoder of SDXL"},
}};

std::string made_for(int64_t width) {
  for (const auto& [known, name] : kWidths) {
    if (width == known) return fmt::format(" (those of {})", name);
  }
  return {};
}

bool is_embedding_name(const fs::path& path) {
  const std::string extension = path.extension().string();
  return std::find(kExtensions.begin(), kExtensions.end(), extension) != kExtensions.end();
}

// In the order of their names: what a prompt means does not depend on the file system.
std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file() && is_embedding_name(entry.path())) files.push_back(entry.path());
    if (files.size() > kMaxFiles) {
      fail_usage("{}: there are more than {} embeddings in it", folder.string(), kMaxFiles);
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<fs::path> find_files(const std::vector<fs::path>& paths) {
  std::vector<fs::path> files;
  for (const fs::path& path : paths) {
    if (!fs::exists(path)) {
      fail_usage("{}: there is no such file or folder of embeddings", path.string());
    }
    if (!fs::is_directory(path)) {
      files.push_back(path);
      continue;
    }
    const std::vector<fs::path> found = files_in(path);
    if (found.empty()) {
      fail_usage(
          "{}: there are no embeddings in this folder; they end in .pt, .bin or .safetensors",
          path.string());
    }
    files.insert(files.end(), found.begin(), found.end());
  }
  return files;
}

Tensor vectors_of(const fs::path& file, std::string_view key, const Tensor& tensor) {
  const bool is_list = tensor.dim() == 1 || tensor.dim() == 2;
  if (!is_list || tensor.numel() == 0 || !at::isFloatingType(tensor.scalar_type())) {
    fail("{}: its '{}' is {} {}, where an embedding is [width] or [vectors, width] of numbers",
         file.string(), printable(key, 60), dtype_name(tensor.scalar_type()),
         shape_text(tensor.sizes()));
  }
  Tensor vectors_ND = tensor.detach().to(at::kFloat).reshape({-1, tensor.size(-1)}).contiguous();
  if (vectors_ND.size(0) > kMaxVectors) {
    fail("{}: its '{}' has {} vectors; no prompt has room for more than {}", file.string(),
         printable(key, 60), vectors_ND.size(0), kMaxVectors);
  }
  if (!at::isfinite(vectors_ND).all().item<bool>()) {
    fail("{}: its '{}' is not all finite numbers", file.string(), printable(key, 60));
  }
  return vectors_ND;
}

std::vector<Embedding> read_file(const fs::path& path) {
  const TensorFile file = read_tensor_file(path);
  const std::string name = path.stem().string();
  if (file.tensors.contains("clip_g") && file.tensors.contains("clip_l")) {
    fail("{}: this embedding is made for SDXL, which has two text encoders", path.string());
  }
  std::vector<std::pair<std::string, Tensor>> a1111;
  for (const auto& [key, tensor] : file.tensors) {
    if (key.starts_with(kA1111Torch) || key == kA1111Safetensors) a1111.emplace_back(key, tensor);
  }
  if (a1111.size() > 1) {
    fail("{}: holds {} embeddings in A1111's layout, which has one a file", path.string(),
         a1111.size());
  }
  if (a1111.size() == 1) {
    const auto& [key, tensor] = a1111.front();
    return {{.name = name,
             .placeholder = {},
             .vectors_ND = vectors_of(path, key, tensor),
             .file = path}};
  }
  std::vector<Embedding> made;
  for (const auto& [key, tensor] : file.tensors) {
    made.push_back({.name = file.tensors.size() == 1 ? name : std::string(),
                    .placeholder = key == "*" || key == name ? std::string() : key,
                    .vectors_ND = vectors_of(path, key, tensor),
                    .file = path});
  }
  return made;
}

}  // namespace

std::vector<Embedding> read_embeddings(const std::vector<fs::path>& paths) {
  std::vector<Embedding> embeddings;
  std::map<std::string, fs::path> names;
  for (const fs::path& path : find_files(paths)) {
    for (Embedding& embedding : read_file(path)) {
      for (const std::string& name : {embedding.name, embedding.placeholder}) {
        if (name.empty()) continue;
        const auto [known, is_new] = names.emplace(name, path);
        if (!is_new) {
          fail_usage("two embeddings have the name '{}': {} and {}", printable(name, 60),
                     known->second.string(), path.string());
        }
      }
      embeddings.push_back(std::move(embedding));
    }
  }
  return embeddings;
}

Tokenizer with_embeddings(const Tokenizer& tokenizer, const std::vector<Embedding>& embeddings,
                          int64_t first_token, int64_t max_vectors) {
  std::vector<Placeholder> placeholders;
  for (const Embedding& embedding : embeddings) {
    const int64_t num = embedding.vectors_ND.size(0);
    if (num > max_vectors) {
      fail_usage("{}: the embedding has {} vectors, and the text encoder takes {} tokens at most",
                 embedding.file.string(), num, max_vectors);
    }
    std::vector<int64_t> tokens;
    for (int64_t i = 0; i < num; ++i) tokens.push_back(first_token++);
    const auto add = [&](const std::string& text, bool by_tokens) {
      if (!text.empty()) placeholders.push_back({text, tokens, by_tokens});
    };
    add(embedding.name, true);
    add(embedding.placeholder, false);
  }
  return tokenizer.with_placeholders(std::move(placeholders));
}

void check_embeddings(const std::vector<Embedding>& embeddings,
                      const ClipTextConfig& text_encoder) {
  for (const Embedding& embedding : embeddings) {
    const int64_t width = embedding.vectors_ND.size(1);
    if (width == text_encoder.hidden_size) continue;
    fail(
        "{}: the embedding is made for text encoders of width {}{}, and this model's has width "
        "{}{}",
        embedding.file.string(), width, made_for(width), text_encoder.hidden_size,
        made_for(text_encoder.hidden_size));
  }
}

void add_embeddings(StableDiffusion& model, const std::vector<Embedding>& embeddings) {
  if (embeddings.empty()) return;
  ClipTextConfig config = model.text_encoder.config();
  check_embeddings(embeddings, config);
  const int64_t room =
      config.max_position_embeddings - static_cast<int64_t>(model.tokenizer.num_special_tokens());
  model.tokenizer = with_embeddings(model.tokenizer, embeddings, config.vocab_size, room);

  // The same text encoder with a longer table of tokens.
  std::vector<Tensor> rows;
  for (const Embedding& embedding : embeddings) {
    config.vocab_size += embedding.vectors_ND.size(0);
    rows.push_back(embedding.vectors_ND.to(model.dtype));
  }
  ClipText longer(config);
  auto to = nn::named_parameters(longer);
  const auto from = nn::named_parameters(model.text_encoder);
  for (size_t i = 0; i < to.size(); ++i) {
    *to[i].tensor = *from[i].tensor;
    if (to[i].name == "text_model.embeddings.token_embedding.weight") {
      const Tensor& table_ND = *from[i].tensor;
      rows.insert(rows.begin(), table_ND.to(model.dtype));
      for (Tensor& row_ND : rows) row_ND = row_ND.to(table_ND.device());
      *to[i].tensor = at::cat(rows);
    }
  }
  model.text_encoder = std::move(longer);
}

}  // namespace easel
