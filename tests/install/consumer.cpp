// Draws a picture with an installed Easel: consumer MODEL OUT.png
#include <cstdio>

#include <easel/base/error.h>
#include <easel/io/file.h>
#include <easel/pipeline/run.h>

int main(int argc, char** argv) {
  if (argc != 3) return std::fputs("usage: consumer MODEL OUT.png\n", stderr), 2;
  const std::filesystem::path data = EASEL_DATA_DIR;
  try {
    const auto model =
        easel::open_model({.model = argv[1],
                           .default_config = data / "configs/stable-diffusion/v1-inference.yaml",
                           .vocabulary = data / "clip/bpe_simple_vocab_16e6.txt.gz"});
    easel::RunRequest request;
    request.batches = {{"a photograph of an astronaut riding a horse"}};
    request.settings.sampler = "unipc";
    request.settings.steps = 10;
    request.seed = 42;
    easel::RunCallbacks callbacks;
    callbacks.on_picture = [&](easel::RunPicture&& picture) {
      easel::write_atomically(argv[2], easel::IfExists::Refuse, [&](easel::FileWriter& file) {
        file.write(easel::encode_png(picture.image));
      });
    };
    easel::run_pictures(*model, request, callbacks);
  } catch (const easel::Error& error) {
    return std::fprintf(stderr, "consumer: %s\n", error.what()), 1;
  }
}
