// Uses the installed headers and library: samplers on a function in place of a network, and a PNG
// file.
#include <cstdio>

#include <ATen/ATen.h>

#include <easel/base/error.h>
#include <easel/diffusion/sampler.h>
#include <easel/io/file.h>
#include <easel/io/image.h>
#include <easel/pipeline/decode.h>
#include <easel/pipeline/run.h>

int main() {
  const easel::NoiseSchedule schedule = easel::make_noise_schedule({});
  const easel::SamplerInfo& euler = easel::find_sampler("euler");
  const easel::SigmaPlan plan = easel::find_spacing("karras").plan(schedule, 5);
  easel::NoiseSource noise = easel::NoiseSource::per_image(easel::Rng::Cuda, {42});
  const easel::Denoiser half = [](const at::Tensor& x, double sigma) {
    return x / (1 + sigma * sigma);
  };
  const at::Tensor x =
      euler.run(half, noise.draw({1, 3, 8, 8}).mul(plan.initial_scale), plan.sigmas, noise, {}, {});
  const easel::Image image = easel::to_image(x[0], easel::PixelRounding::Truncate);
  easel::write_atomically("consumer.png", easel::IfExists::Replace,
                          [&](easel::FileWriter& file) { file.write(easel::encode_png(image)); });
  const easel::Image read = easel::read_image("consumer.png");
  std::printf("%dx%d\n", read.width, read.height);
  return read.pixels == image.pixels ? 0 : 1;
}
