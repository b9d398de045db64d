// ControlNets and T2I-Adapters with their pictures, ready to steer a network.
#pragma once

#include <filesystem>
#include <memory>
#include <variant>
#include <vector>

#include <easel/checkpoint/stable_diffusion.h>
#include <easel/io/image.h>
#include <easel/models/control_net.h>
#include <easel/models/t2i_adapter.h>
#include <easel/pipeline/control_choice.h>

namespace easel {

using ControlNetwork =
    std::variant<std::shared_ptr<const ControlNet>, std::shared_ptr<const T2IAdapter>>;

// Immutable; for pictures of one size.
struct Control {
  std::shared_ptr<const ControlNet> network;  // null: a T2I-Adapter's
  Tensor embedded_1CHW;                       // a ControlNet's picture
  std::vector<Tensor> features_1CHW{};        // a T2I-Adapter's, which are those of every step
  double strength = 1;
  double start = 0, end = 1;  // as in ControlChoice
};

// What the file or folder holds, by its tensors, for this model. Throws Error where it is neither.
ControlNetwork load_control(const StableDiffusion& model, const std::filesystem::path& path);

// Gives the network the choice's picture, cropped to the shape width x height and resized to it.
Control make_control(const StableDiffusion& model, const ControlNetwork& network,
                     const ControlChoice& choice, int64_t width, int64_t height);
// Likewise an RGB picture of the size of what is drawn.
Control make_control(const StableDiffusion& model, const ControlNetwork& network,
                     const Image& picture, const ControlChoice& choice = {});

// What the ControlNets add to the UNet for the latents x_BCHW at timesteps t_B, all of them the
// same; empty where none acts.
ControlResiduals control_residuals(const StableDiffusion& model,
                                   const std::vector<Control>& controls, const Tensor& x_BCHW,
                                   const Tensor& t_B, const Tensor& context_BTD);

// What the T2I-Adapters add: UNetExtras's features_BCHW.
std::vector<Tensor> control_features(const StableDiffusion& model,
                                     const std::vector<Control>& controls, const Tensor& t_B);

}  // namespace easel
