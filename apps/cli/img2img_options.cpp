#include "cli/img2img_options.h"

#include <array>

#include <fmt/format.h>

#include <easel/base/error.h>

namespace easel::cli {
namespace {

constexpr int64_t kMaxMargin = 1 << 14;

Margins parse_margins(const std::string& text) {
  if (text.empty()) return {};
  std::array<int64_t, 4> sides{};
  const auto parts = split_list(text);
  bool valid = parts.size() == sides.size();
  for (size_t i = 0; valid && i < sides.size(); ++i) {
    valid = parse_field(parts[i], sides[i]) && sides[i] >= 0 && sides[i] <= kMaxMargin;
  }
  if (!valid) {
    fail_usage("--outpaint '{}': it is four numbers of pixels, left,right,top,bottom, each 0 to {}",
               printable(text), kMaxMargin);
  }
  const Margins margins{.left = static_cast<int>(sides[0]),
                        .right = static_cast<int>(sides[1]),
                        .top = static_cast<int>(sides[2]),
                        .bottom = static_cast<int>(sides[3])};
  if (!margins.any()) fail_usage("--outpaint '{}' adds nothing", printable(text));
  return margins;
}

void check_options(const InitOptions& options, const Given& given) {
  if (options.init_img.empty()) {
    fail_usage("img2img needs a picture to start from: --init-img FILE");
  }
  check_strength(options.strength);
  if (!(options.mask_blur >= 0 && options.mask_blur <= 1000)) {
    fail_usage("--mask-blur is {}; it is 0 to 1000 pixels", options.mask_blur);
  }
  if (options.only_masked_padding < 0) {
    fail_usage("--only-masked-padding is {}; it is 0 or more pixels", options.only_masked_padding);
  }
  // A picture's settings name every option: what is at its default says nothing.
  const InitOptions usual;
  if (options.mask.empty()) {
    if (given.has("mask")) fail_usage("--mask needs the name of a file");
    if (options.invert_mask) fail_usage("--invert-mask needs a --mask");
    if (options.only_masked) fail_usage("--only-masked needs a --mask");
  }
  if (options.only_masked_padding != usual.only_masked_padding && !options.only_masked) {
    fail_usage("--only-masked-padding needs --only-masked");
  }
  if (options.mask_blur != usual.mask_blur && options.mask.empty() && options.outpaint.empty()) {
    fail_usage("--mask-blur needs a --mask or --outpaint");
  }
  if (options.only_masked && !options.outpaint.empty()) {
    fail_usage("--only-masked and --outpaint contradict each other: outpaint first");
  }
  if (options.fit != usual.fit && !options.width && !options.height) {
    fail_usage("--fit needs a size, --W and --H");
  }
  if (options.fit != usual.fit && options.only_masked) {
    fail_usage("--fit has no meaning with --only-masked, which takes the shape from the mask");
  }
}

void check_depth(const InitOptions& options, const ModelSummary& model) {
  if (model.takes_depth && options.depth.empty()) {
    fail_usage(
        "{} goes by how near things are: give it a map of depths with --depth FILE, a "
        "picture whose lighter parts are nearer (depth estimators such as MiDaS make them)",
        model.name);
  }
  if (!model.takes_depth && !options.depth.empty()) {
    fail_usage(
        "--depth is for Stable Diffusion 2's depth model, and {} is no such model; a "
        "ControlNet for depth takes its map with --control MODEL:PICTURE",
        model.name);
  }
}

void check_upscaler(const InitOptions& options, const ModelSummary& model, const Given& given) {
  if (model.enlarges == 1) {
    if (!given.has("noise-level") || options.noise_level == InitOptions().noise_level) return;
    fail_usage("--noise-level is for Stable Diffusion 2's upscaler, and {} is no such model",
               model.name);
  }
  if (!options.mask.empty() || !options.outpaint.empty()) {
    fail_usage(
        "{} draws a whole picture {} times as large: it has no use for --mask and --outpaint",
        model.name, model.enlarges);
  }
}

}  // namespace

InitPicture::InitPicture(InitOptions& options, const Given& given) : options_(options) {
  check_options(options, given);
  encode_from_name(options.encode);
  settings_ = {.width = options.width,
               .height = options.height,
               .fit = fit_from_name(options.fit),
               .invert_mask = options.invert_mask,
               .mask_blur = options.mask_blur,
               .only_masked = options.only_masked,
               .only_masked_padding = options.only_masked_padding,
               .outpaint = parse_margins(options.outpaint)};
  if (settings_.outpaint.any() && !given.has("strength")) options.strength = 1;
  picture_ = read_upright_image(options.init_img);
  if (!options.mask.empty()) mask_ = read_upright_image(options.mask, 1);
  if (!options.depth.empty()) depth_ = read_upright_image(options.depth, 1);
}

bool starts_from_noise(const ModelSummary& model) {
  return model.instruct_pix2pix || model.enlarges > 1;
}

RunInit InitPicture::start(const ModelSummary& model, const Given& given) const {
  check_depth(options_, model);
  check_upscaler(options_, model, given);
  if (!model.instruct_pix2pix && given.has("image-cfg")) {
    fail_usage("--image-cfg is for InstructPix2Pix, and {} is no such model", model.name);
  }
  if (model.instruct_pix2pix && given.has("strength") && options_.strength != 1) {
    fail_usage(
        "{} changes pictures by instructions and starts from noise alone: --image-cfg, not "
        "--strength, says how closely it keeps to the picture",
        model.name);
  }
  if (model.enlarges > 1 && given.has("strength") && options_.strength != 1) {
    fail_usage(
        "{} draws the picture {} times as large, from noise alone: --noise-level, not --strength, "
        "says how freely",
        model.name, model.enlarges);
  }
  return {.canvas = make_canvas(picture_, mask_, settings_, model, depth_),
          .strength = options_.strength,
          .image_scale = options_.image_cfg,
          .noise_level = options_.noise_level,
          .encode = encode_from_name(options_.encode)};
}

std::vector<std::pair<std::string, std::string>> init_parameters(const InitOptions& options,
                                                                 const ModelSummary& model) {
  std::vector<std::pair<std::string, std::string>> list;
  if (model.enlarges > 1) {
    list.emplace_back("Noise level", fmt::format("{}", options.noise_level));
  } else if (model.instruct_pix2pix) {
    list.emplace_back("Image CFG scale", fmt::format("{}", options.image_cfg));
  } else {
    list.emplace_back("Denoising strength", fmt::format("{}", options.strength));
  }
  if (!options.mask.empty() || !options.outpaint.empty()) {
    list.emplace_back("Mask blur", fmt::format("{}", options.mask_blur));
  }
  if (options.invert_mask) list.emplace_back("Mask mode", "Inpaint not masked");
  if (options.only_masked) {
    list.emplace_back("Inpaint area", "Only masked");
    list.emplace_back("Masked area padding", fmt::format("{}", options.only_masked_padding));
  }
  return list;
}

}  // namespace easel::cli
