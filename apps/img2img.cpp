// img2img: pictures from a picture and a prompt, on CompVis's command line and beyond it.

#include <optional>

#include "cli/drawing_program.h"
#include "cli/img2img_options.h"

namespace easel::cli {
namespace {

constexpr ProgramText kText{
    .name = "img2img",
    .summary = "change a picture as a text says with Stable Diffusion",
    .usage = "img2img --init-img FILE --prompt TEXT [options]",
    .description =
        "Changes a picture as a text says, with a Stable Diffusion v1 model: all of it, the part "
        "that\na mask shows white, or what is to be added to its sides.",
    .examples =
        "img2img --init-img sketch.png --prompt \"a castle, oil on canvas\" --strength 0.6\n"
        "img2img --init-img photo.jpg --W 512 --H 512 --prompt \"in winter\" -o winter.png\n"
        "img2img --init-img room.png --mask sofa.png --mask-blur 4 --prompt \"a red sofa\"\n"
        "img2img --init-img view.png --outpaint 128,128,0,0 --mask-blur 8 --prompt \"a valley\"\n"
        "img2img --ckpt 512-depth-ema.ckpt --init-img room.png --depth near.png --prompt \"a "
        "cave\"\n"
        "img2img --ckpt x4-upscaler-ema.ckpt --init-img small.png --prompt \"a white cat\"",
    .notes =
        "A photograph is turned as its EXIF data says; transparency is dropped. An inpainting "
        "checkpoint\nsees the mask itself; InstructPix2Pix changes the picture as the prompt tells "
        "it; Stable\nDiffusion 2's upscaler draws it four times as large."};

int draw_over(Img2ImgOptions& options, std::span<const Option> list, Given& given) {
  // The size is the picture's: a model's own is for pictures from nothing.
  std::vector<Option> defaults;
  for (const Option& option : list) {
    if (option.info.name != "H" && option.info.name != "W") defaults.push_back(option);
  }
  std::optional<InitPicture> init;
  InitOptions read;  // what `init` was read for: jobs may differ in their pictures
  return draw({.name = "img2img",
               .options = options.drawing,
               .list = list,
               .defaults = defaults,
               .given = given,
               .remember = remember_options(options, given),
               .settle =
                   [&](PictureSettings& settings) {
                     settings.width = options.init.width.value_or(settings.width);
                     settings.height = options.init.height.value_or(settings.height);
                     if (init && options.init == read) return;
                     init.emplace(options.init, given);
                     read = options.init;
                   },
               .complete =
                   [&](RunRequest& request, const ModelSummary& model) {
                     request.init = init->start(model, given);
                     request.settings.width = request.init->canvas.picture.width * model.enlarges;
                     request.settings.height = request.init->canvas.picture.height * model.enlarges;
                   },
               .describe =
                   [&](MadeWith& made) {
                     made.options = options_json(options);
                     // What has no meaning for the model would be refused when it is given again.
                     if (starts_from_noise(made.model)) made.options["strength"] = 1;
                     if (!made.model.instruct_pix2pix) made.options.erase("image-cfg");
                     if (made.model.enlarges == 1) made.options.erase("noise-level");
                     made.options["W"] = made.settings.width;
                     made.options["H"] = made.settings.height;
                     made.parameters = init_parameters(options.init, made.model);
                   }});
}

}  // namespace
}  // namespace easel::cli

int main(int argc, char** argv) {
  return easel::cli::run_drawing_program(easel::cli::kText, argc, argv, easel::cli::draw_over);
}
