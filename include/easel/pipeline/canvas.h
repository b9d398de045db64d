// What img2img draws on: a picture and its mask, fitted to a size that a model can draw. No
// LibTorch in this header.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include <easel/io/edit.h>
#include <easel/io/image.h>
#include <easel/pipeline/open_model.h>

namespace easel {

// How a picture of one shape becomes one of another.
enum class Fit {
  Crop,     // scaled until it covers, its middle kept
  Pad,      // scaled until it fits, its edges continued
  Stretch,  // each side by itself
};

// "crop", "pad", "stretch". Throws Error (Usage).
Fit fit_from_name(std::string_view name);

struct CanvasSettings {
  // Of what is drawn, in pixels. Without both, the picture's own size with each side rounded down
  // to what the model draws best, stretched, as in CompVis's program; without one, what keeps the
  // picture's shape. An upscaler's canvas is as much smaller as the model draws larger.
  std::optional<int64_t> width;
  std::optional<int64_t> height;
  Fit fit = Fit::Crop;
  bool invert_mask = false;
  double mask_blur = 0;  // Gaussian standard deviation in pixels of the picture
  // Draws the mask's surroundings alone, at the whole size, and puts them back.
  bool only_masked = false;
  int64_t only_masked_padding = 32;  // pixels of the picture around the mask
  // Pixels added to the picture's sides, where its edges are continued and the mask is white. They
  // grow where the size would not be one that the model draws.
  Margins outpaint;
};

struct Canvas {
  Image picture;  // RGB, of the size that is drawn
  Image mask;     // grey, of the same size, 255 where it is to be repainted; no pixels: all of it
  Image depth{};  // grey, of the same size, lighter is nearer; no pixels: none is given

  // With only_masked: the picture that the region, drawn, goes back into, and its mask.
  Image whole;
  Image whole_mask;
  Region region;
};

// `picture` RGB; `mask` and `depth` grey, of the picture's shape, or without pixels. Throws Error.
Canvas make_canvas(Image picture, Image mask, const CanvasSettings& settings,
                   const ModelSummary& model, Image depth = {});

// A drawn picture as the canvas's user gets it: where the mask is black the canvas's own pixels.
Image finished(const Canvas& canvas, const Image& drawn);

}  // namespace easel
