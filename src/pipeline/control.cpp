#include "easel/pipeline/control.h"

#include <utility>

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <easel/base/error.h>
#include <easel/checkpoint/control_net.h>
#include <easel/checkpoint/t2i_adapter.h>
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

// An RGB picture of values in [0, 1] as Pillow makes it grey, in whole steps of its bytes.
Tensor luma(const Tensor& x_1CHW) {
  const Tensor bytes_1CHW = x_1CHW.to(at::kDouble).mul(255).round();
  const Tensor weights_C11 =
      at::tensor({19595.0, 38470.0, 7471.0}, bytes_1CHW.options()).div(65536).view({3, 1, 1});
  return (bytes_1CHW * weights_C11).sum(1, /*keepdim=*/true).add(0.5).floor().div(255);
}

}  // namespace

ControlNetwork load_control(const StableDiffusion& model, const std::filesystem::path& path) {
  return with_plain_errors("it needs more than there is; use --dtype float16", [&] {
    const auto wanted = at::device(model.device).dtype(model.dtype);
    if (auto adapter = read_t2i_adapter(path, model.config, wanted)) {
      return ControlNetwork(std::make_shared<const T2IAdapter>(*std::move(adapter)));
    }
    return ControlNetwork(
        std::make_shared<const ControlNet>(load_control_net(path, model.config, wanted)));
  });
}

Control make_control(const StableDiffusion& model, const ControlNetwork& network,
                     const Image& picture, const ControlChoice& choice) {
  const c10::InferenceMode inference;
  const Tensor x_1CHW = from_image(picture).add(1).div(2).to(model.device);
  Control control{.network = {},
                  .embedded_1CHW = {},
                  .strength = choice.strength,
                  .start = choice.start,
                  .end = choice.end};
  if (const auto* net = std::get_if<std::shared_ptr<const ControlNet>>(&network)) {
    control.network = *net;
    control.embedded_1CHW = control.network->embed(x_1CHW.to(model.dtype));
    return control;
  }
  const T2IAdapter& adapter = *std::get<std::shared_ptr<const T2IAdapter>>(network);
  const bool grey = adapter.config().picture_channels == 1;
  control.features_1CHW = adapter.forward((grey ? luma(x_1CHW) : x_1CHW).to(model.dtype));
  return control;
}

Control make_control(const StableDiffusion& model, const ControlNetwork& network,
                     const ControlChoice& choice, int64_t width, int64_t height) {
  CanvasSettings size;
  size.width = width;
  size.height = height;
  const Canvas canvas = make_canvas(read_upright_image(choice.picture), {}, size, summarize(model));
  return with_plain_errors("the control needs more than there is; use --dtype float16",
                           [&] { return make_control(model, network, canvas.picture, choice); });
}

ControlResiduals control_residuals(const StableDiffusion& model,
                                   const std::vector<Control>& controls, const Tensor& x_BCHW,
                                   const Tensor& t_B, const Tensor& context_BTD) {
  ControlResiduals sum;
  for (const Control& control : controls) {
    if (!control.network || !acts(control, t_B, model.schedule)) continue;
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

std::vector<Tensor> control_features(const StableDiffusion& model,
                                     const std::vector<Control>& controls, const Tensor& t_B) {
  std::vector<Tensor> sum;
  for (const Control& control : controls) {
    if (control.network || !acts(control, t_B, model.schedule)) continue;
    for (size_t i = 0; i < control.features_1CHW.size(); ++i) {
      const Tensor own = control.features_1CHW[i] * control.strength;
      if (i < sum.size())
        sum[i] = sum[i] + own;
      else
        sum.push_back(own);
    }
  }
  return sum;
}

}  // namespace easel
