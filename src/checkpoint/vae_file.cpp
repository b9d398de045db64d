#include "vae_file.h"

#include <easel/base/error.h>
#include <easel/checkpoint/model_files.h>

namespace easel {

std::variant<WeightSource, TinyVaeFile> read_vae_file(const std::filesystem::path& path) {
  ModelFiles files;
  if (std::filesystem::is_directory(path / "vae")) {
    files = read_component(path / "vae", "diffusion_pytorch_model");
  } else if (std::filesystem::is_directory(path)) {
    files = read_component(path, "diffusion_pytorch_model");
  } else {
    files = read_model_files(path);
  }
  const FileInfo info = identify(files.tensors);
  if (info.kind == ModelKind::TinyAutoencoder) return TinyVaeFile{std::move(files.tensors)};
  if (!info.layout ||
      (info.kind != ModelKind::Autoencoder && info.kind != ModelKind::StableDiffusion)) {
    fail("{} is {}; expected the weights of an autoencoder (VAE)", path.string(),
         kind_text(info.kind));
  }
  WeightSource source{
      .tensors = {}, .layout = *info.layout, .parts = {Part::Autoencoder}, .name = path.string()};
  const std::string_view prefix = source.layout == WeightLayout::CompVis
                                      ? compvis_prefix(Part::Autoencoder)
                                      : native_prefix(Part::Autoencoder);
  const auto first = files.tensors.lower_bound(std::string(prefix));
  const bool bare = first == files.tensors.end() || !first->first.starts_with(prefix);
  for (auto& [name, tensor] : files.tensors) {
    if (bare && name.starts_with("loss.")) continue;
    if (bare)
      source.tensors.emplace(std::string(prefix) + name, std::move(tensor));
    else if (name.starts_with(prefix))
      source.tensors.emplace(name, std::move(tensor));
  }
  canonicalize(source.tensors, source.layout);
  return source;
}

}  // namespace easel
