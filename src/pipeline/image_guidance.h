// Guidance by a picture beside the prompt's (Brooks et al. 2023, InstructPix2Pix, arXiv
// 2211.09800).
#pragma once

#include <easel/diffusion/denoiser.h>

namespace easel {

// Turns a guidance whose halves are prompts into one of three: with e(c, p) for the prompt c and
// the picture p, and 0 for neither,
//
//   e(0, 0) + image_scale (e(0, p) - e(0, 0)) + scale (e(c, p) - e(0, p))
//
// e(0, p) is one more row a picture, composed with those of the prompt. Both halves must hold a
// context; picture_1CHW goes beside every context but the unconditional's, which gets zeros.
void add_image_guidance(Guidance& guidance, const Tensor& picture_1CHW, double image_scale);

// Throws Error (Usage) on what is no scale of a picture's guidance.
void check_image_scale(double image_scale);

}  // namespace easel
