// The settings that a picture carries, read back: Easel's own, or the `parameters` text as A1111's
// webui and stable-diffusion.cpp write it.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/prompt_line.h"

namespace easel::cli {

// The names and values of a `parameters` text by the rules of A1111's reader: "Prompt" and
// "Negative prompt" first; a size "512x768" is "Size-1" and "Size-2".
std::vector<std::pair<std::string, std::string>> parse_parameters(std::string_view text);

struct SavedSettings {
  Changes changes;  // names of options and their values
  std::string model;
  std::vector<std::string> left_out;  // what the picture has and Easel does not know
};

// Of a PNG or JPEG file. Throws Error where it cannot be read, holds no settings, or was made in a
// way that cannot be repeated alone.
SavedSettings read_saved_settings(const std::filesystem::path& path);

// Gives the options what `path` was made with, except what `given` names, and adds it to `given`.
// Throws Error. Returns what was read.
SavedSettings apply_saved_settings(const std::filesystem::path& path, std::span<const Option> list,
                                   Given& given);

}  // namespace easel::cli
