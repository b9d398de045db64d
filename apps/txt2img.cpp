// txt2img: pictures from prompts, on CompVis's command line and beyond it.

#include <optional>

#include "cli/drawing_program.h"
#include "cli/txt2img_options.h"

namespace easel::cli {
namespace {

constexpr ProgramText kText{
    .name = "txt2img",
    .summary = "draw pictures of a text with Stable Diffusion",
    .usage = "txt2img --prompt TEXT [options]",
    .description = "Draws pictures of a text with a Stable Diffusion v1 model.",
    .examples =
        "txt2img --prompt \"a lighthouse in a storm\" -o lighthouse.png\n"
        "txt2img --ckpt sd-v1-4.ckpt --prompt \"a lighthouse\" --plms --n_samples 4 --n_iter 1"};

int draw_text(Txt2ImgOptions& options, std::span<const Option> list, Given& given) {
  std::optional<HiresSettings> hires;
  return draw({.name = "txt2img",
               .options = options.drawing,
               .list = list,
               .defaults = list,
               .given = given,
               .remember = remember_options(options, given),
               .settle =
                   [&](PictureSettings& settings) {
                     settings.width = options.width;
                     settings.height = options.height;
                     hires = hires_settings(options.hires);
                   },
               .complete = [&](RunRequest& request, const ModelSummary&) { request.hires = hires; },
               .describe =
                   [&](MadeWith& made) {
                     made.options = options_json(options);
                     if (hires) made.parameters = hires_parameters(*hires);
                   }});
}

}  // namespace
}  // namespace easel::cli

int main(int argc, char** argv) {
  return easel::cli::run_drawing_program(easel::cli::kText, argc, argv, easel::cli::draw_text);
}
