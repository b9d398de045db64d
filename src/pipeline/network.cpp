#include "easel/pipeline/network.h"

#include <utility>

#include <ATen/ATen.h>

#include <easel/base/error.h>
#include <easel/nn/stored_weights.h>

namespace easel {
namespace {

void check_part(std::string_view name, bool given, bool taken) {
  if (given == taken) return;
  fail("the conditioning {} a {}, which this model's conditioning_key {}",
       given ? "holds" : "lacks", name, taken ? "takes" : "does not take");
}

}  // namespace

Network make_network(const StableDiffusion& model, Steering steering) {
  return [&model, steering = std::move(steering)](const Tensor& x_BCHW, const Tensor& t_B,
                                                  const Conditioning& conditioning) {
    const ConditioningKey key = model.config.conditioning_key;
    const bool takes_concat = key != ConditioningKey::CrossAttention;
    check_part("concat", conditioning.concat_BCHW.defined(), takes_concat);
    check_part("context", conditioning.context_BTD.defined(), key != ConditioningKey::Concat);
    Tensor input_BCHW = x_BCHW.to(model.dtype);
    if (takes_concat) {
      input_BCHW = at::cat({input_BCHW, conditioning.concat_BCHW.to(model.dtype)}, 1);
    }
    const nn::StoredWeights weights(model.weight_place());
    UNetExtras extras;
    if (model.config.unet.time_cond_proj_dim) {
      extras.guidance_B = at::full({x_BCHW.size(0)}, steering.guidance_scale - 1,
                                   at::device(model.device).dtype(at::kFloat));
    }
    const Tensor& context_BTD = conditioning.context_BTD;
    const Tensor text_BTD =
        steering.num_image_tokens == 0
            ? context_BTD
            : context_BTD.narrow(1, 0, context_BTD.size(1) - steering.num_image_tokens);
    ControlResiduals residuals = control_residuals(
        model, steering.controls, input_BCHW.narrow(1, 0, x_BCHW.size(1)), t_B, text_BTD);
    extras.skips_BCHW = std::move(residuals.skips_BCHW);
    extras.mid_BCHW = residuals.mid_BCHW;
    extras.features_BCHW = control_features(model, steering.controls, t_B);
    return model.unet.forward(input_BCHW, t_B, context_BTD, conditioning.class_label_B, extras)
        .to(at::kFloat);
  };
}

}  // namespace easel
