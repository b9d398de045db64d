#include "easel/pipeline/canvas.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include <easel/base/error.h>
#include <easel/io/resize.h>

namespace easel {
namespace {

struct Size {
  int width;
  int height;
};

// An upscaler's canvas is the small picture; the settings' size is what becomes of it.
void take_small_size(CanvasSettings& settings, ModelSummary& model) {
  const int64_t times = model.enlarges;
  for (std::optional<int64_t>* side : {&settings.width, &settings.height}) {
    if (!*side) continue;
    if (**side % times != 0) {
      fail_usage("a size is {}; {} draws pictures {} times as large, in multiples of {}", **side,
                 model.name, times, times);
    }
    *side = **side / times;
  }
  // What is drawn is a multiple of 8 pixels, as check(PictureSettings) has it for every model.
  constexpr int64_t kDrawn = 8;
  model.size_unit = std::max(model.size_unit, kDrawn) / times;
  model.best_size_unit = model.size_unit;
}

int rounded_down(int64_t side, int64_t best, int64_t least) {
  const int64_t unit = side >= best ? best : least;
  return static_cast<int>(std::max(side - side % unit, unit));
}

int nearest(double side, int64_t unit) {
  const double most = 1 << 20;
  const double units = std::round(std::min(side, most) / static_cast<double>(unit));
  return static_cast<int>(std::max(units, 1.0)) * static_cast<int>(unit);
}

int checked_side(std::string_view name, int64_t side) {
  constexpr int64_t kMost = 1 << 15;
  if (side < 1 || side > kMost) fail_usage("{} is {}; it is 1 to {} pixels", name, side, kMost);
  return static_cast<int>(side);
}

Size target_size(const Image& picture, const CanvasSettings& settings, const ModelSummary& model) {
  if (!settings.width && !settings.height) {
    // Margins make up whole units already, and what they surround is not to be squeezed.
    const int64_t best = settings.outpaint.any() ? model.size_unit : model.best_size_unit;
    return {rounded_down(picture.width, best, model.size_unit),
            rounded_down(picture.height, best, model.size_unit)};
  }
  const double aspect = static_cast<double>(picture.width) / picture.height;
  const int64_t unit = model.size_unit;
  if (!settings.height) {
    const int width = checked_side("width (W)", *settings.width);
    return {width, nearest(width / aspect, unit)};
  }
  const int height = checked_side("height (H)", *settings.height);
  if (!settings.width) return {nearest(height * aspect, unit), height};
  return {checked_side("width (W)", *settings.width), height};
}

// A side of `from`, scaled as the other side goes from `other_from` to `other_to`.
int scaled(int from, int other_from, int other_to) {
  const int64_t side = int64_t{from} * other_to / other_from;
  return static_cast<int>(std::clamp<int64_t>(side, 1, 1 << 20));
}

// Pictures as CompVis resizes them; a mask without the dark and light fringes that gives.
Image fitted(const Image& image, Size to, Fit fit) {
  const auto filter = image.channels == 1 ? ResizeFilter::Bilinear : ResizeFilter::Lanczos;
  const bool wider = int64_t{to.width} * image.height > int64_t{image.width} * to.height;
  if (fit == Fit::Crop) {
    const int width = wider ? to.width : scaled(image.width, image.height, to.height);
    const int height = wider ? scaled(image.height, image.width, to.width) : to.height;
    const Size covers{std::max(width, to.width), std::max(height, to.height)};
    return crop(resize(image, covers.width, covers.height, filter),
                {.left = (covers.width - to.width) / 2,
                 .top = (covers.height - to.height) / 2,
                 .width = to.width,
                 .height = to.height});
  }
  if (fit == Fit::Pad) {
    const int width = wider ? scaled(image.width, image.height, to.height) : to.width;
    const int height = wider ? to.height : scaled(image.height, image.width, to.width);
    const Size within{std::min(width, to.width), std::min(height, to.height)};
    const int left = (to.width - within.width) / 2;
    const int top = (to.height - within.height) / 2;
    return extend(resize(image, within.width, within.height, filter),
                  {.left = left,
                   .right = to.width - within.width - left,
                   .top = top,
                   .bottom = to.height - within.height - top});
  }
  return resize(image, to.width, to.height, filter);
}

Image filled(int width, int height, uint8_t value) {
  Image image{.width = width, .height = height, .channels = 1, .pixels = {}};
  image.pixels.assign(static_cast<size_t>(width) * static_cast<size_t>(height), value);
  return image;
}

// What is given beside the picture, at the picture's size.
Image beside(const Image& grey, std::string_view what, const Image& picture) {
  if (grey.channels != 1) fail("a {} is grey; got {} channels", what, grey.channels);
  const double stretch = static_cast<double>(grey.width) * picture.height /
                         (static_cast<double>(grey.height) * picture.width);
  if (stretch < 0.98 || stretch > 1.02) {
    fail("the {} is {}x{}, the picture {}x{}: they must have the same shape", what, grey.width,
         grey.height, picture.width, picture.height);
  }
  return resize(grey, picture.width, picture.height, ResizeFilter::Bilinear);
}

// The mask at the picture's size, inverted and blurred as the settings say.
Image prepared_mask(const Image& mask, const Image& picture, const CanvasSettings& settings) {
  if (mask.pixels.empty()) return mask;
  Image made = beside(mask, "mask", picture);
  if (settings.invert_mask) made = inverted(made);
  made = gaussian_blur(made, settings.mask_blur);
  if (bounds(made).empty()) {
    fail("the mask has nothing white, so there is nothing to repaint{}",
         settings.invert_mask ? " (it is inverted)" : "; --invert-mask takes its black instead");
  }
  return made;
}

// Widens the margins so that `side` with them is a multiple of `unit`.
void round_up(int side, int& first, int& second, int unit) {
  if (first + second == 0) return;
  const int missing = (unit - (side + first + second) % unit) % unit;
  (second > 0 ? second : first) += missing;
}

// The picture, its mask and its depths with the margins around them.
void outpaint(Image& picture, Image& mask, Image& depth, Margins margins,
              const CanvasSettings& settings, const ModelSummary& model) {
  if (!settings.width && !settings.height) {
    // The picture's own pixels stay what they are: its margins make up the size.
    round_up(picture.width, margins.left, margins.right, static_cast<int>(model.size_unit));
    round_up(picture.height, margins.top, margins.bottom, static_cast<int>(model.size_unit));
  }
  const Image inside =
      mask.pixels.empty() ? filled(picture.width, picture.height, 0) : std::move(mask);
  picture = extend(picture, margins);
  if (!depth.pixels.empty()) depth = extend(depth, margins);
  const Image hard = paste(filled(picture.width, picture.height, 255),
                           filled(inside.width, inside.height, 0), margins.left, margins.top);
  mask = paste(hard, inside, margins.left, margins.top);
  // The margins are repainted whole; a blur softens their edge within the picture.
  const Image soft = gaussian_blur(hard, settings.mask_blur);
  std::transform(soft.pixels.begin(), soft.pixels.end(), mask.pixels.begin(), mask.pixels.begin(),
                 [](uint8_t a, uint8_t b) { return std::max(a, b); });
}

// `length` pixels around [first, first + size) of a line of `total`, as far as there are so many.
void widen(int& first, int& size, int length, int total) {
  length = std::min(std::max(length, size), total);
  first = std::clamp(first - (length - size) / 2, 0, total - length);
  size = length;
}

// The mask's bounds with their padding, in the shape of what is drawn as far as the picture goes.
Region surroundings(const Image& mask, int64_t padding, Size drawn) {
  Region region = bounds(mask);
  const int most = std::max(mask.width, mask.height);
  const int pad = static_cast<int>(std::min<int64_t>(padding, most));
  const auto pad_line = [pad](int& first, int& size, int total) {
    const int end = std::min(first + size + pad, total);
    first = std::max(first - pad, 0);
    size = end - first;
  };
  pad_line(region.left, region.width, mask.width);
  pad_line(region.top, region.height, mask.height);
  widen(region.left, region.width, scaled(drawn.width, drawn.height, region.height), mask.width);
  widen(region.top, region.height, scaled(drawn.height, drawn.width, region.width), mask.height);
  return region;
}

}  // namespace

Fit fit_from_name(std::string_view name) {
  constexpr std::array<std::string_view, 3> names = {"crop", "pad", "stretch"};
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) throw Error(unknown_name("fit", name, names), ErrorKind::Usage);
  return static_cast<Fit>(found - names.begin());
}

Canvas make_canvas(Image picture, Image mask, const CanvasSettings& wanted,
                   const ModelSummary& summary, Image depth) {
  CanvasSettings settings = wanted;
  ModelSummary model = summary;
  if (model.enlarges > 1) take_small_size(settings, model);
  if (picture.channels != 3) fail("img2img starts from RGB; got {} channels", picture.channels);
  mask = prepared_mask(mask, picture, settings);
  if (!depth.pixels.empty()) depth = beside(depth, "depth map", picture);
  if (settings.outpaint.any()) {
    outpaint(picture, mask, depth, settings.outpaint, settings, model);
  }
  const Size drawn = target_size(picture, settings, model);
  const Fit fit = settings.width || settings.height ? settings.fit : Fit::Stretch;
  Canvas canvas;
  if (settings.only_masked) {
    if (mask.pixels.empty()) fail_usage("--only-masked needs a --mask");
    canvas.region = surroundings(mask, settings.only_masked_padding, drawn);
    canvas.picture = fitted(crop(picture, canvas.region), drawn, Fit::Stretch);
    canvas.mask = fitted(crop(mask, canvas.region), drawn, Fit::Stretch);
    if (!depth.pixels.empty()) {
      canvas.depth = fitted(crop(depth, canvas.region), drawn, Fit::Stretch);
    }
    canvas.whole = std::move(picture);
    canvas.whole_mask = std::move(mask);
    return canvas;
  }
  canvas.picture = fitted(picture, drawn, fit);
  if (!mask.pixels.empty()) canvas.mask = fitted(mask, drawn, fit);
  if (!depth.pixels.empty()) canvas.depth = fitted(depth, drawn, fit);
  return canvas;
}

Image finished(const Canvas& canvas, const Image& drawn) {
  if (canvas.mask.pixels.empty()) return drawn;
  if (canvas.whole.pixels.empty()) return composite(canvas.picture, drawn, canvas.mask);
  const Image part =
      resize(drawn, canvas.region.width, canvas.region.height, ResizeFilter::Lanczos);
  const Image over = paste(canvas.whole, part, canvas.region.left, canvas.region.top);
  return composite(canvas.whole, over, canvas.whole_mask);
}

}  // namespace easel
