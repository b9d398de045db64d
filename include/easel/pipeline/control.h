// A ControlNet with its picture, ready to steer a network.
#pragma once

#include <memory>
#include <vector>

#include <easel/checkpoint/stable_diffusion.h>
#include <easel/io/image.h>
#include <easel/models/control_net.h>
#include <easel/pipeline/control_choice.h>

namespace easel {

// Immutable; for pictures of one size.
struct Control {
  std::shared_ptr<const ControlNet> network;
  Tensor embedded_1CHW;
  double strength = 1;
  double start = 0, end = 1;  // as in ControlChoice
};

// Loads a ControlNet for the model and gives it the picture, cropped to the shape width x height
// and resized to it.
Control make_control(const StableDiffusion& model, const ControlChoice& choice, int64_t width,
                     int64_t height);
// Likewise with a ControlNet and an RGB picture of the size of what is drawn.
Control make_control(const StableDiffusion& model, std::shared_ptr<const ControlNet> network,
                     const Image& picture, const ControlChoice& choice = {});

// What the controls add to the UNet for the latents x_BCHW at timesteps t_B, all of them the same;
// empty where none acts.
ControlResiduals control_residuals(const StableDiffusion& model,
                                   const std::vector<Control>& controls, const Tensor& x_BCHW,
                                   const Tensor& t_B, const Tensor& context_BTD);

}  // namespace easel
