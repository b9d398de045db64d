#include "start_weights.h"

#include <algorithm>

#include <ATen/ATen.h>

#include <easel/base/error.h>
#include <easel/checkpoint/model_files.h>

namespace easel {
namespace {

// Names of one network stand alone in a file of its own and behind a prefix in a whole model's.
bool has_part(const Tensors& tensors, Part part, WeightLayout layout) {
  return std::any_of(tensors.begin(), tensors.end(),
                     [&](const auto& entry) { return part_of(entry.first, layout) == part; });
}

void add_prefix(Tensors& tensors, std::string_view prefix) {
  Tensors prefixed;
  for (auto& [name, tensor] : tensors) prefixed.emplace(std::string(prefix) + name, tensor);
  tensors = std::move(prefixed);
}

WeightLayout layout_of(const Tensors& tensors, const std::filesystem::path& file) {
  const FileInfo info = identify(tensors);
  if (!info.layout) {
    fail("{} is {}; expected weights of a Stable Diffusion model or of a part of one",
         file.string(), kind_text(info.kind));
  }
  return *info.layout;
}

}  // namespace

Tensors start_weights(const std::filesystem::path& file, const ModelConfig& config, Part part,
                      const std::vector<std::string>& ignore_keys, const Tensors& fresh,
                      const Log& log) {
  ModelFiles files = read_model_files(file);
  WeightSource source;
  // CLIP's own files, of both towers, have the names of the text encoder in either layout.
  const bool clip_file = part == Part::TextEncoder &&
                         files.tensors.contains("text_model.embeddings.token_embedding.weight");
  source.layout = clip_file ? WeightLayout::Diffusers : layout_of(files.tensors, file);
  source.parts = {part};
  source.name = file.string();
  const std::string prefix(source.layout == WeightLayout::CompVis ? compvis_prefix(part)
                                                                  : native_prefix(part));
  if (!has_part(files.tensors, part, source.layout)) add_prefix(files.tensors, prefix);
  canonicalize(files.tensors, source.layout);

  Tensors native;
  for (const auto& [name, tensor] : fresh) {
    native.emplace(std::string(native_prefix(part)) + name, tensor);
  }
  const Tensors initial = from_native(config, native, source.layout, part);
  int64_t num_ignored = 0;
  for (auto& [name, tensor] : files.tensors) {
    if (part_of(name, source.layout) != part) continue;
    if (part == Part::TextEncoder && !initial.contains(name)) continue;
    source.tensors.emplace(name, tensor);
  }
  for (const auto& [name, tensor] : initial) {
    const std::string bare = name.substr(prefix.size());
    for (const std::string& key : ignore_keys) {
      if (!name.starts_with(key) && !bare.starts_with(key)) continue;
      source.tensors[name] = tensor;
      ++num_ignored;
      break;
    }
  }
  Tensors loaded;
  for (auto& [name, tensor] : to_native(config, {source}, log)) {
    loaded.emplace(name.substr(native_prefix(part).size()), tensor);
  }
  say(log, LogLevel::Info,
      num_ignored == 0 ? fmt::format("{} from {}", part_name(part), file.string())
                       : fmt::format("{} from {}, {} of {} tensors fresh by ignore_keys",
                                     part_name(part), file.string(), num_ignored, initial.size()));
  return loaded;
}

}  // namespace easel
