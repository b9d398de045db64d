// Which ControlNets and T2I-Adapters steer a run, and by which pictures. No LibTorch in this
// header.
#pragma once

#include <filesystem>
#include <string_view>

namespace easel {

struct ControlChoice {
  std::filesystem::path model;    // file or diffusers folder
  std::filesystem::path picture;  // as the network takes it: edges, depth, a pose ...
  double strength = 1;            // what its features are multiplied with
  // The part of the run in which it acts, from 0 to 1, by timesteps.
  double start = 0;
  double end = 1;
  bool operator==(const ControlChoice&) const = default;
};

// "MODEL:PICTURE", with up to three numbers behind: ":STRENGTH", ":STRENGTH:START:END". Either name
// may hold colons. Throws Error (Usage) where it cannot be meant or a file is not there.
ControlChoice control_from_text(std::string_view text);

// Throws Error (Usage).
void check(const ControlChoice& choice);

}  // namespace easel
