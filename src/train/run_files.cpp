#include "run_files.h"

#include <fmt/format.h>

#include <easel/base/error.h>
#include <easel/io/file.h>
#include <easel/io/tensor_file.h>

namespace easel {

namespace fs = std::filesystem;

namespace {

void make_folder_of(const fs::path& file) {
  std::error_code error;
  fs::create_directories(file.parent_path(), error);
  if (error) fail("cannot make the folder {}: {}", file.parent_path().string(), error.message());
}

}  // namespace

fs::path config_path(const fs::path& folder) { return folder / "configs" / "project.yaml"; }

fs::path state_path(const fs::path& folder) { return folder / "checkpoints" / "last.state"; }

fs::path model_path(const TrainerOptions& options, std::string_view name) {
  return options.folder / "checkpoints" / (std::string(name) + options.extension);
}

void save_model(const TrainingTask& task, const Ema* averages, const TrainerOptions& options,
                std::string_view name) {
  const fs::path path = model_path(options, name);
  make_folder_of(path);
  std::map<std::string, Tensor> tensors;
  for (auto& [key, tensor] : task.weights(averages)) {
    tensors.emplace(key, tensor.detach().cpu().contiguous());
  }
  if (options.extension == ".ckpt") {
    write_torch_file(path, tensors, task.nest_state_dict, IfExists::Replace);
  } else {
    std::map<std::string, std::string> metadata = task.metadata;
    metadata.emplace("format", "pt");
    write_safetensors(path, tensors, metadata, IfExists::Replace);
  }
  for (const auto& [file, text] : task.companions) {
    const fs::path beside = file.starts_with(".") ? fs::path(path).replace_extension().concat(file)
                                                  : path.parent_path() / file;
    write_atomically(beside, IfExists::Replace,
                     [&](FileWriter& writer) { writer.write(std::string_view(text)); });
  }
}

void save_config(const std::string& text, const fs::path& folder) {
  const fs::path path = config_path(folder);
  make_folder_of(path);
  write_atomically(path, IfExists::Replace,
                   [&](FileWriter& writer) { writer.write(std::string_view(text)); });
}

void save_picture(const Image& image, const fs::path& folder, int64_t step) {
  const fs::path path = folder / "images" / fmt::format("{:08}.png", step);
  make_folder_of(path);
  const std::vector<std::byte> png = encode_png(image);
  write_atomically(path, IfExists::Replace,
                   [&](FileWriter& writer) { writer.write(std::span(png)); });
}

}  // namespace easel
