#include "easel/pipeline/network.h"

#include <ATen/ATen.h>

#include <easel/base/error.h>

namespace easel {
namespace {

void check_part(std::string_view name, bool given, bool taken) {
  if (given == taken) return;
  fail("the conditioning {} a {}, which this model's conditioning_key {}",
       given ? "holds" : "lacks", name, taken ? "takes" : "does not take");
}

}  // namespace

Network make_network(const StableDiffusion& model) {
  return [&model](const Tensor& x_BCHW, const Tensor& t_B, const Conditioning& conditioning) {
    const ConditioningKey key = model.config.conditioning_key;
    const bool takes_concat = key != ConditioningKey::CrossAttention;
    check_part("concat", conditioning.concat_BCHW.defined(), takes_concat);
    check_part("context", conditioning.context_BTD.defined(), key != ConditioningKey::Concat);
    Tensor input_BCHW = x_BCHW.to(model.dtype);
    if (takes_concat) {
      input_BCHW = at::cat({input_BCHW, conditioning.concat_BCHW.to(model.dtype)}, 1);
    }
    return model.unet.forward(input_BCHW, t_B, conditioning.context_BTD, conditioning.class_label_B)
        .to(at::kFloat);
  };
}

}  // namespace easel
