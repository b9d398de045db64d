// CompVis's safety checker: CLIP's picture encoder beside fixed embeddings of unwanted concepts. No
// LibTorch in this header.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <easel/io/image.h>

namespace easel {

class SafetyChecker;

// Opens the weights of CompVis/stable-diffusion-safety-checker: a file (.safetensors, .bin, .ckpt),
// the folder of one, or a diffusers folder with a safety_checker/ in it. The sizes are read off the
// tensors (heads of 64, as in every CLIP of OpenAI's). `device` as in ModelRequest; it computes in
// float32. Throws Error where they are something else.
std::shared_ptr<const SafetyChecker> open_safety_checker(const std::filesystem::path& path,
                                                         const std::string& device);

// Cosine similarity of the picture to each concept, above the concept's threshold where positive,
// to three decimals: what diffusers' StableDiffusionSafetyChecker reports. A picture that is close
// to a concept of special care has 0.01 added to what follows.
struct SafetyScores {
  std::vector<double> special_care;
  std::vector<double> concepts;

  // Whether any of `concepts` is positive.
  bool unsafe() const;
};

// `image` is RGB of any size: its shorter side becomes the encoder's, its middle is looked at, as
// by CLIPImageProcessor.
SafetyScores safety_scores(const SafetyChecker& checker, const Image& image);

}  // namespace easel
