// The settings that a PNG file carries: the `parameters` text of A1111's webui, which its users'
// tools read, and one JSON field "easel" with everything.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <easel/checkpoint/lora_choice.h>
#include <easel/io/image.h>
#include <easel/pipeline/open_model.h>
#include <easel/pipeline/settings.h>

#include "cli/drawing_options.h"

namespace easel::cli {

// What a picture was made with, defaults filled in.
struct MadeWith {
  std::string program;
  DrawingOptions drawing;
  nlohmann::ordered_json options;  // options_json() of all the program's options
  // What the program adds to A1111's list: names and values.
  std::vector<std::pair<std::string, std::string>> parameters;
  PictureSettings settings;
  std::vector<LoraChoice> loras{};  // those that no prompt names
  ModelSummary model;
  std::string prompt;
  uint64_t seed = 0;
  int64_t number = 0;  // of the picture in its run
};

// Those of the options that shape a picture, by their names.
template <class Options>
nlohmann::ordered_json options_json(const Options& options);

// "PROMPT\nNegative prompt: ...\nSteps: 20, Sampler: ddim, CFG scale: 7.5, Seed: 42, Size: 512x512,
// ..."
std::string parameters_text(const MadeWith& made);

std::string settings_json(const MadeWith& made);

// Stands for what shapes the picture: the same id is the same picture, whichever batch it is drawn
// in and whichever device draws it.
std::string picture_id(const MadeWith& made);

// Both, as the text of a PNG file.
PngText settings_text(const MadeWith& made);

template <class T>
nlohmann::ordered_json field_json(const T& value) {
  return value;
}
inline nlohmann::ordered_json field_json(const std::filesystem::path& value) {
  return value.string();
}
template <class T>
nlohmann::ordered_json field_json(const std::optional<T>& value) {
  return value ? field_json(*value) : nlohmann::ordered_json();
}

template <class Options>
nlohmann::ordered_json options_json(const Options& options) {
  nlohmann::ordered_json json;
  visit_fields(options, [&](const auto& field, const FieldInfo& info) {
    if (info.setting) json[std::string(info.name)] = field_json(field);
  });
  return json;
}

}  // namespace easel::cli
