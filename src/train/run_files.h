// The files in a run's folder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include <easel/io/image.h>
#include <easel/train/ema.h>
#include <easel/train/task.h>
#include <easel/train/trainer.h>

namespace easel {

std::filesystem::path config_path(const std::filesystem::path& folder);
std::filesystem::path state_path(const std::filesystem::path& folder);
std::filesystem::path model_path(const TrainerOptions& options, std::string_view name);

// The model as NAME.safetensors (or .ckpt), its companions beside it. Each file is replaced whole.
void save_model(const TrainingTask& task, const Ema* averages, const TrainerOptions& options,
                std::string_view name);

// The config, as --resume reads it.
void save_config(const std::string& text, const std::filesystem::path& folder);

// images/00001000.png
void save_picture(const Image& image, const std::filesystem::path& folder, int64_t step);

}  // namespace easel
