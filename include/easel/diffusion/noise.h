// Gaussian noise as PyTorch draws it, on any machine.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include <easel/base/tensor.h>

namespace easel {

enum class Rng {
  Cpu,   // torch.manual_seed(s) and torch.randn on a CPU: mt19937
  Cuda,  // the same on a CUDA GPU: Philox4x32-10, computed here on the host, so it needs no GPU.
         // Within about 1e-6 of the GPU's own numbers (its sine is a fast one). A GPU lays out
         // draws of more than 256 x its largest grid (T4 40,960, A100 221,184 elements) in another
         // order; here the order of smaller draws goes on, as in A1111's "NV" source, on every
         // machine.
};

// "cpu" or "cuda". Throws Error (Usage) listing the valid names.
Rng rng_from_name(std::string_view name);

// One stream of standard normal numbers. Equal (rng, seed) give equal streams on every device.
// Not thread-safe.
class NormalStream {
 public:
  NormalStream(Rng rng, uint64_t seed);
  ~NormalStream();
  NormalStream(NormalStream&&) noexcept;
  NormalStream& operator=(NormalStream&&) noexcept;

  // The next torch.randn(shape), float32 on the CPU. An empty shape's draw ([0, 4]) uses nothing
  // up.
  Tensor draw(at::IntArrayRef shape);
  // Goes on as if draw(shape) had been called.
  void skip(at::IntArrayRef shape);
  // A seed for a stream of its own, drawn from this one. Cpu: torch.randint(0, 2**63 - 1, []).
  uint64_t draw_seed();
  Rng rng() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

class BrownianTree;

// Noise for a batch of pictures as a function of two levels: the increment of a Brownian motion
// between them over the root of their distance, standard normal. It depends on the seeds and the
// levels alone, not on the order of the questions; steps that overlap share their noise. The
// numbers are those of k-diffusion's BrownianTreeNoiseSampler. Not thread-safe.
class BrownianNoise {
 public:
  BrownianNoise(std::vector<BrownianTree> trees, bool whole_batch);
  ~BrownianNoise();
  BrownianNoise(BrownianNoise&&) noexcept;

  // [B, C, H, W], float32 on the CPU. The levels must differ.
  Tensor operator()(double from, double to);

 private:
  std::vector<BrownianTree> trees_;  // one a picture, or one for all
  bool whole_batch_;
};

// Noise for a batch of pictures. Not thread-safe: one source belongs to one run.
class NoiseSource {
 public:
  // --seeding image: picture k of the batch has a stream of its own from seeds[k] and draws [C, H,
  // W]; a picture depends on its seed alone, never on the batch it is drawn in.
  static NoiseSource per_image(Rng rng, const std::vector<uint64_t>& seeds);
  // --seeding batch: one stream draws [B, C, H, W] at once, going on from batch to batch as a
  // CompVis run does. The stream is the caller's and must outlive the source.
  static NoiseSource per_batch(NormalStream& stream);

  // For another pass over the same pictures, as A1111's webui starts one: with per_image the
  // streams from their seeds on again, with per_batch the stream as it stands.
  NoiseSource restarted() const;

  // The next noise for a batch of this shape, float32 on the CPU. With per_image, shape_BCHW[0]
  // must be the number of seeds.
  Tensor draw(at::IntArrayRef shape_BCHW);
  // Only for per_batch: counts a draw whose values the reference program threw away; per_image
  // draws only what it uses, so there it does nothing.
  void discard(at::IntArrayRef shape_BCHW);
  // Brownian noise over levels low to high. With per_image a picture's comes from its seed and
  // draws nothing from its stream; with per_batch one seed is drawn from the stream.
  BrownianNoise brownian(at::IntArrayRef shape_BCHW, double low, double high);

 private:
  NoiseSource() = default;
  void check_seeds(at::IntArrayRef shape_BCHW) const;

  Rng rng_ = Rng::Cpu;
  std::vector<uint64_t> seeds_;
  std::vector<NormalStream> streams_;
  NormalStream* shared_ = nullptr;
};

}  // namespace easel
