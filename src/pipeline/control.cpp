#include "easel/pipeline/control.h"

#include <utility>

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <easel/base/error.h>
#include <easel/checkpoint/control_net.h>
#include <easel/pipeline/canvas.h>
#include <easel/pipeline/decode.h>

#include "torch_errors.h"

namespace easel {
namespace {

// The part of the run is read off the timestep, which waits for the device.
bool acts(const Control& control, const Tensor& t_B, const NoiseSchedule& schedule) {
  if (control.start == 0 && control.end == 1) return true;
  const auto last = static_cast<double>(schedule.timesteps() - 1);
  const double fraction = 1 - t_B[0].item<double>() / last;
  return (control.start == 0 || fraction >= control.start) &&
         (control.end == 1 || fraction < control.end);
}

}  // namespace

Control make_control(const StableDiffusion& model, std::shared_ptr<const ControlNet> network,
                     const Image& picture, const ControlChoice& choice) {
  const c10::InferenceMode inference;
  const Tensor x_1CHW = from_image(picture).add(1).div(2).to(model.device, model.dtype);
  Control control{.network = std::move(network),
                  .embedded_1CHW = {},
                  .strength = choice.strength,
                  .start = choice.start,
                  .end = choice.end};
  control.embedded_1CHW = control.network->embed(x_1CHW);
  return control;
}

Control make_control(const StableDiffusion& model, const ControlChoice& choice, int64_t width,
                     int64_t height) {
  const CanvasSettings size{.width = width, .height = height};
  const Canvas canvas = make_canvas(read_upright_image(choice.picture), {}, size, summarize(model));
  return with_plain_errors("the ControlNet needs more than there is; use --dtype float16", [&] {
    auto network = std::make_shared<const ControlNet>(
        load_control_net(choice.model, model.config, at::device(model.device).dtype(model.dtype)));
    return make_control(model, std::move(network), canvas.picture, choice);
  });
}

ControlResiduals control_residuals(const StableDiffusion& model,
                                   const std::vector<Control>& controls, const Tensor& x_BCHW,
                                   const Tensor& t_B, const Tensor& context_BTD) {
  ControlResiduals sum;
  for (const Control& control : controls) {
    if (!acts(control, t_B, model.schedule)) continue;
    ControlResiduals own =
        control.network->forward(x_BCHW, t_B, context_BTD, control.embedded_1CHW);
    if (!sum.mid_BCHW.defined()) {
      for (const Tensor& skip : own.skips_BCHW) {
        sum.skips_BCHW.push_back(skip * control.strength);
      }
      sum.mid_BCHW = own.mid_BCHW * control.strength;
      continue;
    }
    for (size_t i = 0; i < sum.skips_BCHW.size(); ++i) {
      sum.skips_BCHW[i] = sum.skips_BCHW[i] + own.skips_BCHW[i] * control.strength;
    }
    sum.mid_BCHW = sum.mid_BCHW + own.mid_BCHW * control.strength;
  }
  return sum;
}

}  // namespace easel
