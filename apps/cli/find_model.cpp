#include "cli/find_model.h"

#include <system_error>
#include <vector>

#include <fmt/format.h>

#include <easel/base/error.h>
#include <easel/hub/cache.h>

#include "cli/hub_environment.h"

namespace easel::cli {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kCompVisModel = "models/ldm/stable-diffusion-v1/model.ckpt";
constexpr std::string_view kOwnModel = "shapes";  // it comes with Easel

bool is_there(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

bool is_folder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

std::vector<fs::path> checkpoints_in(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string extension = entry.path().extension().string();
    if (extension == ".ckpt" || extension == ".safetensors") files.push_back(entry.path());
  }
  if (error) fail("cannot read the folder {}: {}", folder.string(), error.message());
  return files;
}

// The model in a folder: the folder itself if it is diffusers', else its one checkpoint.
fs::path model_in(const fs::path& folder) {
  if (is_there(folder / "model_index.json")) return folder;
  const std::vector<fs::path> files = checkpoints_in(folder);
  if (files.size() == 1) return files.front();
  fail(
      "the folder {} is no diffusers model (it has no model_index.json) and holds {} checkpoints, "
      "where one is needed; name the file",
      folder.string(), files.empty() ? std::string("no") : std::to_string(files.size()));
}

// Whether a folder of models/ is there with anything in it to draw with: the shapes' folder also
// holds its card and logs, with or without the weights.
bool holds_model(const fs::path& folder) {
  return is_folder(folder) &&
         (is_there(folder / "model_index.json") || !checkpoints_in(folder).empty());
}

}  // namespace

fs::path find_model(const fs::path& asked, const fs::path& data) {
  if (asked.empty()) {
    if (is_there(kCompVisModel)) return kCompVisModel;
    for (const fs::path& models : {fs::path("models"), data / "models"}) {
      if (holds_model(models / kOwnModel)) return find_model(models / kOwnModel, data);
    }
    fail(
        "there is no model: {} does not exist and none comes with this installation; give one with "
        "--ckpt FILE (a Stable Diffusion v1 .ckpt or .safetensors) or --model FOLDER "
        "(diffusers')",
        kCompVisModel);
  }
  for (const fs::path& path : {asked, fs::path("models") / asked, data / "models" / asked}) {
    if (!is_there(path)) continue;
    return is_folder(path) ? model_in(path) : path;
  }
  constexpr std::string_view kMissing =
      "there is no model {}: no such file or folder, and no folder of that name in models/";
  const auto hub_model = parse_hub_model(asked.string());
  if (!hub_model) fail(kMissing, asked.string());
  const fs::path cache = hub_from_environment().cache;
  if (const auto model = find_in_cache(cache, *hub_model)) return *model;
  fail(
      "{}; nor is it in the cache of models from the hub, {}; `easel-checkpoint fetch {}` fetches "
      "it",
      fmt::format(kMissing, asked.string()), cache.string(), fetch_words(*hub_model));
}

fs::path find_config(const fs::path& asked, const fs::path& data) {
  if (asked.empty() || is_there(asked)) return asked;
  if (asked.is_relative() && is_there(data / asked)) return data / asked;
  fail("there is no config {}", asked.string());
}

}  // namespace easel::cli
