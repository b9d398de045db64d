// Which model a file without a config of its own holds, by what its tensors and metadata tell.
#pragma once

#include <optional>
#include <string_view>

#include <easel/checkpoint/model_files.h>

namespace easel {

struct ModelFamily {
  std::string_view config;  // its config's name in configs/stable-diffusion
  std::string_view what;    // "Stable Diffusion 2 that predicts v"
  // Where the file itself says so: what takes the place of the config's.
  std::optional<Parameterization> parameterization{};
  bool zero_terminal_snr = false;
  std::optional<int64_t> time_cond_proj_dim{};  // of a guidance-distilled UNet (LCM)
};

// nullopt: no whole model, or none that is known.
//
// Which of Stable Diffusion 2's models predict v no tensor says outright. Their files may: by
// metadata (ModelSpec's "modelspec.prediction_type") or an entry "v_pred". Otherwise it is told
// from the deviation of one bias, as ComfyUI does: above 0.09 in the models that predict v.
std::optional<ModelFamily> identify_family(const ModelFiles& files);

}  // namespace easel
