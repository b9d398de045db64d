#include "image_guidance.h"

#include <cmath>

#include <ATen/ATen.h>

#include <easel/base/error.h>

namespace easel {

void add_image_guidance(Guidance& guidance, const Tensor& picture_1CHW, double image_scale) {
  if (!(guidance.scale > 0)) {
    fail_usage("the guidance scale is {}; with a picture's guidance beside it it must be above 0",
               guidance.scale);
  }
  const int64_t num_pictures = guidance.unconditional.context_BTD.size(0);
  if (guidance.rows.empty()) {
    for (int64_t i = 0; i < num_pictures; ++i) guidance.rows.push_back({i, 1});
  }
  // u + scale sum w (c - u) with the picture's row p at (image_scale / scale - sum w) is the sum
  // above: every prompt's row then counts from p and p itself from u.
  std::vector<double> of_picture(static_cast<size_t>(num_pictures), image_scale / guidance.scale);
  for (const ComposedRow& row : guidance.rows) {
    of_picture[static_cast<size_t>(row.picture)] -= row.weight;
  }
  for (int64_t i = 0; i < num_pictures; ++i) {
    guidance.rows.push_back({i, of_picture[static_cast<size_t>(i)]});
  }
  const auto complete = [&](Conditioning& conditional, Conditioning& unconditional) {
    const Tensor& nothing_BTD = unconditional.context_BTD;
    conditional.context_BTD = at::cat({conditional.context_BTD, nothing_BTD});
    conditional.concat_BCHW = picture_1CHW.expand({conditional.context_BTD.size(0), -1, -1, -1});
    unconditional.concat_BCHW =
        at::zeros_like(picture_1CHW).expand({nothing_BTD.size(0), -1, -1, -1});
  };
  complete(guidance.conditional, guidance.unconditional);
  for (ConditionsFrom& change : guidance.changes)
    complete(change.conditional, change.unconditional);
}

void check_image_scale(double image_scale) {
  if (std::isfinite(image_scale) && image_scale >= 0) return;
  fail_usage(
      "the picture's guidance scale is {}; it is a number from 0 up, where 1 is no guidance and "
      "1.5 "
      "is usual",
      image_scale);
}

}  // namespace easel
